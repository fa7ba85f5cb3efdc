"""The round that is being computed, as the conductor keeps it, and its results once all leaves are done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from raydient.steps.order import Arrival
from raydient.steps.schedule import Round, RoundKind
from raydient.steps.scores import Scores
from raydient.steps.tree import Node, tree_sum
from raydient.steps.watched import Watched

from .actions import Diverged, EpochEnd
from .assignments import Assignments
from .epoch_watch import EpochWatch
from .position import Position, Sums, in_order, results
from .requests import Further, Keep, Mark, SetRate, Show
from .rollback import rolled_back
from .rule import UpdateRule


@dataclass(slots=True)
class Opened:
    """The round being computed.

    Attributes:
        round, assignments: the round, and the division of its leaves.
        contributions, sums, scores: of the nodes that were pushed.
        total: sums over all rows, once the round is complete.
        end: end of the epoch, once its last round is complete.
        watched: state of the watched metrics after that epoch.
        due: requests before the round ends.
        rollback: the reason for one.
        versions: number of updates in the weights on which each leaf is computed, by leaf.
    """

    round: Round
    assignments: Assignments
    contributions: dict[Node, Any] = field(default_factory=dict)
    sums: dict[Node, Sums] = field(default_factory=dict)
    scores: dict[Node, Scores] = field(default_factory=dict)
    total: Sums = field(default_factory=lambda: np.zeros(0))
    end: EpochEnd | None = None
    watched: Mapping[str, Watched] = field(default_factory=dict)
    due: list[Further] = field(default_factory=list)
    rollback: Diverged | None = None
    versions: dict[int, int] = field(default_factory=dict)

    def arrivals(self) -> list[Arrival]:
        """Return the pushes of the round, in the order of their nodes."""
        return [Arrival(self.round.number, *node, self.versions[node[0]]) for node in sorted(self.sums)]

    def complete(self) -> float:
        """Add up the sums over all nodes, and return the mean loss of the rows."""
        self.total = tree_sum(self.sums, (0, self.round.leaves))
        return float(self.total[0]) / self._rows

    def complete_step(self, position: Position) -> None:
        """Add the results of a step to those of the epoch."""
        position.complete_step(self._rows, self.total, in_order(self.scores))

    def end_epoch(self, position: Position, watch: EpochWatch, ranks: Sequence[int]) -> None:
        """Compute the results of the epoch that ends with the round; the position stays as it is.

        A rollback leaves out the results that are not finite: those of an evaluation, or those of steps.
        """
        train, test, watched = position.epoch_results(ranks), self._held_out(ranks), position.watched
        if self.rollback is not None:
            train, test, watched = train if test else (), (), rolled_back(watched)
        self.end = EpochEnd(self.round.epoch, position.step, train, test)
        self.watched = watch.after(watched, self.round.epoch + 1, train, test)

    def decide(self, position: Position, watch: EpochWatch, rule: UpdateRule) -> None:
        """Note the requests that follow from a complete evaluation, and set the learning rate."""
        if rule.average is not None:
            self.due.append(Show(self.round, average=False))
        if watch.keeps(self.watched, self.round.epoch + 1):
            self.due.append(Keep(self.round))
        factor = watch.rate_factor(self.watched)
        if factor != watch.rate_factor(position.watched):
            self.due.append(SetRate(self.round, factor))
            rule.learning_rate.factor = factor
            assert self.end is not None, "an evaluation ends an epoch"
            self.end = replace(self.end, reduced_rate=rule.learning_rate(self.round.step))
        if (level := watch.level(self.watched)) != watch.level(position.watched):
            assert self.end is not None, "an evaluation ends an epoch"
            self.end = replace(self.end, safeguard=level)
        if rule.rollback is not None:
            self.due.append(Mark(self.round))

    def _held_out(self, ranks: Sequence[int]) -> tuple[float, ...]:
        """Return the results of an evaluation, see `position.results`; empty for a step."""
        if self.round.kind is not RoundKind.EVALUATE:
            return ()
        return results(np.array([self._rows, *self.total]), in_order(self.scores), ranks)

    @property
    def _rows(self) -> int:
        return self.round.stop - self.round.start
