"""The result of a replay."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replay:
    """A job that was trained again up to its newest checkpoint.

    Attributes:
        steps: number of its steps.
        digest: digest of the replayed weights.
        recorded_digest: digest of the checkpoint.
    """

    steps: int
    digest: str
    recorded_digest: str

    @property
    def is_equal(self) -> bool:
        """True if the weights have the same bits."""
        return self.digest == self.recorded_digest
