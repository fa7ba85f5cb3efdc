"""The coordinator of one job as an algorithm: events and time in, actions out; no sockets, files or processes.

begin -> [Start ...]                  the parameter servers and the workers
hello(parameter server) -> [Serve]    as soon as all of them are there: they get weights and position
served(...) -> reports                training begins at a checkpoint or at step 0
hello(worker) -> [Work]               as soon as there are parameter servers to attach to
returned(...) -> the same             for a member that survives the loss of a parameter server
attached(worker) -> [SetPlan]         when the last one is there, and again whenever one joins
scale(workers) -> [Start ...], or [SetPlan] and, when that plan is in force, [Kill ...]
overdue(workers) -> [Kill ..., Start ...]
lost(member) -> [Start ...]           replaced; with a parameter server all others go back to the last checkpoint
status(...) -> reports
snapshot(...) -> [Save]               or the end, if its weights are not finite
saved(...) -> reports                 and the end, if it is the final one
save_failed(...) -> reports           training goes on; `tick` retries
tick(...) -> checkpoints that are due, members that do not introduce themselves, too few workers for too long
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from raydient.spec.errors import WARNING
from raydient.wire import control
from raydient.wire.control import Role

from .actions import Action, Ask, Discard, Dismiss, Kill, Ping, Save, SetPlan, Tell
from .divergence import divergence_message, recovery_notice
from .endings import PLAIN, Description
from .failures import PARTED, Decision, Losses, loss_notice, reason_of, repeated_loss
from .generations import Generations
from .phases import Phase
from .plans import Plans
from .progress import ProgressReports
from .pulses import Pulses
from .reports import CheckpointTaken, Finished, Notice, Outcome, Started
from .roster import Member, Roster, Shortage
from .saving import COMPLETE_SECONDS, PAUSED_SECONDS, Saving


class Coordinator:
    """One run of one job. One thread calls it."""

    def __init__(
        self,
        size: control.Scale,
        *,
        servers: int = 1,
        reports: ProgressReports,
        saving: Saving,
        clock: Callable[[], float],
        warnings: Sequence[str] = (),
    ) -> None:
        """Start nothing yet.

        Args:
            size: number of workers to start, and the number below which training is suspended after a grace period.
            servers: number of parameter servers.
            reports: builds the reports of progress.
            saving: the checkpoints of the run.
            clock: monotonic seconds.
            warnings: reported once if training begins at step 0.
        """
        self.phase = Phase.STARTING
        self._clock, self._reports, self._saving, self._warnings = clock, reports, saving, warnings
        self._roster = Roster(size.workers, size.minimum, servers)
        self._pulses = Pulses(self._roster, clock)
        self._unplaced: Collection[int] = ()  # members that the cluster has no place for
        self._generations = Generations(self._roster, clock)
        self._plans = Plans(reports.schedule.round(0).leaves, clock)
        self._losses, self._shortage = Losses(clock), Shortage(clock)
        self._status: control.Status | None = None

    @property
    def ended(self) -> bool:
        """True if the run is over."""
        return self.phase is Phase.ENDED

    @property
    def _running(self) -> bool:
        """True if a plan has been sent in this generation."""
        return self.phase in (Phase.TRAINING, Phase.PAUSING)

    # ---- members

    def begin(self) -> list[Action]:
        """Start all missing members; after repeated losses this waits for a pause."""
        self._shortage.begin()
        return self._start_missing()

    def _start_missing(self) -> list[Action]:
        return [] if self._losses.pausing else self._generations.start_missing()

    def hello(self, member: int, *, refused: bool = False) -> list[Action]:
        """Handle the introduction of a member. A `refused` one, whose machine computes other bits, gets no work."""
        self._pulses.answered(member)  # silence counts from now on, with or without a lifeline
        return self._generations.introduced(member, refused=refused)

    def returned(self, member: int, left: int) -> list[Action]:
        """Handle the introduction of a member that has left its part in generation `left`."""
        if self.ended or self._saving.held:
            return []  # writing the held snapshot needs no members
        self._pulses.answered(member)
        process, parts = self._roster[member], self._generations.returned(member, left)
        if parts is not None:
            return parts
        if process.role is Role.PARAMETER_SERVER:
            return self._recover(member, process, PARTED, served=True)
        return [Dismiss(member), *self._watch_minimum(), *self._progress()]

    def hears(self, member: int) -> bool:
        """Return True if messages of this member count; see `Generations.hears`."""
        return not self.ended and self._generations.hears(member)

    def answered(self, member: int) -> None:
        """Note an answer on a member's lifeline."""
        self._pulses.answered(member)

    def attached(self, worker: int) -> list[Action]:
        """Handle the parameter server's message that a worker has joined it."""
        if self.ended:
            return []
        if worker not in self._roster or self._roster[worker].left:
            return [Dismiss(worker)]  # given up, and woken afterwards; or its connection has ended since
        self._roster[worker].attached = True
        if not self._running:
            return self._set_off()
        text = f"worker {worker} has joined, {len(self._roster.at_work)} at work"
        return [Tell(Notice("WORKER_JOINED", text)), *self._changed()]

    def _set_off(self) -> list[Action]:
        """Begin to train once all placed workers, and at least the minimum, have attached."""
        if not (self._roster.enough and self._roster.has_servers and self._roster.all_here(self._unplaced)):
            return []
        step = self._status.step if self._status else self._saving.step
        self._reports.begin(step)
        self.phase = Phase.TRAINING
        return [Tell(Started(step, len(self._roster.at_work))), *self._changed()]

    def _changed(self) -> list[Action]:
        """Send a new plan and report progress, because the set of workers has changed."""
        plan = self._plan() if self._running and not self._shortage.standing else []
        return [*plan, *self._watch_minimum(), *self._progress()]

    def _plan(self) -> list[Action]:
        """Send a new plan, which names no worker while training is suspended."""
        return [SetPlan(self._plans.make([] if self._shortage.standing else self._roster.at_work))]

    def plan_in_force(self, number: int) -> list[Action]:
        """End the workers that the plan in force no longer names; they have no work left."""
        return self._generations.end(self._roster.remove_left(number))

    def scale(self, workers: int, minimum: int) -> list[Action]:
        """Change the number of workers. Below `minimum` workers training is suspended after the grace period."""
        roster = self._roster
        if self.ended or self._saving.held or (workers, minimum) == (roster.wanted, roster.minimum):
            return []
        roster.wanted, roster.minimum = workers, minimum
        leaving, ended = roster.release_surplus(self._plans.following, at_work=self._running)
        first: list[Action] = [*map(Kill, ended), *self._start_missing()]  # never both
        if not self._running:
            return [*first, *self._set_off()]
        return [*first, *(self._changed() if leaving else [*self._watch_minimum(), *self._progress()])]

    def lost(self, member: int, why: str) -> list[Action]:
        """Handle the loss of a member: its process ended, or its connection did."""
        served = self._roster.has_servers
        process = self._roster.remove(member)
        if process is None or self.ended or self._saving.held:
            return []
        # The parameter server may still have the connection: over TCP, a machine that lost power keeps it for minutes.
        dismissed: list[Action] = [Dismiss(member)] if process.attached and self._roster.has_servers else []
        if process.refused or (process.leaving is not None and not self._has_state(member, process)):
            return dismissed
        self._reports.restarts[process.role.value] += 1
        self._generations.explained(process.role)
        notice = Tell(loss_notice(process.role, member, why))
        return [*dismissed, notice, *self._recover(member, process, why, served=served)]

    def _recover(self, member: int, process: Member, why: str, *, served: bool) -> list[Action]:
        """Replace a lost member. If a state is lost with it, which was `served`, all go back to the last checkpoint."""
        # The loss of a survivor that does not come back is a part of the loss before.
        losses = 0 if process.returning else self._losses.count()
        decision = self._losses.decide(has_state=self._has_state(member, process))
        if decision is Decision.FAIL:
            message = repeated_loss(process.role, member, why, losses)
            return self._end(Outcome.FAILED, reason=reason_of(process.role, why), message=message)
        if decision is Decision.REPLACE or not served:
            return [*self._start_missing(), *self._watch_minimum(), *self._progress()]
        if self.phase is Phase.PAUSING:
            return self._end(Outcome.PAUSED, step=self._saving.step)
        return self._begin_next()

    def _has_state(self, member: int, process: Member) -> bool:
        """Return True if a state of training is lost with a member."""
        return process.role is Role.PARAMETER_SERVER

    def _begin_next(self) -> list[Action]:
        """Begin the next generation, at the last checkpoint."""
        survivors = self._generations.begin_next()
        self._plans.restart()
        self.phase, self._saving.asked = Phase.STARTING, False
        self._status = None
        return [*survivors, *self.begin()]

    def overdue(self, message: control.Overdue) -> list[Action]:
        """Replace the workers that are past the deadline of the open round."""
        silent = message.silent_seconds.items()
        return self._give_up({w: f"silent for {seconds:.0f} seconds in round {message.round}" for w, seconds in silent})

    def _give_up(self, members: Mapping[int, str]) -> list[Action]:
        """Kill members that do not answer, each for its reason, and handle their loss."""
        actions: list[Action] = []
        for member, why in members.items():
            if member in self._roster and not self.ended:
                actions += [Kill(member), *self.lost(member, why)]
        return actions

    def _watch_minimum(self) -> list[Action]:
        """Suspend training if the workers are too few for too long, and resume it when there are enough again."""
        changed = self._shortage.look(self._roster)
        return [Tell(changed), *(self._plan() if self._running else [])] if changed else []

    # ---- training

    def status(self, status: control.Status) -> list[Action]:
        """Handle the parameter server's report of its position."""
        self._losses.completed(status.round)
        self._status = status
        due = self._plans.measured(status.step, status.computed, self._roster.at_work)
        return [*(self._plan() if due else []), *self._progress()]

    def _progress(self) -> list[Action]:
        """Report progress; nothing is reported before the first step."""
        return [Tell(self._reports.report(self._status, self._roster))] if self._status else []

    def epochs(self, done: control.EpochsDone) -> list[Action]:
        """Report completed epochs."""
        return [Tell(report) for report in self._reports.epochs(done)]

    def diverged(self, message: control.NonFinite) -> list[Action]:
        """Fail, because the loss or a gradient is not finite; only report a skipped step and a rollback."""
        notice = recovery_notice(message)
        if notice:
            return [Tell(notice)]
        text = divergence_message(message, self._reports.gradient_health, self._saving.steps)
        end = self._end(Outcome.FAILED, step=message.step, reason="NON_FINITE", message=text)
        # A checkpoint of this step holds the weights whose loss is not finite.
        return [Discard(message.step), *end] if message.step in self._saving.steps else end

    # ---- time

    def tick(self, unplaced: Collection[int] = ()) -> list[Action]:
        """Do what is due now. The cluster has no place yet for the members `unplaced`."""
        if self.ended:
            return []
        if self._saving.held:
            return self._keep_saving()
        self._unplaced = unplaced
        self._roster.wait(unplaced, self._clock())
        actions: list[Action] = [] if self.phase is Phase.PAUSING else self._start_missing()
        actions += self._give_up(self._generations.late())
        actions += map(Ping, self._pulses.beat())
        actions += self._give_up(self._pulses.stopped(pausing=self.phase is Phase.PAUSING))
        if self.ended:
            return actions
        actions += self._watch_minimum() if self._running else [*self._set_off(), *self._watch_minimum()]
        actions += [Ask(control.Pause(at_once=True))] if self._saving.hurry() else []
        if self._saving.due and self._running and self._status and self._status.step > self._saving.step:
            self._saving.asked = True
            actions.append(Ask(control.TakeSnapshot()))
        return actions

    # ---- checkpoints and the end

    def served(self, step: int, checkpoints: Sequence[int], *, damaged: bool) -> list[Action]:
        """Note where training begins, and report that.

        Args:
            step: updates applied.
            checkpoints: steps of the good checkpoints, in ascending order; empty if training begins from the beginning.
            damaged: a checkpoint was found damaged and set aside.
        """
        notices = self._saving.found(step, checkpoints, damaged=damaged)
        if step == 0:
            notices += [Notice(WARNING, warning) for warning in self._warnings]
            self._warnings = ()
        return [Tell(notice) for notice in notices]

    def snapshot(self, step: int, not_finite: str, *, final: bool) -> list[Action]:
        """Save a snapshot, or fail if a parameter is `not_finite`; it is the first one's name, else empty.

        A finite gradient times the learning rate may overflow; the next loss shows it. The `final` one stops workers.
        """
        if self.ended:
            return []
        if not_finite:
            problem = f"{not_finite} is not finite after step {step}"
            return self._end(Outcome.FAILED, reason="NON_FINITE", message=problem)
        return [Ask(control.Stop()), Save()] if final else [Save()]

    def saved(
        self, taken: CheckpointTaken, *, final: bool, digest: str = "", ending: Description = PLAIN
    ) -> list[Action]:
        """Report a snapshot that is on disk. The `final` one ends the run.

        If training is over, `digest` is that of the model and `ending` describes the end.
        """
        self._saving.written(taken.step)
        if not final:
            return [Tell(taken)]
        if not digest:
            return [Tell(taken), *self._end(Outcome.PAUSED, step=taken.step)]
        self.phase = Phase.ENDED
        return [Tell(taken), *map(Tell, ending.reports(taken.step, digest))]

    def save_failed(self, step: int, why: str, *, final: bool, complete: bool) -> list[Action]:
        """Report that a snapshot could not be written. A `final` one is held in memory and retried for a while."""
        if self.ended:
            return []
        patience = COMPLETE_SECONDS if complete and self.phase is not Phase.PAUSING else PAUSED_SECONDS
        return [Tell(self._saving.hold(step, why, patience) if final else self._saving.failed(step, why))]

    def _keep_saving(self) -> list[Action]:
        """Write the held snapshot again when that is due; give it up after its deadline."""
        if self._saving.over:
            if self.phase is Phase.PAUSING:
                return self._end(Outcome.PAUSED, step=self._saving.step, message=self._saving.outcome)
            message = f"training is complete, but {self._saving.outcome} when it is resumed"
            return self._end(Outcome.FAILED, reason="STORAGE", message=message)
        if not self._saving.due:
            return []
        self._saving.asked = True
        return [Save()]

    def pause(self) -> list[Action]:
        """Take a checkpoint at the next boundary, or HURRY_SECONDS later of the last one, and end."""
        if self.ended or self.phase is Phase.PAUSING:
            return []
        if not (self._running or self._saving.held):
            return self._end(Outcome.PAUSED)
        self.phase = Phase.PAUSING
        return [Ask(control.Pause())] if self._saving.pause() else []

    def cancel(self) -> list[Action]:
        """End now, for good."""
        return [] if self.ended else self._end(Outcome.CANCELLED)

    def _end(self, outcome: Outcome, *, step: int | None = None, reason: str = "", message: str = "") -> list[Action]:
        self.phase = Phase.ENDED
        last = self._status.step if self._status else self._saving.step
        return [Tell(Finished(outcome, last if step is None else step, reason=reason, message=message))]
