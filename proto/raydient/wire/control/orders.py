"""Messages of the coordinator of a run to its members: parameter servers and workers.

A message "to the parameter server" that names no shard is to the conductor; see `members`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raydient.steps.amendments import Amendment
from raydient.steps.layout import Layout
from raydient.steps.manifest import Manifest
from raydient.steps.schedule import Schedule
from raydient.steps.watched import Watched
from raydient.wire.endpoint import Endpoint

CONTENT = "content"
"""Name of the array of a `DataShard`."""


@dataclass(frozen=True, slots=True)
class Ping:
    """On a lifeline: request for a `Pong` with the same number."""

    number: int


@dataclass(frozen=True, slots=True)
class Serve:
    """To each parameter server: begin at round `round` with its range of a snapshot's arrays, or of `weights` alone.

    Attributes:
        generation: number of the generation, see `frames`.
        layout: the parameters of the flat vector, with their kinds.
        layers: name of every layer, with the number of its units that have a rectifier.
        training: JSON form of the training part of the job's specification, with the amendments in force.
        sums: number of values that are summed with each push, the number of rows not counted.
        round, step, epoch_sums, watched, seconds, amendments, outstanding: position, as in `Snapshot`.
        network, input_shapes: JSON form of the job's network and the shape of one sample of each input, by name, from
            which the metrics follow that the job watches, or will after an amendment.
        ranges: half-open ranges of values of all shards, in order.
        ranks: places among the sums that are filled with ranks at the end of an epoch, see `steps.scores.write_ranks`.
        shard: number of the receiver's shard, from 0.
        conductor: endpoint of the parameter server with the conductor; None for itself.
        waiting: amendments that are not in force at this position, in order.
        codec: name of the codec of gradients, see `codecs.find_codec`; `none`: they travel as float32.
    """

    generation: int
    layout: Layout
    layers: Sequence[tuple[str, int]]
    training: Mapping[str, Any]
    schedule: Schedule
    sums: int
    round: int
    step: int
    epoch_sums: Sequence[float]
    ranges: Sequence[tuple[int, int]]
    ranks: Sequence[int] = ()
    watched: Mapping[str, Watched] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    input_shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    seconds: float = 0.0
    shard: int = 0
    conductor: Endpoint | None = None
    amendments: Sequence[Amendment] = ()
    waiting: Sequence[Amendment] = ()
    codec: str = "none"
    outstanding: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """To the parameter server: divide the leaves that are not assigned yet among `workers`, proportionally to `shares`.

    Plans are numbered from 1; see `PlanInForce`.
    """

    number: int
    workers: Sequence[int]
    shares: Sequence[float]


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """To the parameter server: send a `Snapshot` at the next boundary between rounds, and go on."""


@dataclass(frozen=True, slots=True)
class Pause:
    """To the parameter server: send a final `Snapshot` at the next boundary between rounds, and end there.

    With `at_once` the open round is not completed: its results are dropped, and the snapshot has the state from before
    that round.
    """

    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """To the parameter server: every part of the final snapshot has arrived; send the workers `STOP`.

    A worker ends with `STOP`. Before this message its end would look like a loss.
    """


@dataclass(frozen=True, slots=True)
class Leave:
    """To a parameter server: another one is lost. Leave the part in this generation and send `Hello` again.

    A server that has left before ignores the message, as it ignores all others until `Serve`.
    """


@dataclass(frozen=True, slots=True)
class Dismiss:
    """To the parameter server: close the connection of a worker, if it is open, and assign its leaves again."""

    worker: int


@dataclass(frozen=True, slots=True)
class Work:
    """To a worker: attach to the parameter servers and compute the assigned leaves. The arrays are the dataset's.

    A worker that has them from an earlier generation gets no arrays, nor does one on another node that gets a manifest.

    Attributes:
        generation: number of the generation, see `frames`.
        specification: JSON form of the job's specification.
        input_shapes: shape of one row of each input, by name.
        data_planes: endpoints of the parameter servers, in the order of their shards.
        place: index of the worker, from 0; no other living worker of the run has it.
        workers: number of workers that the run should have.
        label_units: for each output with a standardized label the unit of its values, (k,), in which metrics are.
        in_files: the dataset is larger than the memory.
        manifest: of the dataset, if the worker may have it on its node; it fetches the data shards that it lacks.
    """

    generation: int
    specification: Mapping[str, Any]
    input_shapes: Mapping[str, Sequence[int]]
    schedule: Schedule
    data_planes: Sequence[Endpoint]
    place: int
    workers: int
    label_units: Mapping[str, Sequence[float]] = field(default_factory=dict)
    in_files: bool = False
    manifest: Manifest | None = None


@dataclass(frozen=True, slots=True)
class DataShard:
    """To a worker: the answer to a `FetchShard`. The array CONTENT has its bytes, uint8 (n,)."""

    number: int


MemberOrder = Ping | Serve | Plan | TakeSnapshot | Pause | Stop | Leave | Dismiss | Work | DataShard
