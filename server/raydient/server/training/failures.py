"""What to do when a process of a job is lost: a policy that looks at counts and returns a decision."""

from collections.abc import Callable
from enum import Enum, auto

from raydient.server.clusters.endings import OUT_OF_MEMORY
from raydient.wire.control import Role

LOSSES_WITHOUT_PROGRESS = 3
"""How often processes may be lost in a row, with no step completed in between, before the job itself is at fault."""
OWN_FAULTS = frozenset({"NON_FINITE", "INVALID_SPEC"})
"""Reasons for a failure that lie in the job itself: it would fail again. Every other reason lies outside of it."""
TOGETHER_SECONDS = 2.0
"""What is lost within this time after another is the same mishap: a machine that went down took several with it."""

FIRST_PAUSE_SECONDS = 1.0
"""Before processes that were lost twice in a row are started again: what they lack, as memory, may be free then."""


def reason_of(role: Role, why: str) -> str:
    """The reason of a failure, for programs: of the loss of a process of this role, which ended like this."""
    return "OUT_OF_MEMORY" if why.startswith(OUT_OF_MEMORY) else f"{role.value.upper()}_LOST"


class Decision(Enum):
    REPLACE = auto()  # start another; the others go on
    ROLL_BACK = auto()  # start all again from the last checkpoint
    FAIL = auto()


class Losses:
    """Counts mishaps since a step was last completed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._number, self._last = clock, 0, -TOGETHER_SECONDS

    def count(self) -> int:
        """A process is lost; how many mishaps there are now."""
        now = self._clock()
        if not self._number or now - self._last >= TOGETHER_SECONDS:
            self._number += 1
            self._last = now
        return self._number

    @property
    def pause_seconds(self) -> float:
        """How long to wait before processes are started again: not at all at first, then twice as long each time."""
        return 0.0 if self._number < 2 else FIRST_PAUSE_SECONDS * 2.0 ** (self._number - 2)

    def forget(self) -> None:
        """A step was completed that never was before."""
        self._number = 0

    def decide(self, role: Role) -> Decision:
        """The decision on the process of this role that was counted last."""
        if self._number > LOSSES_WITHOUT_PROGRESS:
            return Decision.FAIL
        return Decision.ROLL_BACK if role is Role.PARAMETER_SERVER else Decision.REPLACE
