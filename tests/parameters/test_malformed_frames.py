"""Frames and messages between conductor and shards that cannot be read: a ProtocolError, and no other exception."""

import json

import numpy as np
import pytest

from raydient.server.parameters.encoding import CONTRIBUTION, answer_in, arrival_in, request_in
from raydient.server.parameters.requests import (
    Apply,
    Direct,
    Examined,
    Follow,
    Keep,
    Mark,
    RollBack,
    SetRate,
    Show,
    Skip,
    Update,
)
from raydient.server.parameters.snapshots import restore_position, values_in
from raydient.server.parameters.sources import SharedSlots
from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Layout
from raydient.steps.schedule import Schedule
from raydient.steps.scores import EPOCH_SCORES
from raydient.wire import control
from raydient.wire.connection import Frame
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.terms import Terms

SCHEDULE = Schedule(train_rows=8, test_rows=0, epochs=2, batch_size=4, microbatches=4)
UPDATE, REDUCE, APPLY, _, DIRECT, FOLLOW, KEEP, SKIP, SET_RATE, SHOW, MARK, ROLL_BACK = range(12)
EXAMINED = 1
NODES = np.array([(0, 2, 7, 0, 1), (2, 4, 8, 1, 1)], CONTRIBUTION)


def padded(text):
    return text.encode() + b" " * (-len(text) % 8)


@pytest.mark.parametrize("size", [0, 4, 11, 13, 24])
def test_an_arrival_of_another_size_cannot_be_read(size):
    with pytest.raises(ProtocolError, match="arrival"):
        arrival_in(Frame(Header(Kind.ARRIVED), bytes(size)))


def test_requests_that_can_be_read():
    update = request_in(Frame(Header(Kind.REQUEST, round=1, slot=UPDATE), NODES.tobytes()), SCHEDULE)
    assert update == Update(SCHEDULE.round(1), {(0, 2): (7, 0, 1), (2, 4): (8, 1, 1)}, measures=False)
    apply = request_in(Frame(Header(Kind.REQUEST, round=1, slot=APPLY), b'{"a.kernel": 0.5}'), SCHEDULE)
    assert apply == Apply(SCHEDULE.round(1), {"a.kernel": 0.5})
    direct = request_in(Frame(Header(Kind.REQUEST, round=1, slot=DIRECT), b'{"a.kernel": 0.5}'), SCHEDULE)
    assert direct == Direct(SCHEDULE.round(1), {"a.kernel": 0.5})
    follow = request_in(Frame(Header(Kind.REQUEST, round=1, slot=FOLLOW), b'{"a.kernel": 0.1, "b": NaN}'), SCHEDULE)
    assert isinstance(follow, Follow)
    assert follow.ratios["a.kernel"] == 0.1
    assert np.isnan(follow.ratios["b"])
    assert request_in(Frame(Header(Kind.REQUEST, round=2, slot=KEEP), b""), SCHEDULE) == Keep(SCHEDULE.round(2))
    assert request_in(Frame(Header(Kind.REQUEST, round=2, slot=SKIP), b""), SCHEDULE) == Skip(SCHEDULE.round(2))
    rate = request_in(Frame(Header(Kind.REQUEST, round=2, slot=SET_RATE), np.array([0.5]).tobytes()), SCHEDULE)
    assert rate == SetRate(SCHEDULE.round(2), 0.5)
    show = request_in(Frame(Header(Kind.REQUEST, round=2, first=1, slot=SHOW), b""), SCHEDULE)
    assert show == Show(SCHEDULE.round(2), average=True)
    assert request_in(Frame(Header(Kind.REQUEST, round=2, slot=MARK), b""), SCHEDULE) == Mark(SCHEDULE.round(2))
    back = request_in(Frame(Header(Kind.REQUEST, round=2, slot=ROLL_BACK), np.array([0.5]).tobytes()), SCHEDULE)
    assert back == RollBack(SCHEDULE.round(2), 0.5)


