"""Messages between the conductor of a job and its further shards, besides the frames of a step.

A shard dials the conductor. On one node both map the same memory: the segment of all weights and the slots of workers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raydient.steps.schedule import Schedule
from raydient.steps.watched import Watched


@dataclass(frozen=True, slots=True)
class Join:
    """From a shard, its first message. `shard` is its number, from 1."""

    shard: int
    generation: int


@dataclass(frozen=True, slots=True)
class Joined:
    """From the conductor: answer to `Join`. On one node its array `weights` is the memory of all weights."""


@dataclass(frozen=True, slots=True)
class Ready:
    """From a shard: its weights are in place."""


@dataclass(frozen=True, slots=True)
class Slots:
    """From the conductor: a worker has attached that shares memory. The array `slots` is the memory of its slots."""

    worker: int


@dataclass(frozen=True, slots=True)
class Forget:
    """From the conductor: a worker has left. Gradients that it pushed in the open round may still count.

    From a shard: the connection of a worker has ended, perhaps with a gradient on its way; the worker has to leave.
    """

    worker: int


@dataclass(frozen=True, slots=True)
class TakePart:
    """From the conductor: send the coordinator the `SnapshotPart` of the snapshot before a round.

    `step` is the number of updates that the weights have.
    """

    round: int
    step: int


@dataclass(frozen=True, slots=True)
class Retrain:
    """From the conductor: use these settings from the next round on.

    Attributes:
        training: JSON form of the training part of the specification.
        schedule: the rounds of the job.
        watched: state of the watched metrics, on which the learning rate may depend.
    """

    training: Mapping[str, Any]
    schedule: Schedule
    watched: Mapping[str, Watched]


ShardMessage = Join | Joined | Ready | Slots | Forget | TakePart | Retrain
