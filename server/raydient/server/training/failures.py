"""Decides how to react to the loss of a process, and names the reasons of failures."""

import math
from collections.abc import Callable
from enum import Enum, auto

from raydient.server.clusters.cluster import OUT_OF_MEMORY
from raydient.wire.control import Role

from .reports import Notice

LOSSES_WITHOUT_PROGRESS = 3
"""Losses in a row, without a step completed in between, that are tolerated before the job fails."""
TOGETHER_SECONDS = 2.0
"""Losses within this time count as one, because a machine that goes down takes several processes with it."""
FIRST_PAUSE_SECONDS = 1.0
"""Pause after the second loss in a row: a resource that the processes lacked, such as memory, may be free then."""
PARTED = "its connection to another one ended"
"""The reason why a parameter server that lives has lost its part."""


def reason_of(role: Role, why: str) -> str:
    """Return the reason word of a failure caused by the loss of a process, which ended as `why` describes."""
    return "OUT_OF_MEMORY" if why.startswith(OUT_OF_MEMORY) else f"{role.value.upper()}_LOST"


def loss_notice(role: Role, member: int, why: str) -> Notice:
    """Return the report that a member is lost."""
    return Notice(f"{role.value.upper()}_LOST", f"{role.value.replace('_', ' ')} {member}: {why}")


def repeated_loss(role: Role, member: int, why: str, losses: int) -> str:
    """Describe the loss of a member that ends the job, the last of so many in a row."""
    text = loss_notice(role, member, why).message
    return f"{text}; {losses} times processes were lost without a step completed in between"


def pause_seconds(losses: int) -> float:
    """Return the pause before processes start again after `losses` in a row: none after the first, then doubled."""
    return 0.0 if losses < 2 else FIRST_PAUSE_SECONDS * 2.0 ** (losses - 2)


class Decision(Enum):
    REPLACE = auto()  # start another; the others go on
    ROLL_BACK = auto()  # start another; all go back to the last checkpoint
    FAIL = auto()


class Losses:
    """Counts losses since a step was last completed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._number, self._last = clock, 0, -TOGETHER_SECONDS
        self._rounds = 0  # ever completed
        self._start_at = -math.inf  # when processes may be started

    def count(self) -> int:
        """Count the loss of a process and return the number of losses."""
        now = self._clock()
        if not self._number or now - self._last >= TOGETHER_SECONDS:
            self._number += 1
            self._last = now
        self._start_at = now + pause_seconds(self._number)
        return self._number

    @property
    def pausing(self) -> bool:
        """True during the pause before processes are started again."""
        return self._clock() < self._start_at

    def completed(self, rounds: int) -> None:
        """Note the number of completed rounds. Resets the count if it is higher than ever before."""
        if rounds > self._rounds:
            self._rounds, self._number = rounds, 0

    def decide(self, *, has_state: bool) -> Decision:
        """Decide how to react to the loss, counted last, of a process that had a state of training, or had none."""
        if self._number > LOSSES_WITHOUT_PROGRESS:
            return Decision.FAIL
        return Decision.ROLL_BACK if has_state else Decision.REPLACE
