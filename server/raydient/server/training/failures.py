"""Decides how to react to the loss of a process: a policy that looks at counts and returns a decision."""

from collections.abc import Callable
from enum import Enum, auto

from raydient.server.clusters.cluster import OUT_OF_MEMORY
from raydient.wire.control import Role

LOSSES_WITHOUT_PROGRESS = 3
"""Losses in a row, without a step completed in between, that are tolerated before the job fails."""
OWN_FAULTS = frozenset({"NON_FINITE", "INVALID_SPEC"})
"""Reasons of failures that lie in the job itself, which would fail again. All other reasons lie outside of it."""
TOGETHER_SECONDS = 2.0
"""Losses within this time count as one, because a machine that goes down takes several processes with it."""

FIRST_PAUSE_SECONDS = 1.0
"""Pause after the second loss in a row: a resource that the processes lacked, such as memory, may be free then."""


def reason_of(role: Role, why: str) -> str:
    """The reason word of a failure caused by the loss of a process; `why` says how the process ended."""
    return "OUT_OF_MEMORY" if why.startswith(OUT_OF_MEMORY) else f"{role.value.upper()}_LOST"


def pause_seconds(losses: int) -> float:
    """Pause before processes are started again after so many losses in a row: none after the first, then doubled."""
    return 0.0 if losses < 2 else FIRST_PAUSE_SECONDS * 2.0 ** (losses - 2)


class Decision(Enum):
    REPLACE = auto()  # start another; the others go on
    ROLL_BACK = auto()  # start all again from the last checkpoint
    FAIL = auto()


class Losses:
    """Counts losses since a step was last completed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._number, self._last = clock, 0, -TOGETHER_SECONDS

    def count(self) -> int:
        """Count the loss of a process. Returns the number of losses."""
        now = self._clock()
        if not self._number or now - self._last >= TOGETHER_SECONDS:
            self._number += 1
            self._last = now
        return self._number

    @property
    def pause_seconds(self) -> float:
        """Pause before processes are started again."""
        return pause_seconds(self._number)

    def forget(self) -> None:
        """Reset the count, because a new step was completed."""
        self._number = 0

    def decide(self, role: Role) -> Decision:
        """Decide how to react to the loss, counted last, of a process of this role."""
        if self._number > LOSSES_WITHOUT_PROGRESS:
            return Decision.FAIL
        return Decision.ROLL_BACK if role is Role.PARAMETER_SERVER else Decision.REPLACE
