"""Weights of tables over TCP: a worker pulls rows, and nothing else of a table travels."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from raydient.server.parameters.sources import SMALL_BYTES
from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Layout
from raydient.wire.channel import Assignment, WorkEnded
from raydient.wire.connection import Frame
from raydient.wire.frames import Header, Kind, ProtocolError

from .conftest import GENERATION, SECONDS, SMALL, Both

LAYOUT = Layout.of([("a", (1,)), ("b", (4, 5)), ("c", (3,)), ("d", (70, 2))], sparse=["b", "d"])
B, C, D = 1, 21, 24  # where they begin
WANTED = {B: np.array([0, 3], np.int32), D: np.array([69], np.int32)}


@pytest.fixture
def both(make_pair):
    """A channel over TCP and its link, with round 7 of step 0 assigned."""
    both = Both(make_pair("tcp"), replace(SMALL, gradient=GradientLayout.of(LAYOUT)))
    both.weights[:] = np.arange(LAYOUT.size) + 1
    both.assign(7, 0, 2, step=0)
    assert both.channel.wait() == Assignment(7, 0, 2)
    yield both
    both.channel.close()


def pull(both, *frames):
    """Pull WANTED while the server sends `frames`, then the rows."""
    with ThreadPoolExecutor(1) as pool:
        pulling = pool.submit(both.channel.pull, WANTED)
        asked = both.received()
        for header in frames:
            both.server.send(header)
        answer, rows = both.link.rows(asked, 0)
        both.server.send(answer, *rows)
        pulling.result(20)
    return asked


def test_rows_that_are_pulled_arrive_and_no_others(both):
    outside = [*range(B), *range(C, D)]
    assert np.flatnonzero(both.channel.weights).tolist() == outside

    asked = pull(both)

    used = [*outside, *range(B, B + 5), *range(B + 15, C), 162, 163]
    assert np.flatnonzero(both.channel.weights).tolist() == sorted(used)
    assert (both.channel.weights[used] == np.array(used) + 1).all()
    assert (asked.header.kind, asked.header.length) == (Kind.PULL, 4 * (1 + 2 + 1 + 1))


def test_a_push_has_the_bytes_that_were_pulled(both):
    pull(both)
    for expected in (4 * (1 + 3 + 10 + 2), 0):
        both.channel.push(7, (0, 1), None, np.zeros(2), SECONDS)
        assert both.link.note(both.received()).pulled == expected


def test_each_round_brings_what_lies_outside_tables_and_no_rows(both):
    both.weights[:] += 1000
    both.assign(8, 0, 1, step=1)
    both.channel.wait()

    assert both.channel.weights[[0, 21, 22, 23]].tolist() == [1001, 1022, 1023, 1024]
    assert not both.channel.weights[B:C].any()


def test_no_frame_is_sent_for_no_rows(both):
    both.channel.pull({B: np.empty(0, np.int32)})
    both.channel.push(7, (0, 1), None, np.zeros(2), SECONDS)

    assert both.received().header.kind is Kind.PUSH


def test_assignments_that_come_before_the_rows_are_kept(both):
    pull(both, Header(Kind.ASSIGN, GENERATION, 7, 2, 3), Header(Kind.REFUSED), Header(Kind.ASSIGN, GENERATION, 7, 3, 4))
    both.server.send(Header(Kind.STOP))

    assert [both.channel.wait() for _ in range(3)] == [Assignment(7, 2, 3), Assignment(7, 3, 4), None]


def test_work_may_end_before_the_rows_come(both):
    with pytest.raises(WorkEnded):
        pull(both, Header(Kind.STOP))


@pytest.mark.parametrize(
    "header",
    [Header(Kind.ROWS, round=0, length=44), Header(Kind.ROWS), Header(Kind.ROWS, round=1, length=48)],
    ids=["shorter", "empty", "other step"],
)
def test_a_worker_accepts_no_other_rows(both, header):
    with ThreadPoolExecutor(1) as pool:
        pulling = pool.submit(both.channel.pull, WANTED)
        both.received()
        both.server.send(header, bytes(header.length))
        with pytest.raises(ProtocolError, match=r"rows of|a ROWS frame"):
            pulling.result(20)


def test_a_worker_accepts_no_rows_that_it_has_not_pulled(both):
    pull(both)
    both.server.send(Header(Kind.ROWS, length=48), bytes(48))

    with pytest.raises(ProtocolError, match="cannot use a ROWS frame"):
        both.channel.wait()


@pytest.mark.parametrize(
    "numbers",
    [
        (1, 4, 0), (1, -1, 0), (2, 2, 1, 0), (2, 1, 1, 0), (0, 1, 70), (0, 2, 5), (2, 1), (5, 1, 2, 3, 4), (-1, 0),
        (0,), (0, 0, 0), (),
    ],
)  # fmt: skip
def test_rows_that_no_worker_pulls_break_the_protocol(both, numbers):
    frame = Frame(Header(Kind.PULL), np.array(numbers, "<i4").tobytes())

    with pytest.raises(ProtocolError, match="row"):
        both.link.rows(frame, 0)


@pytest.mark.parametrize("step", [1, 2**40])
def test_rows_of_another_step_break_the_protocol(both, step):
    frame = Frame(Header(Kind.PULL, round=step), np.zeros(2, "<i4").tobytes())

    with pytest.raises(ProtocolError, match="are pulled, not of 0"):
        both.link.rows(frame, 0)


def test_row_numbers_in_half_a_number_break_the_protocol(both):
    with pytest.raises(ProtocolError, match="in 9 bytes"):
        both.link.rows(Frame(Header(Kind.PULL), bytes(9)), 0)


def test_a_server_accepts_no_more_row_numbers_than_there_are_rows(both):
    both.worker.socket.sendall(Header(Kind.PULL, length=4 * (4 + 70 + 2) + 4).pack())

    with pytest.raises(ProtocolError, match="at most 304 are allowed"):
        both.received()


def test_a_worker_that_does_not_read_its_rows_gets_no_more(make_pair):
    table = GradientLayout.of(Layout.of([("table", (1 << 14, 64))], sparse=["table"]))
    both = Both(make_pair("tcp"), replace(SMALL, gradient=table))
    both.assign(7, 0, 2, step=0)
    frame = Frame(Header(Kind.PULL), np.array([1 << 14, *range(1 << 14)], "<i4").tobytes())
    sent = 0
    with pytest.raises(ProtocolError, match="before those pulled last have been read"):  # noqa: PT012
        while sent < 64 * table.size:
            answer, rows = both.link.rows(frame, 0)
            both.server.send(answer, *rows)
            sent += table.size

    assert both.server.unsent < 4 * table.size + SMALL_BYTES


def test_a_worker_that_shares_memory_cannot_pull(make_pair):
    both = Both(make_pair("unix"), replace(SMALL, gradient=GradientLayout.of(LAYOUT)))
    both.channel.pull(WANTED)
    assert not both.channel.pulled

    with pytest.raises(ProtocolError, match="cannot pull"):
        both.link.rows(Frame(Header(Kind.PULL), bytes(8)), 0)
