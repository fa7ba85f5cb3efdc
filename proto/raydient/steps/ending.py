"""The reasons why training is over."""

from enum import StrEnum


class Ending(StrEnum):
    """The reason why no round follows."""

    COMPLETE = "complete"  # all epochs are done
    MAX_STEPS = "max_steps"  # the steps are done that the specification allows
    MAX_MINUTES = "max_minutes"  # the time has passed that the specification allows
    STOPPED_EARLY = "stopped_early"  # the watched metric has not improved for too many epochs
