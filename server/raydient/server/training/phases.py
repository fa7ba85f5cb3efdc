"""The phases of a run."""

from enum import Enum, auto


class Phase(Enum):
    """The phase of a run."""

    STARTING = auto()  # members start or come back; no plan has been sent in this generation
    TRAINING = auto()
    PAUSING = auto()  # a final snapshot has been requested, or a held one has to be on disk soon
    ENDED = auto()  # no action follows; every member is to be ended
