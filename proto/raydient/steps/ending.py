"""The reasons why training is over."""

from enum import StrEnum


class Ending(StrEnum):
    """The reason why no round follows."""

    COMPLETE = "complete"  # all rounds of the schedule are done
    STOPPED_EARLY = "stopped_early"  # the watched metric has not improved for too many epochs
