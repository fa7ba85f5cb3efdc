"""The coordinator of one job as an algorithm: events and time in, actions out; no sockets, files or processes.

begin -> [Start ...]                  one parameter server and the workers
hello(parameter server) -> [Serve]    it gets weights and position
hello(worker) -> [Work]               as soon as there is a parameter server to attach to
attached(worker) -> [SetPlan]         when the last one is there, and again whenever one joins
lost(member) -> [Start ...]           replaced, or everything rolled back to the last checkpoint, or the end
saved(...), status(...) -> reports
tick(now) -> checkpoints that are due, members that never spoke
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from raydient.wire import control
from raydient.wire.control import Role
from raydient.wire.health import GradientHealth
from raydient.wire.schedule import RoundKind, Schedule

from .failures import Decision, decide
from .reports import CheckpointTaken, EpochEnded, Finished, Notice, Outcome, Progress, Report, Started

START_SECONDS = 120.0
"""How long a process may take to start and introduce itself; Ray on a busy machine takes a while."""
LAYERS_NAMED = 8
"""So many layers, those nearest to the loss, a message tells of; the rest stand in the report of progress."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a member."""

    role: Role
    member: int
    generation: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End a member; its loss is not to be reported."""

    member: int


@dataclass(frozen=True, slots=True)
class Serve:
    """Give this parameter server the weights and the position of the last checkpoint, or of the beginning."""

    member: int


@dataclass(frozen=True, slots=True)
class Work:
    """Give this worker the dataset, the parameter server's address and its place among the workers."""

    member: int
    place: int


@dataclass(frozen=True, slots=True)
class SetPlan:
    """Send the parameter server a plan."""

    plan: control.Plan


@dataclass(frozen=True, slots=True)
class AskSnapshot:
    """Ask the parameter server for a snapshot."""

    final: bool


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove the checkpoint of this step."""

    step: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Give the service a report."""

    report: Report


Action = Start | Kill | Serve | Work | SetPlan | AskSnapshot | Discard | Tell


class Rate:
    """Samples per second, over stretches long enough to mean something."""

    SHORTEST_SECONDS = 0.1

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._then, self._samples, self._rate = clock, clock(), 0, 0.0

    def begin(self, samples: int) -> None:
        """Samples that are not to be counted."""
        self._then, self._samples = self._clock(), samples

    def after(self, samples: int) -> float:
        """The rate now that so many samples are done; over a stretch too short, the one before."""
        now = self._clock()
        if now - self._then >= self.SHORTEST_SECONDS:
            self._rate = (samples - self._samples) / (now - self._then)
            self._then, self._samples = now, samples
        return self._rate


@dataclass(slots=True)
class _Member:
    role: Role
    since: float
    place: int  # among the workers; a replacement takes that of the one it replaces
    introduced: bool = False
    attached: bool = False


