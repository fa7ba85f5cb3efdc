"""What to do when a process of a job is lost: a policy that looks at counts and returns a decision."""

from enum import Enum, auto

from raydient.wire.control import Role

LOSSES_WITHOUT_PROGRESS = 3
"""Processes that may be lost in a row, with no step completed in between, before the job itself is at fault."""


class Decision(Enum):
    REPLACE = auto()  # start another; the others go on
    ROLL_BACK = auto()  # start all again from the last checkpoint
    FAIL = auto()


def decide(role: Role, losses_without_progress: int) -> Decision:
    """The decision on losing a process of this role; the count includes this loss."""
    if losses_without_progress > LOSSES_WITHOUT_PROGRESS:
        return Decision.FAIL
    return Decision.ROLL_BACK if role is Role.PARAMETER_SERVER else Decision.REPLACE
