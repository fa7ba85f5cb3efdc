"""Local steps: the batches of a round, as each leaf's share of rows has a part of each."""

from dataclasses import dataclass

from .schedule import Round, Schedule


@dataclass(frozen=True, slots=True)
class LocalSteps:
    """The local steps of the leaves of a job.

    A leaf makes a local step with each of its parts. A round with fewer rows than others has fewer batches, so fewer
    local steps, of about as many rows.

    Attributes:
        batch_size: rows of a batch; a round of a synchronous job has no more.
    """

    batch_size: int

    @classmethod
    def of(cls, schedule: Schedule, batches: int) -> "LocalSteps":
        """Return the local steps of a job whose rounds have up to `batches` batches."""
        return cls(schedule.batch_size // batches)

    def parts(self, round_: Round, leaf: int) -> list[tuple[int, int]]:
        """Return the half-open range of positions of each local step of a leaf of a training round, in order.

        The parts differ by at most one row, and each has at least one.
        """
        start, stop = round_.leaf(leaf)
        rows, batches = stop - start, -(-(round_.stop - round_.start) // self.batch_size)
        count = min(batches, rows)
        if count == 1:
            return [(start, stop)]
        return [(start + rows * i // count, start + rows * (i + 1) // count) for i in range(count)]

    def shape_rows(self, schedule: Schedule) -> frozenset[int]:
        """Return the numbers of rows that the local steps of a job have; those of its leaves if it is synchronous."""
        rounds = [schedule.round(0), schedule.round(min(schedule.steps_per_epoch, schedule.steps) - 1)]
        parts = (part for r in rounds for leaf in range(r.leaves) for part in self.parts(r, leaf))
        return frozenset(stop - start for start, stop in parts)
