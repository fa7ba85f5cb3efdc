"""The schedule of a job: which work belongs to which round. A pure function of the job, equal in all its processes.

All members finish a *round* before any of them begins the next. A round is either one training step, whose leaves are
microbatches, or the evaluation of the held-out part at the end of an epoch, whose leaves are fixed blocks of rows.
Rounds are numbered from 0 over the whole job. The schedule does not depend on which worker computes which leaf, so
neither do the weights.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

EVALUATION_BLOCK_ROWS = 256
"""Rows of one leaf of an evaluation round. Fixed, because another shape of a matrix product gives other bits."""


class RoundKind(StrEnum):
    TRAIN = "train"
    EVALUATE = "evaluate"


@dataclass(frozen=True, slots=True)
class Round:
    """One round's place in the job.

    Attributes:
        number: position in the job, from 0.
        kind: train or evaluate.
        epoch: epoch it belongs to, from 0.
        step: number of optimizer updates before this round; so also the number of this round's update, from 0.
        start, stop: half-open range of positions in the epoch's sample order (train) or rows of the held-out part
            (evaluate).
        leaves: number of leaves of the round's reduction tree, each at least one row.
    """

    number: int
    kind: RoundKind
    epoch: int
    step: int
    start: int
    stop: int
    leaves: int

    def leaf(self, index: int) -> tuple[int, int]:
        """Return the half-open range of positions of leaf `index`. Shares of a step differ by at most one row."""
        rows = self.stop - self.start
        if self.kind is RoundKind.EVALUATE:
            first = self.start + index * EVALUATION_BLOCK_ROWS
            return first, min(first + EVALUATION_BLOCK_ROWS, self.stop)
        return self.start + rows * index // self.leaves, self.start + rows * (index + 1) // self.leaves

    def rows(self, node: tuple[int, int]) -> int:
        """Return the number of rows of the leaves of a node."""
        return self.leaf(node[1] - 1)[1] - self.leaf(node[0])[0]


def default_microbatches(batch_size: int) -> int:
    """Return the default number of microbatches: from the batch size alone, never from the number of workers."""
    return min(8, max(1, batch_size // 32))


@dataclass(frozen=True, slots=True)
class Schedule:
    """The rounds of a job.

    Attributes:
        train_rows, test_rows: samples in the training part and in the held-out part (0: no evaluation).
        epochs, batch_size, microbatches: from the job's specification, resolved.
        gradient_health_every: number of steps from one measurement of gradient health to the next; 0: none.
        max_steps: number of steps of the job, if the last epoch ends before its last batch; 0: it is complete.
    """

    train_rows: int
    test_rows: int
    epochs: int
    batch_size: int
    microbatches: int
    gradient_health_every: int = 0
    max_steps: int = 0

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.train_rows // self.batch_size)

    @property
    def rounds_per_epoch(self) -> int:
        return self.steps_per_epoch + (1 if self.test_rows else 0)

    @property
    def steps(self) -> int:
        return self.max_steps or self.epochs * self.steps_per_epoch

    @property
    def rounds(self) -> int:
        return self.steps + (self.epochs if self.test_rows else 0)

    def lasting(self, epochs: int, max_steps: int | None) -> "Schedule":
        """Return the schedule of the same steps with another end: after the epochs, or `max_steps` if that is sooner.

        The rounds that both have are the same, apart from the evaluation of the last epoch, which may be cut short.
        """
        whole = replace(self, epochs=epochs, max_steps=0)
        if max_steps is None or max_steps >= whole.steps:
            return whole
        return replace(whole, epochs=-(-max_steps // self.steps_per_epoch), max_steps=max_steps)

    def samples(self, step: int) -> int:
        """Return the number of training samples that the first `step` updates use."""
        epochs, steps = divmod(step, self.steps_per_epoch)
        return epochs * self.train_rows + steps * self.batch_size

    def round(self, number: int) -> Round:
        """Return the round of this number. IndexError if the job has no such round."""
        if not 0 <= number < self.rounds:
            raise IndexError(f"round {number} of a job of {self.rounds} rounds")
        within = number % self.rounds_per_epoch
        epoch, step = self.position(number)
        if within == min(self.steps_per_epoch, self.steps - epoch * self.steps_per_epoch):
            blocks = -(-self.test_rows // EVALUATION_BLOCK_ROWS)
            return Round(number, RoundKind.EVALUATE, epoch, step, 0, self.test_rows, blocks)
        start = within * self.batch_size
        stop = min(start + self.batch_size, self.train_rows)
        return Round(number, RoundKind.TRAIN, epoch, step, start, stop, min(self.microbatches, stop - start))

    def position(self, number: int) -> tuple[int, int]:
        """Return the epochs completed and updates applied before round `number`, which may be `rounds`, the end."""
        if number == self.rounds:
            return self.epochs, self.steps
        epoch, within = divmod(number, self.rounds_per_epoch)
        return epoch, epoch * self.steps_per_epoch + within

    def measures_health(self, round_: Round) -> bool:
        """Return True if gradient health is measured in a round: the first step, every n-th and the last."""
        number, every = round_.step + 1, self.gradient_health_every
        return round_.kind is RoundKind.TRAIN and every > 0 and (number in (1, self.steps) or number % every == 0)

    def is_whole_step(self, round_: Round) -> bool:
        """Return True if a round is a step with as many rows as the first step has."""
        return round_.kind is RoundKind.TRAIN and round_.stop - round_.start == min(self.batch_size, self.train_rows)

    def is_epoch_end(self, number: int) -> bool:
        """Return True if round `number` is the last of its epoch."""
        return (number + 1) % self.rounds_per_epoch == 0 or number + 1 == self.rounds

    def shape_rows(self) -> frozenset[int]:
        """Return the numbers of rows that training leaves of this job have: at most four different ones."""
        rounds = {self.round(0), self.round(min(self.steps_per_epoch, self.steps) - 1)}
        return frozenset(stop - start for r in rounds for start, stop in (r.leaf(i) for i in range(r.leaves)))