class Coordinator:
    """One run of one job. One thread calls it.

    Attributes:
        ended: the run is over: every member is to be ended, nothing more will be asked.
        history: every epoch that is complete, also those of earlier runs.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        workers: int,
        metric_names: Sequence[str],
        checkpoint_seconds: float,
        keep: int,
        learning_rate: float,
        clock: Callable[[], float],
    ) -> None:
        self.ended = False
        self.history: list[EpochEnded] = []
        self._schedule, self._wanted, self._metric_names = schedule, workers, tuple(metric_names)
        self._checkpoint_seconds, self._keep = checkpoint_seconds, keep
        self._learning_rate, self._clock = learning_rate, clock
        self._members: dict[int, _Member] = {}
        self._numbers = 0  # members ever started
        self._generation = 0
        self._plans = 0
        self._running = False  # a plan has been sent in this generation
        self._stopping = False  # a final snapshot has been asked for
        self._saving = False  # a snapshot is on its way
        self._furthest = 0  # rounds ever completed
        self._losses = 0  # members lost since a step was last completed
        self._restarts = {Role.WORKER.value: 0, Role.PARAMETER_SERVER.value: 0}
        self._status: control.Status | None = None
        self._health: GradientHealth | None = None  # outlives a parameter server
        self._rate = Rate(clock)
        self._saved: list[int] = []  # steps of checkpoints that are on disk
        self._saved_at = self._epoch_began = clock()

    # ---- members

    def begin(self) -> list[Action]:
        """Start everything."""
        return [self._start(Role.PARAMETER_SERVER), *(self._start(Role.WORKER) for _ in range(self._wanted))]

    def _start(self, role: Role) -> Start:
        member = self._numbers
        self._numbers += 1
        taken = {m.place for m in self._members.values() if m.role is role}
        place = next(n for n in count() if n not in taken)
        self._members[member] = _Member(role, self._clock(), place)
        return Start(role, member, self._generation)

    def hello(self, member: int) -> list[Action]:
        """A member has introduced itself."""
        this = self._members[member]
        this.introduced = True
        if this.role is Role.WORKER:
            return [Work(member, this.place)] if self._has_server() else []
        waiting = [n for n, m in self._members.items() if m.role is Role.WORKER and m.introduced]
        return [Serve(member), *(Work(n, self._members[n].place) for n in waiting)]

    def _has_server(self) -> bool:
        return any(m.role is Role.PARAMETER_SERVER and m.introduced for m in self._members.values())

    def attached(self, worker: int) -> list[Action]:
        """The parameter server says that a worker has joined it."""
        if worker not in self._members:
            return []
        self._members[worker].attached = True
        attached = self._attached()
        if not self._running and len(attached) < self._wanted:
            return []
        actions: list[Action] = []
        if not self._running:
            step = self._status.step if self._status else self._saved_step
            self._rate.begin(self._samples(step))
            self._epoch_began = self._clock()
            actions.append(Tell(Started(step, len(attached))))
        else:
            actions.append(Tell(Notice("WORKER_JOINED", f"worker {worker} has joined, {len(attached)} at work")))
        self._running = True
        self._plans += 1
        return [*actions, SetPlan(control.Plan(self._plans, attached, [1.0] * len(attached)))]

    def _attached(self) -> list[int]:
        return [n for n, m in self._members.items() if m.attached]

    def lost(self, member: int, why: str) -> list[Action]:
        """A member is gone: its process ended, or its connection did."""
        this = self._members.pop(member, None)
        if this is None or self.ended:
            return []
        self._losses += 1
        name = f"{this.role.value.replace('_', ' ')} {member}"
        decision = decide(this.role, self._losses)
        if decision is Decision.FAIL:
            message = f"{name}: {why}; {self._losses} processes lost without a step completed in between"
            return self._end(Outcome.FAILED, reason=f"{this.role.value.upper()}_LOST", message=message)
        self._restarts[this.role.value] += 1
        notice = Tell(Notice(f"{this.role.value.upper()}_LOST", f"{name}: {why}"))
        if decision is Decision.REPLACE:
            return [notice, self._start(Role.WORKER)]
        killed = [Kill(n) for n in self._members]
        self._members.clear()
        self._generation += 1
        self._running = self._saving = False
        self._status = None
        return [notice, *killed, *self.begin()]

    # ---- training

    def status(self, status: control.Status) -> list[Action]:
        """The parameter server tells where it is."""
        if status.round > self._furthest:
            self._furthest, self._losses = status.round, 0
        self._status = status
        self._health = status.health or self._health
        samples = self._samples(status.step)
        progress = Progress(
            step=status.step,
            steps=self._schedule.steps,
            epoch=status.round // self._schedule.rounds_per_epoch,
            epochs=self._schedule.epochs,
            samples=samples,
            samples_per_second=self._rate.after(samples),
            learning_rate=self._learning_rate,
            loss=status.loss,
            workers_alive=len(self._attached()),
            workers_wanted=self._wanted,
            restarts=dict(self._restarts),
            phase_seconds=status.phase_seconds,
            step_seconds_buckets=tuple(status.step_seconds_buckets),
            step_seconds_sum=status.step_seconds_sum,
            exchange_bytes=status.exchange_bytes,
            workers_minimum=self._wanted,
            gradient_health=self._health,
        )
        return [Tell(progress)]

    def _samples(self, step: int) -> int:
        epochs, steps = divmod(step, self._schedule.steps_per_epoch)
        return epochs * self._schedule.train_rows + steps * self._schedule.batch_size

    def epoch(self, done: control.EpochDone) -> list[Action]:
        """An epoch is complete."""
        now = self._clock()
        seconds, self._epoch_began = now - self._epoch_began, now
        metrics = {split: self._means(sums) for split, sums in (("train", done.train), ("test", done.test)) if sums}
        return self._tell_epochs([EpochEnded(done.epoch + 1, done.step, seconds, metrics)])

    def _tell_epochs(self, epochs: Sequence[EpochEnded]) -> list[Action]:
        """Tell what has not been told: after a rollback an epoch comes once more, with the same metrics."""
        new = epochs[max(0, len(self.history) + 1 - epochs[0].epoch) :] if epochs else []
        self.history += new
        return list(map(Tell, new))

    def _means(self, sums: Sequence[float]) -> Mapping[str, float]:
        rows, *rest = sums
        return {name: value / rows for name, value in zip(self._metric_names, rest, strict=True)}

    def diverged(self, found: control.NonFinite) -> list[Action]:
        """Loss or gradient is not finite any more."""
        if found.kind is RoundKind.TRAIN:
            layer, _, parameter = found.parameter.rpartition(".")
            which = "all gradients are finite, the largest" if found.finite else "the first gradient that is not finite"
            what = f"loss {found.loss} at step {found.step}; {which} is that of layer {layer} ({parameter})"
            what += self._non_finite_values()
        else:
            what = f"loss {found.loss} on the held-out part after {found.step} steps"
        # A checkpoint of this very step holds the weights that the loss is not finite for.
        bad = [step for step in self._saved if step == found.step]
        good = [step for step in self._saved if step < found.step]
        kept = f"the checkpoint of step {good[-1]} is kept" if good else "there is no good checkpoint"
        end = self._end(Outcome.FAILED, step=found.step, reason="NON_FINITE", message=f"{what}; {kept}")
        return [*map(Discard, bad), *end]

    def _non_finite_values(self) -> str:
        """By layer, for people."""
        layers = self._health.layers if self._health else ()
        counts = [f"{layer.layer} {layer.non_finite_values}" for layer in layers if layer.non_finite_values]
        more = [f"{len(counts) - LAYERS_NAMED} more layers"] if len(counts) > LAYERS_NAMED else []
        return f"; values that are not finite: {', '.join(counts[-LAYERS_NAMED:] + more)}" if counts else ""

    # ---- checkpoints and the end

    def tick(self) -> list[Action]:
        """Time has passed."""
        now = self._clock()
        silent = [n for n, m in self._members.items() if not m.introduced and now - m.since > START_SECONDS]
        actions: list[Action] = []
        for member in silent:
            actions += [Kill(member), *self.lost(member, f"not started within {START_SECONDS:.0f} seconds")]
        due = now - self._saved_at >= self._checkpoint_seconds
        if due and self._running and not self._saving and self._status and self._status.step > self._saved_step:
            self._saving = True
            actions.append(AskSnapshot(final=False))
        return actions

    @property
    def _saved_step(self) -> int:
        return self._saved[-1] if self._saved else 0

    def resumed(self, steps: Sequence[int], history: Sequence[EpochEnded]) -> list[Action]:
        """There are checkpoints of these steps, in order; the run goes on from the last, with its `history`.

        The service may never have heard of the last epochs: it was away, and the one who would have told it is gone.
        """
        self._saved = list(steps)
        return self._tell_epochs(history)

    def saved(self, step: int, seconds: float, size_bytes: int) -> list[Action]:
        """A snapshot is on disk."""
        self._saving = False
        self._saved_at = self._clock()
        self._saved = [*(s for s in self._saved if s != step), step][-self._keep :]
        return [Tell(CheckpointTaken(step, seconds, size_bytes))]

    def completed(self, step: int, digest: str) -> list[Action]:
        """The final snapshot is on disk; with a digest if training is complete and the model written."""
        if digest:
            return self._end(Outcome.SUCCEEDED, step=step, digest=digest)
        return self._end(Outcome.INTERRUPTED, step=step)

    def interrupt(self) -> list[Action]:
        """Take a checkpoint at the next boundary and end."""
        if self.ended or self._stopping:
            return []
        if not self._running:
            return self._end(Outcome.INTERRUPTED)
        self._stopping = self._saving = True
        return [AskSnapshot(final=True)]

    def cancel(self) -> list[Action]:
        """End now, for good."""
        return [] if self.ended else self._end(Outcome.CANCELLED)

    def fail(self, reason: str, message: str) -> list[Action]:
        """Something that cannot be mended by starting anything again."""
        return [] if self.ended else self._end(Outcome.FAILED, reason=reason, message=message)

    def _end(
        self, outcome: Outcome, *, step: int | None = None, digest: str = "", reason: str = "", message: str = ""
    ) -> list[Action]:
        self.ended = True
        if step is None:
            step = self._status.step if self._status else self._saved_step
        return [Tell(Finished(outcome, step, digest, reason, message))]
