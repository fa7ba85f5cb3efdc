"""Frames for the requests of the conductor and the answers of its shards; see `requests`.

    REQUEST   slot: kind of request, round, first: 1 if health is measured, last: staleness of the gradient
              a row of CONTRIBUTION for each node; for `Apply`, `Direct` and `Follow` a JSON text with the factors or
              ratios by name; for `Keep`, `Skip` and `Mark` nothing; for `SetRate` and `RollBack` the
              factor as a float64; for `Show` nothing, first: 1 for the average
    ANSWER    slot: kind of answer, first: bytes of a JSON text, last: number of squares
              the JSON text with the parameters of `Examined`, padded; float64: squares, then the measured pieces

The counts of active units are missing in an answer, because the first shard has them, which needs no frame.
"""

import json
import struct
from collections.abc import Iterable, Mapping

import numpy as np
from pydantic import TypeAdapter

from raydient.steps.schedule import Schedule
from raydient.steps.tree import Node
from raydient.wire.connection import Connection, Frame
from raydient.wire.frames import Header, Kind, ProtocolError

from .assignments import nodes
from .requests import (
    Answer,
    Apply,
    Direct,
    Done,
    Examine,
    Examined,
    Follow,
    Keep,
    Mark,
    Measured,
    Reduce,
    Request,
    RollBack,
    SetRate,
    Show,
    Skip,
    Update,
)

_ARRIVAL = struct.Struct("<IQ")
"""Payload of an ARRIVED frame: worker, bytes of the gradient."""
CONTRIBUTION = np.dtype([("first", "<u4"), ("last", "<u4"), ("worker", "<u4"), ("slot", "<u4"), ("round", "<u8")])
_OF_STEPS: tuple[type, ...] = (Update, Reduce, Apply, Examine, Direct, Follow)
_REQUESTS = (*_OF_STEPS, Keep, Skip, SetRate, Show, Mark, RollBack)
_DONE, _EXAMINED = range(2)
_COLUMNS = 4
"""Measured values of a piece, see `health.PieceMeter.read`."""
_PARAMETERS = TypeAdapter(list[tuple[str, bool, float]])
_BY_NAME = TypeAdapter(dict[str, float])


def send_arrival(connection: Connection, gradient: Header, worker: int, size_bytes: int) -> None:
    """Report to the conductor that the gradient with this header has arrived from a worker."""
    arrived = Header(Kind.ARRIVED, gradient.generation, gradient.round, gradient.first, gradient.last)
    connection.send(arrived, _ARRIVAL.pack(worker, size_bytes))


def arrival_in(frame: Frame) -> tuple[int, int]:
    """Return the worker and the bytes of a gradient that has arrived. ProtocolError if the frame has none."""
    try:
        worker, size_bytes = _ARRIVAL.unpack(frame.payload)
    except struct.error as error:
        raise ProtocolError(f"an arrival that cannot be read: {error}") from None
    return worker, size_bytes


def send_request(connection: Connection, request: Request, generation: int) -> None:
    """Send a request to a shard."""
    header = Header(Kind.REQUEST, generation, request.round.number, slot=_REQUESTS.index(type(request)))
    if isinstance(request, Apply | Direct | Follow):
        by_name = request.ratios if isinstance(request, Follow) else request.factors
        connection.send(header, json.dumps(by_name).encode())
        return
    if isinstance(request, Keep | Skip | Mark):
        connection.send(header)
        return
    if isinstance(request, SetRate | RollBack):
        connection.send(header, np.array([request.factor]).data)
        return
    if isinstance(request, Show):
        header.first = int(request.average)
        connection.send(header)
        return
    header.first = int(request.measures)
    header.last = request.staleness if isinstance(request, Update | Reduce) else 0
    rows = [(*node, *contribution) for node, contribution in request.contributions.items()]
    connection.send(header, np.array(rows, CONTRIBUTION).tobytes())


def request_in(frame: Frame, schedule: Schedule) -> Request:
    """Return the request of a frame. ProtocolError if it has none, or its nodes do not hold each leaf once."""
    header = frame.header
    try:
        kind, round_ = _REQUESTS[header.slot], schedule.round(header.round)
        if kind in (Apply, Direct, Follow):
            scaled: Request = kind(round_, _BY_NAME.validate_json(bytes(frame.payload)))
            return scaled
        if kind in (Keep, Skip, Mark):
            plain: Request = kind(round_)
            return plain
        if kind in (SetRate, RollBack):
            (factor,) = np.frombuffer(frame.payload, "<f8").tolist()
            rated: Request = kind(round_, factor)
            return rated
        if kind is Show:
            return Show(round_, bool(header.first))
        rows = np.frombuffer(frame.payload, CONTRIBUTION)
        (batch,) = set(rows["round"].tolist())
        leaves = (round_ if batch == round_.number else schedule.round(batch)).leaves
    except (IndexError, ValueError) as error:
        raise ProtocolError(f"a request that cannot be read: {error}") from None
    contributions: Mapping[Node, tuple[int, int, int]] = {
        (first, last): (worker, slot, of) for first, last, worker, slot, of in rows.tolist()
    }
    if not _tiles(contributions, leaves):
        raise ProtocolError(f"a request whose nodes are not those of {leaves} leaves")
    if kind is Examine:
        return Examine(round_, contributions, bool(header.first))
    request: Request = kind(round_, contributions, bool(header.first), header.last)
    return request


def _tiles(contributions: Iterable[Node], leaves: int) -> bool:
    """Return True if these are nodes of the reduction tree that hold each leaf once."""
    ordered = sorted(contributions)
    ends = [0, *(last for _, last in ordered)]
    return nodes(leaves).issuperset(ordered) and ends == [*(first for first, _ in ordered), leaves]


def send_answer(connection: Connection, answer: Answer, generation: int) -> None:
    """Send an answer to the conductor."""
    squares = answer.squares if isinstance(answer, Done) else np.empty(0)
    pieces = np.empty(0) if answer.measured is None else answer.measured.pieces.reshape(-1)
    text = b"" if isinstance(answer, Done) else json.dumps(answer.parameters).encode()
    text += b" " * (-len(text) % 8)
    kind = _DONE if isinstance(answer, Done) else _EXAMINED
    header = Header(Kind.ANSWER, generation, first=len(text), last=len(squares), slot=kind)
    connection.send(header, text, np.concatenate([squares, pieces]).data)


def answer_in(frame: Frame) -> Answer:
    """Return the answer of a frame. ProtocolError if it has none."""
    header = frame.header
    try:
        text, numbers = bytes(memoryview(frame.payload)[: header.first]), np.frombuffer(frame.payload, "<f8")
        numbers = numbers[header.first // 8 :]
        squares, pieces = numbers[: header.last], numbers[header.last :].reshape(-1, _COLUMNS)
        if header.slot == _DONE:
            return Done(squares, Measured(pieces) if len(pieces) else None)
        return Examined(_PARAMETERS.validate_json(text), Measured(pieces))
    except ValueError as error:
        raise ProtocolError(f"an answer that cannot be read: {error}") from None
