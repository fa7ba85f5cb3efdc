"""The parameter server as an algorithm: events in, actions out; no sockets, no clock, no processes.

It holds the weights between rounds and is where a round ends: it hands out leaves, takes the sums over nodes, and when
the root is complete applies the update and opens the next round. Plans take effect here and nowhere else, so that
members never disagree about one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Vector
from raydient.steps.gradient import Gradient
from raydient.steps.layout import Layout, Learned
from raydient.steps.measurements import GradientHealth
from raydient.steps.schedule import Round, RoundKind, Schedule
from raydient.steps.scores import Scores, write_ranks
from raydient.steps.tree import Node

from .assignments import Assignments
from .health import LayerMeter
from .optimizers import Optimizer
from .sums import tree_sum
from .update import Updater


@dataclass(frozen=True, slots=True)
class Assign:
    """Tell a worker to compute leaves `first`..`last` - 1 of round `round`."""

    worker: int
    round: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """An epoch is complete: sums over its training part and over the held-out part, rows first.

    `test` is empty without a held-out part, `train` if the sums were given up at the epoch's last step.
    """

    epoch: int
    step: int
    train: tuple[float, ...]
    test: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Diverged:
    """The loss of a step or of an evaluation after `step` updates, or a gradient, is not finite; no round follows.

    `parameter` is the parameter nearest to the loss with a gradient that is not finite, where backpropagation met it
    first. If all gradients are `finite`, it is the one with the largest gradient; an evaluation has none.
    """

    kind: RoundKind
    step: int
    loss: float
    parameter: str
    finite: bool


@dataclass(frozen=True, slots=True)
class Boundary:
    """The weights are between two rounds, for a snapshot that was requested or the end; `final`: no round follows."""

    final: bool


@dataclass(frozen=True, slots=True)
class PlanInForce:
    """No round of an earlier plan is open; workers that are not in plan `number` have no work left."""

    number: int


Action = Assign | EpochEnd | Diverged | Boundary | PlanInForce


@dataclass(slots=True)
class Position:
    """The position of training: the next round, updates applied, sums of the unfinished epoch (rows first).

    `epoch_scores` are the scores of the unfinished epoch's rows, (rows, ranks) for each step, if metrics rank rows.
    """

    round: int
    step: int
    epoch_sums: NDArray[np.float64]
    epoch_scores: list[Scores] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """The round being computed."""

    round: Round
    assignments: Assignments
    gradients: dict[Node, Gradient] = field(default_factory=dict)
    sums: dict[Node, NDArray[np.float64]] = field(default_factory=dict)
    scores: dict[Node, Scores] = field(default_factory=dict)


class ParameterServer:
    """The position of a job and the round being computed. One thread calls it.

    `updater` holds the weights and is called when a step is complete, with `meter` if health is measured in it. A
    gradient handed to `push` must stay as it is until the next `Assign` of a later round. `ranks` are the places among
    the sums that take the ranks of an epoch's rows, see `steps.scores`.

    Attributes:
        last_loss: of the last step; None before the first.
        health: as measured last, or of the step at which training diverged; None before the first measurement.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        schedule: Schedule,
        optimizer: Optimizer,
        position: Position,
        updater: Updater,
        meter: LayerMeter,
        ranks: Sequence[int] = (),
    ) -> None:
        self.layout, self.schedule, self.optimizer, self.position = layout, schedule, optimizer, position
        self._ranks = tuple(1 + place for place in ranks)  # behind the number of rows
        self.last_loss: float | None = None
        self.health: GradientHealth | None = None
        self._updater, self._meter = updater, meter
        self._attached: set[int] = set()
        self._unconfirmed: tuple[int, Round | None] | None = None  # a plan, the round open at its arrival
        self._workers: Sequence[int] = ()
        self._shares: Sequence[float] = ()
        self._open: _Open | None = None
        self._snapshot_wanted = False
        self._held = False
        self._ended = False

    @property
    def current(self) -> Round | None:
        """The round being computed; None before the first plan, after the last round, and without workers."""
        return self._open.round if self._open is not None else None

    @property
    def owing(self) -> Mapping[int, int]:
        """Leaves of the open round that are assigned and not pushed, by worker; empty if no round is open."""
        return self._open.assignments.owing if self._open is not None else {}

    def attached(self, worker: int) -> None:
        """Note that a worker has joined; a plan may name it from now on."""
        self._attached.add(worker)

    def plan(self, number: int, workers: Sequence[int], shares: Sequence[float]) -> list[Action]:
        """Share the work among these workers, from the next leaf that is handed out on.

        Workers that have detached meanwhile are left out: leaves assigned to them would wait for ever. `PlanInForce`
        follows when the round that is open now has ended, at once if none is.
        """
        kept = [(w, s) for w, s in zip(workers, shares, strict=True) if w in self._attached]
        self._workers, self._shares = [w for w, _ in kept], [s for _, s in kept]
        self._unconfirmed = number, self.current
        if self._open is not None:
            return self._confirmed(self._deal(self._open))
        return self._confirmed([] if self._ended else self._next_round())

    def _confirmed(self, actions: list[Action]) -> list[Action]:
        """Add `PlanInForce`, if that is due."""
        if self._unconfirmed is None:
            return actions
        number, waited_for = self._unconfirmed
        if waited_for is not None and self.current is waited_for:
            return actions
        self._unconfirmed = None
        return [*actions, PlanInForce(number)]

    def hold(self, held: bool) -> list[Action]:
        """Begin no further round while `held`. The open round, plans and snapshots are not affected."""
        self._held = held
        return self._begin() if self._open is None and not self._ended else []

    def detached(self, worker: int) -> list[Action]:
        """A worker is gone. Its leaves go to the others of the plan at once, if there are any."""
        self._attached.discard(worker)
        kept = [(w, s) for w, s in zip(self._workers, self._shares, strict=True) if w != worker]
        self._workers, self._shares = [w for w, _ in kept], [s for _, s in kept]
        if self._open is None:
            return []
        self._open.assignments.forget(worker)
        return self._confirmed(self._deal(self._open))

    def _deal(self, opened: _Open) -> list[Action]:
        """Others share the work of the open round now; without any, what was asked for need not wait for its end."""
        if self._snapshot_wanted and not self._workers:
            return self._give_snapshot()
        return self._hand_out(opened)

    def snapshot(self) -> list[Action]:
        """Answer with a Boundary: now if no round is open, else when the open one ends.

        If the plan names no worker, the answer does not wait for the end of the open round: it is the state in which
        that round began. After the final one, and if training diverged, there is no answer.
        """
        return self._ask(final=False, at_once=False)

    def pause(self, *, at_once: bool = False) -> list[Action]:
        """Answer with the final Boundary, as `snapshot` does; `at_once` does not wait for the end of the open round."""
        return self._ask(final=True, at_once=at_once)

    def _ask(self, *, final: bool, at_once: bool) -> list[Action]:
        if self._open is None and self._ended:
            return []
        self._ended |= final
        self._snapshot_wanted = True
        due = self._open is None or at_once or not self._workers
        return self._confirmed(self._give_snapshot()) if due else []

    def _give_snapshot(self) -> list[Action]:
        """The boundary for a snapshot of the current weights, which an open round has not changed yet."""
        self._snapshot_wanted = False
        if self._ended:
            self._open = None
        return [Boundary(self._ended)]

    def push(
        self,
        round_: int,
        node: Node,
        gradient: Gradient | None,
        sums: NDArray[np.float64],
        scores: Scores | None = None,
    ) -> tuple[str, list[Action]]:
        """Add the sum over a node. Returns an empty text if it counts, else why it does not, and the resulting actions.

        `scores` are the scores of the node's rows, (rows, ranks), if metrics rank rows.
        """
        opened = self._open
        if opened is None or round_ != opened.round.number:
            return ("LATE" if opened is None or round_ < opened.round.number else "EARLY"), []
        if not opened.assignments.accepts(node):
            return "DUPLICATE", []
        opened.assignments.done(node)
        opened.sums[node] = sums
        if gradient is not None:
            opened.gradients[node] = gradient
        if scores is not None:
            opened.scores[node] = scores
        if not opened.assignments.complete:
            return "", []
        return "", self._confirmed(self._close_round(opened))

    def _close_round(self, opened: _Open) -> list[Action]:
        this, root = opened.round, (0, opened.round.leaves)
        sums = tree_sum(opened.sums, root)
        loss, norm = float(sums[0]) / (this.stop - this.start), 0.0
        if this.kind is RoundKind.TRAIN:
            self.last_loss = loss
            norm = self._update(opened)
        if not (np.isfinite(norm) and np.isfinite(loss)):
            parameter, finite = self._suspect(opened.gradients, root)
            if not (finite and np.isfinite(loss)):
                self._examine(opened)
                self._open, self._ended = None, True
                return [Diverged(this.kind, this.step, loss, parameter, finite)]
        if this.kind is RoundKind.TRAIN:
            self.position.step += 1
            self.position.epoch_sums[0] += this.stop - this.start
            self.position.epoch_sums[1:] += sums
            self.position.epoch_scores += _in_order(opened.scores)
        self._open = None
        self.position.round += 1
        actions: list[Action] = []
        if self.schedule.is_epoch_end(this.number):
            test: tuple[float, ...] = ()
            train = self._ranked(self.position.epoch_sums, self.position.epoch_scores)
            self.position.epoch_sums[:] = 0.0
            self.position.epoch_scores.clear()
            if this.kind is RoundKind.EVALUATE:
                test = self._ranked(np.array([this.stop - this.start, *sums]), _in_order(opened.scores))
            actions.append(EpochEnd(this.epoch, self.position.step, train, test))
        return actions + self._next_round()

    def _ranked(self, sums: NDArray[np.float64], scores: Sequence[Scores]) -> tuple[float, ...]:
        """Sums over a part, rows first, with the ranks of its rows filled in; empty without rows."""
        if not sums[0]:
            return ()
        if self._ranks:
            write_ranks(sums, self._ranks, np.concatenate(scores))
        return tuple(sums.tolist())

    def _update(self, opened: _Open) -> float:
        """Apply the gradient, measuring health where it is due; its squared norm."""
        root, step = (0, opened.round.leaves), self.position.step
        meter = self._meter if self.schedule.measures_health(opened.round) else None
        norm = self._updater.apply(self.optimizer, step, opened.gradients, root, meter)
        if meter is not None:
            self.health = meter.read(step + 1, self._active(opened), updated=True)
        return norm

    def _examine(self, opened: _Open) -> None:
        """Health of the step that ends training: of its gradient alone, because the update may be half made."""
        this = opened.round
        if this.kind is not RoundKind.TRAIN:
            return
        with np.errstate(all="ignore"):
            total = tree_sum({node: g.vector for node, g in opened.gradients.items()}, (0, this.leaves))
        self._meter.add_gradient(0, total)
        active = self._active(opened) if self.schedule.measures_health(this) else None
        self.health = self._meter.read(this.step + 1, active, updated=False)

    def _active(self, opened: _Open) -> Vector:
        """Return in how many leaves each unit was active."""
        return tree_sum({node: g.active for node, g in opened.gradients.items()}, (0, opened.round.leaves))

    def _next_round(self) -> list[Action]:
        if self.position.round == self.schedule.rounds:
            self._ended = self._snapshot_wanted = True
        if self._snapshot_wanted:
            boundary = self._give_snapshot()
            return boundary if self._ended else [*boundary, *self._begin()]
        return [] if self._ended else self._begin()

    def _begin(self) -> list[Action]:
        if self._held or not self._workers:
            return []
        this = self.schedule.round(self.position.round)
        self._open = _Open(this, Assignments(this.leaves))
        return self._hand_out(self._open)

    def _hand_out(self, opened: _Open) -> list[Action]:
        if not self._workers:
            return []
        number = opened.round.number
        return [Assign(w, number, a, b) for w, a, b in opened.assignments.hand_out(self._workers, self._shares)]

    def _suspect(self, gradients: Mapping[Node, Gradient], root: Node) -> tuple[str, bool]:
        """See `Diverged`: a parameter, and whether every gradient is finite."""
        largest, suspect = -1.0, ""
        if not gradients:
            return suspect, True
        for parameter in reversed(self.layout.parameters):
            views = {node: parameter.view(gradient.vector) for node, gradient in gradients.items()}
            with np.errstate(all="ignore"):
                total = tree_sum(views, root)
            if not np.isfinite(total).all():
                return parameter.name, False
            norm = float(np.linalg.norm(total.astype(np.float64)))
            if isinstance(parameter.kind, Learned) and norm > largest:
                largest, suspect = norm, parameter.name
        return suspect, True


def _in_order(scores: Mapping[Node, Scores]) -> list[Scores]:
    """Scores by node in the order of the rows; the nodes of a complete round are contiguous."""
    return [np.concatenate([scores[node] for node in sorted(scores)])] if scores else []
