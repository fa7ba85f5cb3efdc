"""The position of training between two rounds, with the sums of the unfinished epoch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raydient.steps.amendments import Amendment
from raydient.steps.order import Arrival
from raydient.steps.scores import Scores, write_ranks
from raydient.steps.tree import Node
from raydient.steps.watched import Watched

from .rollback import rollbacks_in, rolled_back

Sums = NDArray[np.float64]
"""Sums over rows: the loss first, then the metrics; (sums,)."""


@dataclass(slots=True)
class Position:
    """The next round, and the results of the unfinished epoch up to it.

    Attributes:
        round: number of the next round.
        step: updates applied.
        epoch_sums: number of rows of the unfinished epoch's steps, then their sums; (1 + sums,).
        epoch_scores: the scores of these rows, (rows, ranks) for each step, if metrics rank rows.
        seconds: time of training; counted if the job has a limit of time.
        watched: state of the watched metrics after the last complete epoch, by what watches them; see `EpochWatch`.
        amendments: those that are in force, in the order of their numbers.
        outstanding: rounds of an asynchronous job that were handed out and are not applied; then `round` counts the
            rounds that are.
        arrivals: pushes of a job that is not synchronous, since the last snapshot.
        staleness: number of these pushes since the process began, by the staleness of their gradients.
    """

    round: int
    step: int
    epoch_sums: Sums
    epoch_scores: list[Scores] = field(default_factory=list)
    seconds: float = 0.0
    watched: Mapping[str, Watched] = field(default_factory=dict)
    amendments: Sequence[Amendment] = ()
    outstanding: list[int] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    staleness: Counter[int] = field(default_factory=Counter)

    def complete_step(self, rows: int, sums: Sums, scores: Sequence[Scores]) -> None:
        """Add the results of an update's rows."""
        self.step += 1
        self.epoch_sums[0] += rows
        self.epoch_sums[1:] += sums
        self.epoch_scores += scores

    def note(self, arrivals: Sequence[Arrival]) -> None:
        """Note the pushes of a step, before it is counted."""
        self.arrivals += arrivals
        self.staleness.update(self.step - arrival.version for arrival in arrivals)

    def skip_step(self) -> None:
        """Count an update that was skipped; its rows have no part in the epoch's results."""
        self.step += 1

    @property
    def rollbacks(self) -> int:
        """Number of rollbacks of the job."""
        return rollbacks_in(self.watched)

    def roll_back(self) -> None:
        """Count a rollback. Rows of the epoch so far have no part in its results."""
        self.watched = rolled_back(self.watched)
        self._clear()

    def epoch_results(self, ranks: Sequence[int]) -> tuple[float, ...]:
        """Return the results of the epoch's steps so far, see `results`."""
        return results(self.epoch_sums.copy(), self.epoch_scores, ranks)

    def complete_epoch(self, watched: Mapping[str, Watched]) -> None:
        """Begin the next epoch. `watched` is the state of the watched metrics after the one that ends."""
        self.watched = watched
        self._clear()

    def _clear(self) -> None:
        self.epoch_sums[:] = 0.0
        self.epoch_scores.clear()


def results(sums: Sums, scores: Sequence[Scores], ranks: Sequence[int]) -> tuple[float, ...]:
    """Return the sums over a part, the number of rows first, with the ranks of its rows; empty without rows.

    `ranks` are the places among the sums, behind the number of rows, that take the ranks; they are filled in place.
    """
    if not sums[0]:
        return ()
    if ranks:
        whole = scores[0] if len(scores) == 1 else np.concatenate(scores)
        write_ranks(sums, [1 + place for place in ranks], whole)
    return tuple(sums.tolist())


def in_order(scores: Mapping[Node, Scores]) -> list[Scores]:
    """Return the scores by node in the order of the rows; the nodes of a complete round are contiguous."""
    return [np.concatenate([scores[node] for node in sorted(scores)])] if scores else []
