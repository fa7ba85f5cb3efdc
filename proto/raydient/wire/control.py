"""Messages between the coordinator, its members and the service: small JSON texts, some with arrays.

A message is a frozen dataclass; on the wire it is `{"type": name, "body": {...}, "arrays": {...}}` in a CONTROL frame.
Arrays travel as one descriptor over a Unix socket and behind the JSON over TCP; `first` of the header is then the
JSON's length. Order is kept per connection; delivery ends with the connection.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter

from raydient.steps.layout import Layout
from raydient.steps.measurements import Measurements
from raydient.steps.schedule import RoundKind, Schedule

from .connection import Connection, Frame
from .endpoint import Endpoint
from .frames import Header, Kind, ProtocolError
from .memory import Bundle, Place, Segment


class Role(StrEnum):
    """The role of a process of a job."""

    COORDINATOR = "coordinator"
    PARAMETER_SERVER = "parameter_server"
    WORKER = "worker"


# ---- members to the coordinator


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a member: its number and role and, for a parameter server, its data plane's endpoint."""

    role: Role
    member: int
    generation: int
    process: int
    data_plane: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Alive:
    """The first message on a lifeline, a member's second connection: the number of the member that answers pings."""

    member: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to the ping of this number, from a separate thread."""

    number: int


@dataclass(frozen=True, slots=True)
class Attached:
    """Parameter server: this worker has joined the data plane."""

    worker: int


@dataclass(frozen=True, slots=True)
class Status:
    """Parameter server: rounds completed, updates applied and what is measured; sent a few times a second at most."""

    round: int
    step: int
    measurements: Measurements


@dataclass(frozen=True, slots=True)
class PlanInForce:
    """Parameter server: no round of an earlier plan is open; workers that are not in this plan have no work left."""

    number: int


@dataclass(frozen=True, slots=True)
class EpochSums:
    """Sums over an epoch, by split; the first value is the number of rows. `seconds` is the wall time of the epoch."""

    epoch: int
    step: int
    seconds: float
    train: Sequence[float]
    test: Sequence[float]


@dataclass(frozen=True, slots=True)
class EpochsDone:
    """Parameter server: the epochs completed since the last such message; sent a few times a second."""

    epochs: Sequence[EpochSums]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Parameter server: weights and optimizer state between two rounds, as arrays beside this message.

    If metrics rank rows there is also `epoch_scores`: the bytes of the scores of the rows in `epoch_sums`.

    Attributes:
        round: the next round.
        step: updates applied.
        epoch_sums: sums over the steps of the epoch that are done, as in `EpochSums.train`.
        final: training is complete or pauses here; no snapshot follows.
    """

    round: int
    step: int
    epoch_sums: Sequence[float]
    final: bool


@dataclass(frozen=True, slots=True)
class NonFinite:
    """Parameter server: a loss or a gradient is NaN or infinite; the update was not completed, training stands.

    `parameter` is the one nearest to the loss whose gradient is not finite, or the one with the largest gradient if all
    are still `finite`; empty for an evaluation after `step` updates.
    """

    kind: RoundKind
    step: int
    loss: float
    parameter: str
    finite: bool


@dataclass(frozen=True, slots=True)
class Overdue:
    """Parameter server: workers that owe leaves of round `round` and are past its deadline; repeated every second.

    `silent_seconds` is the time since each worker's last push or assignment.
    """

    round: int
    silent_seconds: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Failed:
    """A member cannot go on; it ends after this."""

    message: str


# ---- the coordinator to its members