@pytest.mark.parametrize(
    ("slot", "round_", "payload"),
    [
        (UPDATE, 4, NODES.tobytes()),  # the job has no such round
        (UPDATE, 2**64 - 1, NODES.tobytes()),
        (12, 0, NODES.tobytes()),
        (ROLL_BACK, 0, bytes(7)),
        (UPDATE, 0, NODES.tobytes()[:-1]),
        (UPDATE, 0, b""),
        (REDUCE, 0, NODES[:1].tobytes()),  # leaves are missing
        (REDUCE, 0, NODES[[0, 0]].tobytes()),
        (UPDATE, 0, np.array([(0, 3, 7, 0), (3, 4, 8, 1)], "<u4").tobytes()),  # no nodes of the tree
        (UPDATE, 0, np.array([(0, 4, 7, 0), (2, 4, 8, 1)], "<u4").tobytes()),  # a leaf twice
        (APPLY, 0, b""),
        (APPLY, 0, bytes(16)),
        (APPLY, 0, bytes(7)),
        (DIRECT, 0, bytes(16)),
        (FOLLOW, 0, bytes(8)),
        (FOLLOW, 0, b""),
        (FOLLOW, 0, b'{"a": "x"}'),
        (FOLLOW, 0, b"[0.5]"),
    ],
)
def test_a_request_that_cannot_be_read(slot, round_, payload):
    with pytest.raises(ProtocolError):
        request_in(Frame(Header(Kind.REQUEST, round=round_, slot=slot), payload), SCHEDULE)


def test_an_examination_that_can_be_read():
    parameters = [("a", True, float("inf")), ("b", False, -1.0)]
    text = padded(json.dumps(parameters))
    frame = Frame(Header(Kind.ANSWER, first=len(text), slot=EXAMINED), text + bytes(32))
    answer = answer_in(frame)
    assert isinstance(answer, Examined)
    assert answer.parameters == parameters


@pytest.mark.parametrize(
    ("first", "last", "payload"),
    [
        (0, 0, bytes(7)),
        (0, 1, bytes(16)),  # one square, and a piece in part
        (8, 0, b"\xff" * 8),
        (8, 0, padded("[1]")),
        (16, 0, padded('[["a", true]]')),
        (1 << 20, 0, b"[" * (1 << 20)),  # nested too deeply for a parser that recurses
        (2**32 - 1, 2**32 - 1, bytes(8)),
    ],
)
def test_an_answer_that_cannot_be_read(first, last, payload):
    with pytest.raises(ProtocolError):
        answer_in(Frame(Header(Kind.ANSWER, first=first, last=last, slot=EXAMINED), payload))


@pytest.mark.parametrize("values", [None, np.zeros(3, np.float32), np.zeros(4), np.zeros((2, 2), np.float32)])
def test_memory_of_another_form_is_refused(values):
    with pytest.raises(ProtocolError, match="a message without slots of 4 values"):
        values_in({} if values is None else {"slots": values}, "slots", 4)


@pytest.mark.parametrize(("sums", "scores"), [([1.0], 0), ([1.0, 2.0, 3.0, 4.0], 0), ([4.0, 1.0, 1.0], 7)])
def test_a_position_of_another_job_is_refused(sums, scores):
    layout = Layout.of([("a.kernel", (2,))])
    serve = control.Serve(1, layout, [("a", 0)], {}, SCHEDULE, 2, 0, 0, sums, ranges=[(0, 2)], ranks=[1])
    with pytest.raises(ProtocolError):
        restore_position(serve, {EPOCH_SCORES: np.zeros(scores, np.uint8)} if scores else {})


def test_a_slot_that_there_is_not_is_refused():
    terms = Terms(GradientLayout(4), slots=2, sums=1)
    slots = SharedSlots(terms.of_shard(0), [GradientLayout(4).zeros() for _ in range(2)])
    with pytest.raises(ProtocolError, match="slot 2 of 2"):
        slots.gradient(0, (0, 1), 2)
