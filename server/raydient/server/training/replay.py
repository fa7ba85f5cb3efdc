"""Training again in one process, in the recorded order of arrival: the same updates, so the same bits."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.server.parameters.actions import Action, Amended, Assign, EpochEnd
from raydient.server.parameters.building import build_conductor
from raydient.server.parameters.consistency import Policy, Work
from raydient.server.parameters.opened import Opened
from raydient.server.parameters.position import Position
from raydient.server.parameters.requests import Request
from raydient.server.parameters.serving import ShardServer, terms_of
from raydient.steps.amendments import Amendment
from raydient.steps.arrays import Vector, aligned_zeros
from raydient.steps.encoded import Encoded
from raydient.steps.gradient import Gradient, Table
from raydient.steps.order import Arrival
from raydient.steps.schedule import RoundKind, Schedule
from raydient.steps.scores import Scores
from raydient.steps.tree import Node, maximal_subtrees
from raydient.wire.channel import Assignment
from raydient.wire.handshake import new_secret
from raydient.wire.hub import Hub
from raydient.wire.terms import Terms
from raydient.workers.worker import Worker

from .member_messages import serve_message
from .order_record import Part
from .preparation import Prepared
from .storage import beginning, result_of

_WORKER = 0


class RecordCut(ValueError):  # noqa: N818  (an outcome of reading)
    """The record does not have the pushes of all steps; the message says which are missing."""


def replay(
    prepared: Prepared,
    parts: Sequence[Part],
    amendments: Sequence[Amendment],
    end: int,
    progress: Callable[[int], None] = lambda step: None,
    *,
    ended: Callable[[EpochEnd], None] = lambda end: None,
) -> str:
    """Train a job up to step `end` in the order of its record, and return the digest of the model.

    Args:
        prepared: the job, as it was submitted.
        parts: see `read_order`.
        amendments: those of the job up to that step, with the rounds at which they took effect.
        end: the step of a checkpoint.
        progress: receives the number of updates after each one.
        ended: receives the results of each epoch.

    Raises:
        RecordCut: pushes are missing.
    """
    return _Replay(prepared, _by_step(prepared, parts, amendments, end), amendments, end).run(progress, ended)


def _by_step(
    prepared: Prepared, parts: Sequence[Part], amendments: Sequence[Amendment], end: int
) -> dict[int, list[Arrival]]:
    """Return the pushes of each step that is not synchronous. Raises RecordCut."""
    steps: dict[int, list[Arrival]] = {}
    for begin, stop, arrivals in parts:
        rounds = [list(group) for _, group in groupby(arrivals, key=lambda arrival: arrival.round)]
        if len(rounds) != stop - begin:
            raise RecordCut(f"the record has {len(rounds)} of the steps {begin} to {stop}")
        steps.update(enumerate(rounds, begin))
    changes = iter([*amendments, None])
    change, training, schedule = next(changes), prepared.spec.training, prepared.amended(amendments).schedule
    for step in range(end):
        while change is not None and change.step <= step:
            training = prepared.amended([one for one in amendments if one.step <= step]).spec.training
            change = next(changes)
        if training.consistency.is_stale and not _complete(schedule, steps.get(step, [])):
            raise RecordCut(f"the record lacks pushes of step {step}, of {end} steps of the job")
    return steps


def _complete(schedule: Schedule, arrivals: Sequence[Arrival]) -> bool:
    """Return True if pushes have each leaf of a step once."""
    leaves = sorted(leaf for arrival in arrivals for leaf in range(arrival.first, arrival.last))
    return bool(arrivals) and leaves == list(range(schedule.round(arrivals[0].round).leaves))


class _Recorded(Policy):
    """Opens one round at a time, that of the record, and has each leaf computed on the recorded version."""

    is_stale = True

    def __init__(self, steps: Mapping[int, Sequence[Arrival]], end: int) -> None:
        self._steps, self._end = steps, end
        self._rounds = {arrivals[0].round: arrivals for arrivals in steps.values()}

    def next_round(self, position: Position, opened: Mapping[int, Opened], schedule: Schedule) -> int | None:
        if opened:
            return None
        if position.round < schedule.rounds and schedule.round(position.round).kind is RoundKind.EVALUATE:
            return position.round
        if position.step == self._end:
            return None
        arrivals = self._steps.get(position.step)
        return arrivals[0].round if arrivals else position.round

    def complete(self, position: Position, opened: Mapping[int, Opened]) -> Opened | None:
        return next((one for one in opened.values() if one.assignments.complete), None)

    def hand_out(
        self,
        opened: Mapping[int, Opened],
        workers: Sequence[int],
        shares: Sequence[float],
        open_next: Callable[[], Opened | None],
    ) -> Iterator[Work]:
        for one in opened.values():
            arrivals = self._rounds.get(one.round.number, [])
            for first, last in [(arrival.first, arrival.last) for arrival in arrivals] or [(0, one.round.leaves)]:
                if one.assignments.waits:
                    one.assignments.assign(_WORKER, first, last)
                    yield _WORKER, one, first, last

    def version(self, position: Position, number: int, leaf: int) -> int:
        arrivals = self._rounds.get(number, [])
        return next((arrival.version for arrival in arrivals if arrival.first <= leaf < arrival.last), position.step)


class _Channel:
    """The worker's channel in the process of the parameter server: it keeps what is pushed. See `wire.channel`."""

    pulled: Sequence[Table] = ()
    length: tuple[int, int] | None = None
    travels = False

    def __init__(self, terms: Terms, weights: Vector) -> None:
        self.terms, self.weights = terms, weights
        self.encoded = None if terms.coding is None else Encoded(terms.coding)
        self.pushed: list[tuple[int, Node, Gradient | None, NDArray[np.float64], Scores | None]] = []
        self._slots: dict[int, Gradient] = {}
        self._scores: Scores | None = None

    def nodes(self, first: int, last: int, leaves: int) -> Iterator[Node]:
        return maximal_subtrees(first, last, leaves)

    def slot(self, index: int) -> Gradient:
        if index not in self._slots:
            self._slots[index] = self.terms.gradient.zeros()
        return self._slots[index]

    def wait(self) -> Assignment | None:
        """Return None: assignments do not come over the channel."""
        return None

    def pull(self, rows: Mapping[int, Any]) -> None: ...

    def send_part(self, round_: int, node: Node, slot: int, start: int) -> None: ...

    def score(self, round_: int, node: Node, scores: Scores) -> None:
        self._scores = scores

    def push(
        self, round_: int, node: Node, slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        gradient = None if slot is None else self.slot(slot)
        self.pushed.append((round_, node, gradient, sums.copy(), self._scores))
        self._scores = None

    def close(self) -> None: ...


class _Source:
    """The gradients of the only worker for the only shard; see `sources.Source`."""

    def __init__(self) -> None:
        self.gradients: dict[Node, Gradient] = {}

    def gradient(self, round_: int, node: Node, slot: int) -> Gradient:
        return self.gradients[node]

    def begin(self, round_: int, version: int, *, kept: int = 0) -> None: ...

    def send_weights(self, round_: int, version: int, stop: int) -> None: ...


class _Replay:
    """A conductor, its only shard and a worker, which take turns."""

    def __init__(
        self,
        prepared: Prepared,
        steps: Mapping[int, Sequence[Arrival]],
        amendments: Sequence[Amendment],
        end: int,
    ) -> None:
        prepared = replace(prepared, ranges=[(0, prepared.network.layout.size)])
        self._prepared, self._end = prepared, end
        self._last_use = {arrival.version: step for step, arrivals in steps.items() for arrival in arrivals}
        serve, bundle = serve_message(prepared, beginning(prepared), 0, shard=0, conductor=None, waiting=amendments)
        arrays, terms = bundle.arrays, terms_of(serve)
        recorded = _Recorded(steps, end)
        self._conductor, settings = build_conductor(serve, arrays, lambda consistency, watched: recorded)
        self._rule = settings.rule
        weights = aligned_zeros((prepared.network.layout.size,), np.float32)
        self._network = Hub(new_secret(), 0)  # without connections
        self._server = ShardServer(self._network, serve, settings.rule, terms, weights=weights, arrays=arrays)
        self._source = _Source()
        self._server.attach(_WORKER, self._source)
        self._channel = _Channel(terms, weights)
        self._worker = Worker(
            network=prepared.network,
            schedule=prepared.schedule,
            seed=prepared.spec.training.seed,
            data=prepared.dataset,
            channel=self._channel,
            local_steps=prepared.spec.training.consistency.local_steps,
            augment=prepared.spec.dataset.augment,
        )
        self._recorded, self._versions = recorded, dict[int, Vector]()
        self._round = -1  # of the last assignment

    def run(self, progress: Callable[[int], None], ended: Callable[[EpochEnd], None]) -> str:
        """Train to the end; return the digest of the model."""
        conductor = self._conductor
        try:
            conductor.attached(_WORKER)
            actions = deque(conductor.plan(1, [_WORKER], [1.0]))
            while actions:
                step, action = conductor.position.step, actions.popleft()
                if isinstance(action, EpochEnd):
                    ended(action)
                actions.extendleft(reversed(self._carry_out(action)))
                if conductor.position.step != step:
                    progress(conductor.position.step)
            name = result_of(self._server.arrays, conductor.position.watched)
            return self._prepared.network.layout.digest(self._server.arrays[name])
        finally:
            self._server.close()
            self._network.close()

    def _carry_out(self, action: Action) -> Sequence[Action]:
        """Carry out an action of the conductor; return those that follow."""
        match action:
            case Assign():
                return self._compute(action)
            case Amended(settings=settings):
                self._rule = settings.rule
                self._server.retrain(settings.rule, settings.training.consistency)
                self._channel.length = settings.schedule.epochs, settings.schedule.max_steps
        if isinstance(action, Request):
            return self._conductor.answered(0, self._server.answer(action))
        return ()

    def _compute(self, assign: Assign) -> Sequence[Action]:
        """Have the worker compute leaves on their version of the weights, and push the sums over their nodes."""
        conductor, step = self._conductor, self._conductor.position.step
        self._channel.weights, round_ = self._server.shown, conductor.schedule.round(assign.round)
        if round_.kind is RoundKind.TRAIN:
            self._channel.weights = self._weights(
                self._recorded.version(conductor.position, assign.round, assign.first)
            )
        # One round is open at a time, so the slots of all others are free.
        kept = 0 if assign.round == self._round else assign.round - conductor.schedule.rounds
        self._round = assign.round
        rate = self._rule.local_rate(round_)
        self._worker.compute(Assignment(assign.round, assign.first, assign.last, kept, rate), 0.0)
        pushed, self._channel.pushed = self._channel.pushed, []
        actions: list[Action] = []
        for number, node, gradient, sums, scores in pushed:
            if gradient is not None:
                self._source.gradients[node] = gradient
            _, more = conductor.push(number, node, (_WORKER, 0, number), sums, scores)
            actions += more
        self._versions = {at: kept for at, kept in self._versions.items() if self._last_use[at] >= step}
        return actions

    def _weights(self, version: int) -> Vector:
        """Return the weights of a version; keep the present ones if they are needed later."""
        step = self._conductor.position.step
        if step in self._last_use and step not in self._versions:
            self._versions[step] = self._server.shown.copy()
        return self._server.shown if version == step else self._versions[version]