@dataclass(frozen=True, slots=True)
class Ping:
    """On a lifeline: request for a `Pong` of this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Serve:
    """To a parameter server, with the arrays of a `Snapshot` or the first weights: hold them from round `round` on.

    Attributes:
        layout: the parameters of the flat vector, with their kinds.
        layers: name of every layer, and how many of its units have a rectifier.
        optimizer, settings: the option of the specification and its settings.
        sums: values that ride along with each push, rows not among them.
        ranks: places among the sums that are filled with ranks at an epoch's end, see `scores.write_ranks`.
        step, epoch_sums: see `Snapshot`.
    """

    layout: Layout
    layers: Sequence[tuple[str, int]]
    optimizer: str
    settings: Mapping[str, Any]
    schedule: Schedule
    sums: int
    round: int
    step: int
    epoch_sums: Sequence[float]
    ranks: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """To a parameter server: which workers share the leaves of a round, and in which proportion; see `plans`."""

    number: int
    workers: Sequence[int]
    shares: Sequence[float]


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """To a parameter server: answer with a `Snapshot` at the next boundary between rounds, and go on."""


@dataclass(frozen=True, slots=True)
class Pause:
    """To a parameter server: answer with a final `Snapshot` at the next boundary between rounds, and end there.

    With `at_once` it does not wait for the end of the open round: that round's results are dropped, and the snapshot
    has the weights from before the round.
    """

    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Dismiss:
    """To a parameter server: close the connection of this worker, if it is open, and hand out its leaves again."""

    worker: int


@dataclass(frozen=True, slots=True)
class Work:
    """To a worker, with the arrays of the dataset: attach to the parameter server and compute what it assigns.

    `place` is its place among the job's `workers`: from 0, held by no other living one.
    """

    specification: Mapping[str, Any]
    input_shapes: Mapping[str, Sequence[int]]
    schedule: Schedule
    data_plane: Endpoint
    place: int
    workers: int


# ---- the service and the coordinator


@dataclass(frozen=True, slots=True)
class Follow:
    """Service: send the reports after number `after` and the epochs after number `epoch`, and every new one."""

    after: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Numbered:
    """A report in its JSON form, see `training.reports`. The number of an epoch's report is 0."""

    number: int
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reports:
    """Coordinator: reports that the service does not have, oldest first, to be stored as a whole and acknowledged.

    The next batch is sent after the acknowledgement. `last`: no batch follows.
    """

    reports: Sequence[Numbered]
    last: bool


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Service: every report up to `number` and every epoch up to `epoch` is durable."""

    number: int
    epoch: int


class Order(StrEnum):
    CANCEL = "cancel"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Command:
    """Service: stop, for good (CANCEL) or with a checkpoint to go on from (PAUSE)."""

    order: Order


@dataclass(frozen=True, slots=True)
class Scale:
    """Service: work with so many workers from now on, but with no fewer than `minimum` for long."""

    workers: int
    minimum: int


Message = (
    Hello | Alive | Pong | Attached | Status | PlanInForce | EpochsDone | Snapshot | NonFinite | Overdue | Failed | Ping
    | Serve | Plan | TakeSnapshot | Pause | Dismiss | Work | Follow | Reports | Acknowledge | Command | Scale
)  # fmt: skip
_TYPES: dict[str, type] = {t.__name__: t for t in Message.__args__}


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_TYPES[name])


Arrays = Mapping[str, Any]
"""Arrays by name."""


class Received(NamedTuple):
    """A message and the arrays that came with it."""

    message: Message
    arrays: Arrays


@dataclass(frozen=True, slots=True)
class _Envelope:
    type: str
    body: dict[str, Any]
    places: dict[str, Place] = field(default_factory=dict)
    size: int = 0


_ENVELOPE = TypeAdapter(_Envelope)


def send(connection: Connection, message: Message, bundle: Bundle | None = None) -> None:
    """Send a message, with the arrays of `bundle`; the bundle must not change afterwards."""
    name = type(message).__name__
    places = {n: (p.dtype, p.shape, p.offset) for n, p in bundle.places.items()} if bundle else {}
    envelope = {
        "type": name,
        "body": asdict(message),
        "places": {n: {"dtype": d, "shape": s, "offset": o} for n, (d, s, o) in places.items()},
        "size": bundle.segment.size if bundle else 0,
    }
    text = json.dumps(envelope, separators=(",", ":")).encode()
    header = Header(Kind.CONTROL, first=len(text))
    if bundle is None:
        connection.send(header, text)
    elif connection.is_local:
        connection.send(header, text, descriptors=[bundle.segment.descriptor])
    else:
        connection.send(header, text, bundle.segment.buffer)


def decode(frame: Frame) -> Received:
    """Decode a CONTROL frame; takes its payload and descriptor. ProtocolError if it is not a valid message."""
    if frame.header.kind is not Kind.CONTROL:
        raise ProtocolError(f"expected a message, got a {frame.header.kind.name} frame")
    text = bytes(memoryview(frame.payload)[: frame.header.first])
    try:
        envelope = _ENVELOPE.validate_json(text)
        message = _adapter(envelope.type).validate_json(json.dumps(envelope.body))
        if not envelope.places:
            return Received(message, {})
        if frame.descriptors:
            segment = Segment(frame.descriptors.pop(0), envelope.size)
        else:
            segment = Segment.create(envelope.size)
            # Copied by NumPy, which releases the interpreter's lock, so that the lifeline answers meanwhile.
            rest = np.frombuffer(frame.payload, np.uint8, offset=frame.header.first)
            segment.array("u1", (envelope.size,))[:] = rest
        return Received(message, Bundle(segment, envelope.places).arrays)
    except (KeyError, ValueError, OverflowError, OSError) as error:
        # OSError, OverflowError: a segment that cannot be mapped or is too large to exist.
        raise ProtocolError(f"a message that cannot be read: {error}") from None


def receive(connection: Connection) -> Received:
    """The next message over a blocking connection."""
    frame = connection.receive()
    assert frame is not None, "a blocking connection gives whole frames"
    return decode(frame)
