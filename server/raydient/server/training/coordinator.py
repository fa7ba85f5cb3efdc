"""The coordinator of one job as an algorithm: events and time in, actions out; no sockets, files or processes.

begin -> [Start ...]                  one parameter server and the workers
hello(parameter server) -> [Serve]    it gets weights and position
hello(worker) -> [Work]               as soon as there is a parameter server to attach to
attached(worker) -> [SetPlan]         when the last one is there, and again whenever one joins
scale(workers) -> [Start ...], or [SetPlan] and, when that plan is in force, [Kill ...]
overdue(workers) -> [Kill ..., Start ...]
lost(member) -> [Start ...]           replaced, or everything rolled back to the last checkpoint, or the end
saved(...), status(...) -> reports
save_failed(...) -> reports           training goes on; `tick` retries
tick(...) -> checkpoints that are due, members that never spoke, too few workers for too long
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from raydient.spec.phrases import counted
from raydient.steps.schedule import Schedule
from raydient.wire import control
from raydient.wire.control import Role

from .actions import (
    Action,
    AskSnapshot,
    Discard,
    Dismiss,
    Kill,
    Pause,
    Ping,
    SaveAgain,
    Serve,
    SetPlan,
    Start,
    Tell,
    Work,
)
from .divergence import describe
from .failures import Decision, Losses, reason_of
from .progress import ProgressReports
from .pulses import Pulses
from .reports import CheckpointTaken, EpochEnded, Finished, Notice, Outcome, Started, Waiting
from .roster import Roster
from .saving import COMPLETE_SECONDS, PAUSED_SECONDS, Saving
from .shortage import Shortage

START_SECONDS = 120.0
"""Time that a process may take to start and introduce itself; Ray on a busy machine takes a while."""
HURRY_SECONDS = 5.0
"""Time that a run that pauses waits for the end of the open round before it gives that round up."""


class Coordinator:
    """One run of one job. One thread calls it.

    Attributes:
        ended: the run is over: every member is to be ended, nothing more will be asked.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        workers: int,
        minimum: int,
        finish: Callable[[Sequence[float]], Mapping[str, float]],
        checkpoint_seconds: float,
        keep: int,
        clock: Callable[[], float],
        last_epoch: int = 0,
    ) -> None:
        """`finish` computes an epoch's metrics from its sums; `last_epoch` is the newest epoch reported, by any run."""
        self.ended = False
        self._last_epoch = last_epoch
        self._finish = finish
        self._keep = keep
        self._clock = clock
        self._roster = Roster(workers, minimum)
        self._pulses = Pulses(self._roster, clock)
        self._unplaced: Collection[int] = ()  # members that the cluster has no place for
        self._generation = 0
        self._plans = 0
        self._running = False  # a plan has been sent in this generation
        self._pausing = False  # a final snapshot has been asked for
        self._hurry_at = math.inf  # when the snapshot is requested again, without the open round
        self._saving = Saving(checkpoint_seconds, clock)
        self._unsaved = ""  # why the final snapshot is not on disk
        self._furthest = 0  # rounds ever completed
        self._losses = Losses(clock)
        self._start_at = -math.inf  # when processes that are missing may be started
        self._shortage = Shortage(clock)  # while training is suspended, no plan names a worker
        self._status: control.Status | None = None
        self._reports = ProgressReports(schedule, clock)
        self._saved: list[int] = []  # steps of checkpoints that are on disk

    # ---- members

    def begin(self) -> list[Action]:
        """Start all missing members; after repeated losses this waits for a pause."""
        self._shortage.begin()
        return self._start_missing()

    def _start(self, role: Role) -> Start:
        return Start(role, self._roster.add(role, self._clock()), self._generation)

    def _start_missing(self) -> list[Action]:
        if self._clock() < self._start_at:
            return []
        server = [] if self._roster.server is not None else [self._start(Role.PARAMETER_SERVER)]
        return [*server, *(self._start(Role.WORKER) for _ in range(self._roster.missing))]

    def hello(self, member: int) -> list[Action]:
        """Handle the introduction of a member."""
        roster = self._roster
        roster[member].introduced = True
        if roster[member].role is Role.PARAMETER_SERVER:
            return [Serve(member), *map(self._work, roster.introduced)]
        return [self._work(member)] if roster.has_server else []

    def answered(self, member: int) -> None:
        """Note that a member has opened its lifeline or answered a ping."""
        self._pulses.answered(member)

    def _work(self, worker: int) -> Work:
        return Work(worker, self._roster[worker].place, self._roster.wanted)

    def attached(self, worker: int) -> list[Action]:
        """Handle the parameter server's message that a worker has joined it."""
        if self.ended or worker not in self._roster:
            return []
        self._roster[worker].attached = True
        if not self._running:
            return self._set_off()
        at_work = len(self._roster.at_work)
        joined = Tell(Notice("WORKER_JOINED", f"worker {worker} has joined, {at_work} at work"))
        return [joined, *self._changed()]

    def _set_off(self) -> list[Action]:
        """Begin to train once all placed workers, and at least the minimum, have attached."""
        if not (self._roster.enough and self._roster.has_server and self._roster.all_here(self._unplaced)):
            return []
        step = self._status.step if self._status else self._saved_step
        self._reports.begin(step)
        self._running = True
        return [Tell(Started(step, len(self._roster.at_work))), *self._changed()]

    def _changed(self) -> list[Action]:
        """Send a new plan and report progress, because the set of workers has changed."""
        plan = [self._plan()] if self._running and not self._shortage.standing else []
        return [*plan, *self._watch_minimum(), *self._progress()]

    def _plan(self) -> SetPlan:
        self._plans += 1
        workers = [] if self._shortage.standing else self._roster.at_work
        return SetPlan(control.Plan(self._plans, workers, [1.0] * len(workers)))

    def plan_in_force(self, number: int) -> list[Action]:
        """End the workers that the plan in force no longer names; they have no work left."""
        actions: list[Action] = []
        for worker in self._roster.gone_with(number):
            self._roster.remove(worker)
            text = f"worker {worker} has left, {len(self._roster.at_work)} at work"
            actions += [Kill(worker), Tell(Notice("WORKER_LEFT", text))]
        return actions

    def scale(self, workers: int, minimum: int) -> list[Action]:
        """Change the number of workers. Below `minimum` workers training is suspended after the grace period."""
        roster = self._roster
        if self.ended or self._saving.held or (workers, minimum) == (roster.wanted, roster.minimum):
            return []
        roster.wanted, roster.minimum = workers, minimum
        surplus = roster.surplus()
        leaving = [n for n in surplus if self._running and roster[n].attached]
        roster.leave(leaving, self._plans + 1)
        killed = [Kill(n) for n in surplus if n not in leaving and roster.remove(n)]
        first: list[Action] = [*killed, *self._start_missing()]  # never both
        if not self._running:
            return [*first, *self._set_off()]
        return [*first, *(self._changed() if leaving else [*self._watch_minimum(), *self._progress()])]

    def lost(self, member: int, why: str) -> list[Action]:
        """Handle the loss of a member: its process ended, or its connection did."""
        process = self._roster.remove(member)
        if process is None or self.ended or self._saving.held:
            return []  # writing the held snapshot needs no members
        # The parameter server may still have the connection: over TCP, a machine that lost power keeps it for minutes.
        dismissed: list[Action] = [Dismiss(member)] if process.attached and self._roster.has_server else []
        if process.leaving is not None:
            return dismissed
        losses = self._losses.count()
        name = f"{process.role.value.replace('_', ' ')} {member}"
        decision = self._losses.decide(process.role)
        if decision is Decision.FAIL:
            message = f"{name}: {why}; {losses} times processes were lost without a step completed in between"
            return self._end(Outcome.FAILED, reason=reason_of(process.role, why), message=message)
        self._start_at = self._clock() + self._losses.pause_seconds
        self._reports.restarts[process.role.value] += 1
        notice = Tell(Notice(f"{process.role.value.upper()}_LOST", f"{name}: {why}"))
        if decision is Decision.ROLL_BACK and self._pausing:
            return [notice, *self._end(Outcome.PAUSED, step=self._saved_step)]
        if decision is Decision.REPLACE:
            return [*dismissed, notice, *self._start_missing(), *self._watch_minimum(), *self._progress()]
        killed = [Kill(n) for n in self._roster.clear()]
        self._generation += 1
        self._running = self._saving.asked = False
        self._status = None
        return [notice, *killed, *self.begin()]

    def overdue(self, message: control.Overdue) -> list[Action]:
        """Replace the workers that are past the deadline of the open round."""
        actions: list[Action] = []
        for worker, seconds in message.silent_seconds.items():
            if worker in self._roster:
                actions += self._give_up(worker, f"silent for {seconds:.0f} seconds in round {message.round}")
        return actions

    def _give_up(self, member: int, why: str) -> list[Action]:
        """Kill a member that does not answer, and handle its loss."""
        return [] if self.ended else [Kill(member), *self.lost(member, why)]

    def _watch_minimum(self) -> list[Action]:
        """Suspend training if the workers are too few for too long, and resume it when there are enough again."""
        roster = self._roster
        if not self._shortage.look(enough=roster.enough):
            return []
        attached = f"{len(roster.at_work)} of at least {counted(roster.minimum, 'worker')} attached"
        message = f"{attached}; training waits for the others" if self._shortage.standing else ""
        return [Tell(Waiting(message)), *([self._plan()] if self._running else [])]

    # ---- training

    def status(self, status: control.Status) -> list[Action]:
        """Handle the parameter server's report of its position."""
        if status.round > self._furthest:
            self._furthest = status.round
            self._losses.forget()
        self._status = status
        return self._progress()

    def _progress(self) -> list[Action]:
        """Report progress; nothing is reported before the first step."""
        return [Tell(self._reports.report(self._status, self._roster))] if self._status else []

    def epochs(self, done: control.EpochsDone) -> list[Action]:
        """Report completed epochs. An epoch that comes again after a rollback has the same metrics and is ignored."""
        actions: list[Action] = []
        for sums in done.epochs:
            if sums.epoch + 1 > self._last_epoch:
                self._last_epoch = sums.epoch + 1
                parts = (("train", sums.train), ("test", sums.test))
                metrics = {split: self._finish(values) for split, values in parts if values}
                actions.append(Tell(EpochEnded(self._last_epoch, sums.step, sums.seconds, metrics)))
        return actions

    def diverged(self, message: control.NonFinite) -> list[Action]:
        """Fail, because the loss or a gradient is not finite."""
        what = describe(message, self._reports.gradient_health)
        # A checkpoint of this step holds the weights whose loss is not finite.
        bad = [step for step in self._saved if step == message.step]
        good = [step for step in self._saved if step < message.step]
        kept = f"the checkpoint of step {good[-1]} is kept" if good else "there is no good checkpoint"
        end = self._end(Outcome.FAILED, step=message.step, reason="NON_FINITE", message=f"{what}; {kept}")
        return [*map(Discard, bad), *end]

    # ---- checkpoints and the end

    def tick(self, unplaced: Collection[int] = ()) -> list[Action]:
        """Do what is due now. The cluster has no place yet for the members `unplaced`."""
        if self.ended:
            return []
        if self._saving.held:
            return self._keep_saving()
        now = self._clock()
        self._unplaced = unplaced
        self._roster.wait(unplaced, now)
        actions: list[Action] = []
        if not self._pausing:
            actions += self._start_missing()
        for member in self._roster.silent(now - START_SECONDS):
            actions += self._give_up(member, f"not started within {START_SECONDS:.0f} seconds")
        actions += self._check_pulses()
        if self.ended:
            return actions
        actions += self._watch_minimum() if self._running else [*self._set_off(), *self._watch_minimum()]
        if now >= self._hurry_at:
            self._hurry_at = math.inf
            actions.append(Pause(at_once=True))
        if self._saving.due and self._running and self._status and self._status.step > self._saved_step:
            self._saving.asked = True
            actions.append(AskSnapshot())
        return actions

    def _check_pulses(self) -> list[Action]:
        """Ping the members, and replace those that do not answer."""
        actions: list[Action] = [Ping(member) for member in self._pulses.beat()]
        for member, seconds in self._pulses.stopped.items():
            if member in self._roster:
                actions += self._give_up(member, f"no answer for {seconds:.0f} seconds")
        server = self._roster.server
        if self._pausing and server is not None and self._pulses.silent(server):
            actions += self._give_up(server, "no answer, and a checkpoint is needed from it")
        return actions

    @property
    def has_checkpoint(self) -> bool:
        """True if the run has a checkpoint to roll back to."""
        return bool(self._saved)

    @property
    def _saved_step(self) -> int:
        return self._saved[-1] if self._saved else 0

    def resumed(self, steps: Sequence[int]) -> None:
        """Note the steps of the checkpoints on disk, in ascending order; the run goes on from the last."""
        self._saved = list(steps)

    def saved(self, step: int, seconds: float, size_bytes: int) -> list[Action]:
        """Note that a snapshot is on disk, and report it."""
        self._saving.written()
        self._saved = [*(s for s in self._saved if s != step), step][-self._keep :]
        return [Tell(CheckpointTaken(step, seconds, size_bytes))]

    def save_failed(self, step: int, why: str, *, final: bool, complete: bool) -> list[Action]:
        """Report that a snapshot could not be written. A `final` one is held in memory and retried for a while."""
        if self.ended:
            return []
        what = f"the checkpoint of step {step} could not be written: {why}"
        if not final:
            seconds = self._saving.failed()
            return [Tell(Notice("CHECKPOINT_FAILED", f"{what}; training goes on, next attempt in {seconds:.0f} s"))]
        self._unsaved = what
        seconds = self._saving.hold(COMPLETE_SECONDS if complete and not self._pausing else PAUSED_SECONDS)
        return [Tell(Notice("CHECKPOINT_FAILED", f"{what}; it is kept in memory, next attempt in {seconds:.0f} s"))]

    def _keep_saving(self) -> list[Action]:
        """Write the held snapshot again when that is due; give it up after its deadline."""
        if self._saving.over:
            kept = f"the checkpoint of step {self._saved_step}" if self._saved else "the beginning"
            message = f"{self._unsaved}; it goes on from {kept}"
            if self._pausing:
                return self._end(Outcome.PAUSED, step=self._saved_step, message=message)
            message = f"training is complete, but {message} when it is resumed"
            return self._end(Outcome.FAILED, reason="STORAGE", message=message)
        if not self._saving.due:
            return []
        self._saving.asked = True
        return [SaveAgain()]

    def completed(self, step: int, digest: str) -> list[Action]:
        """End the run, because the final snapshot is on disk. `digest` is set if training is complete."""
        if digest:
            return self._end(Outcome.SUCCEEDED, step=step, digest=digest)
        return self._end(Outcome.PAUSED, step=step)

    def pause(self) -> list[Action]:
        """Take a checkpoint at the next boundary, or HURRY_SECONDS later of the last one, and end."""
        if self.ended or self._pausing:
            return []
        if self._saving.held:
            self._pausing = True
            self._saving.hurry()
            return []
        if not self._running:
            return self._end(Outcome.PAUSED)
        self._pausing = self._saving.asked = True
        self._hurry_at = self._clock() + HURRY_SECONDS
        return [Pause()]

    def cancel(self) -> list[Action]:
        """End now, for good."""
        return [] if self.ended else self._end(Outcome.CANCELLED)

    def fail(self, reason: str, message: str) -> list[Action]:
        """End the run after an error that a restart cannot mend."""
        return [] if self.ended else self._end(Outcome.FAILED, reason=reason, message=message)

    def _end(
        self, outcome: Outcome, *, step: int | None = None, digest: str = "", reason: str = "", message: str = ""
    ) -> list[Action]:
        self.ended = True
        if step is None:
            step = self._status.step if self._status else self._saved_step
        return [Tell(Finished(outcome, step, digest, reason, message))]
