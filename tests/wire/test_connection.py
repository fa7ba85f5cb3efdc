"""Frames over real sockets: whole, in pieces, larger than the kernel takes, and with descriptors."""

import os
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.wire.connection import Connection, limited_to
from raydient.wire.frames import HEADER, Header, Kind, ProtocolError

HEADERS = st.builds(
    Header,
    kind=st.sampled_from(Kind),
    generation=st.integers(0, 2**32 - 1),
    round=st.integers(0, 2**64 - 1),
    first=st.integers(0, 2**32 - 1),
    last=st.integers(0, 2**32 - 1),
    slot=st.integers(0, 2**16 - 1),
)
FRAMES = st.lists(st.tuples(HEADERS, st.binary(max_size=300)), min_size=1, max_size=5)


@given(HEADERS, st.integers(0, 2**64 - 1))
def test_a_header_comes_back_as_it_was(header, length):
    header.length = length

    assert Header.unpack(header.pack()) == header
    assert len(header.pack()) == HEADER.size == 32


def test_the_bytes_of_a_header_are_those_of_its_description():
    header = Header(Kind.PUSH, generation=2, round=3, first=4, last=5, slot=6, length=7)

    assert header.pack() == (
        b"\x08\0" + (6).to_bytes(2, "little") + (2).to_bytes(4, "little") + (3).to_bytes(8, "little")
        + (4).to_bytes(4, "little") + (5).to_bytes(4, "little") + (7).to_bytes(8, "little")
    )  # fmt: skip


@pytest.mark.parametrize("kind", [0, 12, 255])
def test_an_unknown_kind_breaks_the_protocol(make_pair, kind):
    here, there = make_pair()
    here.socket.sendall(bytes([kind]) + bytes(31))

    with pytest.raises(ProtocolError, match=f"unknown kind {kind}"):
        there.receive()


def test_frames_arrive_in_order_and_whole(pair):
    here, there = pair
    here.send(Header(Kind.CONTROL, first=1), b"ab", memoryview(b"cd"), b"", bytearray(b"e"))
    here.send(Header(Kind.STOP))
    here.send(Header(Kind.ASSIGN, round=9))

    first, second, third = (there.receive() for _ in range(3))

    assert (first.header, bytes(first.payload)) == (Header(Kind.CONTROL, first=1, length=5), b"abcde")
    assert (second.header, bytes(second.payload)) == (Header(Kind.STOP), b"")
    assert third.header == Header(Kind.ASSIGN, round=9)
    assert not here.pending


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 60)), blocking=st.booleans())
def test_a_frame_may_come_in_any_pieces(frames, cuts, blocking):
    """A blocking receiver is asked only when a frame is there; one that is not answers None until then."""
    raw, ends = b"", []
    for header, payload in frames:
        header.length = len(payload)
        raw += header.pack() + payload
        ends.append(len(raw))
    here, sock = socket.socketpair()
    with here, sock:
        sock.setblocking(blocking)
        there = Connection(sock, limited_to(300))
        received, sent = [], 0
        for size in [*cuts, len(raw)]:
            here.sendall(raw[sent : sent + size])
            sent = min(sent + size, len(raw))
            there_are = sum(end <= sent for end in ends)
            while len(received) < there_are:
                received.append(there.receive())
            assert blocking or there.receive() is None
    assert [(f.header, bytes(f.payload)) for f in received] == frames


def test_an_array_travels_from_where_it_lies_into_place(pair):
    here, there = pair
    target = bytearray(24)
    there.allocate = lambda header: memoryview(target)

    here.send(Header(Kind.WEIGHTS), memoryview(struct.pack("<3d", 1, 2, 3)).cast("d"))

    frame = there.receive()
    assert struct.unpack("<3d", target) == (1, 2, 3)
    assert frame.payload.obj is target


def test_what_the_kernel_does_not_take_waits_for_flush(pair):
    here, there = pair
    here.socket.setblocking(False)
    there.socket.setblocking(False)
    payload = os.urandom(1 << 23)

    here.send(Header(Kind.WEIGHTS, round=1), payload)
    here.send(Header(Kind.ASSIGN, round=1))

    assert here.pending
    frames = []
    while len(frames) < 2:
        here.flush()
        if (frame := there.receive()) is not None:
            frames.append(frame)
    assert not here.pending
    assert bytes(frames[0].payload) == payload
    assert frames[1].header.kind is Kind.ASSIGN


def test_a_payload_may_come_in_pieces(pair):
    here, there = pair
    here.begin(Header(Kind.WEIGHTS, round=3), 5)
    assert here.pending
    here.more(b"ab")
    here.more(memoryview(b"cde"))
    here.send(Header(Kind.ASSIGN, round=3))

    first, second = there.receive(), there.receive()

    assert (first.header.kind, first.header.length, bytes(first.payload)) == (Kind.WEIGHTS, 5, b"abcde")
    assert second.header.kind is Kind.ASSIGN


def test_a_blocking_send_returns_when_the_kernel_has_it_all(pair):
    here, there = pair
    payload = os.urandom(1 << 23)
    sender = threading.Thread(target=here.send, args=(Header(Kind.WEIGHTS), payload))
    sender.start()

    assert bytes(there.receive().payload) == payload
    sender.join()
    assert not here.pending


@pytest.mark.parametrize("length", [101, 2**40, 2**64 - 1])
def test_a_payload_over_the_limit_is_refused_before_it_is_allocated(make_pair, length):
    here, there = make_pair(limit=100)
    header = Header(Kind.CONTROL, length=length)
    here.socket.sendall(header.pack())

    with pytest.raises(ProtocolError, match=f"CONTROL frame of {length} bytes, at most 100 are allowed"):
        there.receive()


def test_the_limit_itself_is_allowed(make_pair):
    here, there = make_pair(limit=100)
    here.send(Header(Kind.CONTROL), bytes(100))

    assert len(there.receive().payload) == 100


@pytest.mark.parametrize("sent", [0, 1, 31, 32, 40])
def test_a_peer_that_closes_in_the_middle_of_a_frame_is_gone(pair, sent):
    here, there = pair
    here.socket.sendall((Header(Kind.CONTROL, length=10).pack() + bytes(10))[:sent])
    here.close()

    with pytest.raises(ConnectionError, match="the peer closed the connection"):
        there.receive()


def test_sending_to_a_peer_that_is_gone_is_an_error(local_pair):
    here, there = local_pair
    there.close()

    with pytest.raises(ConnectionError):
        here.send(Header(Kind.STOP))


def identity(descriptor):
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def test_descriptors_come_with_their_frame(local_pair, pipe_ends, open_descriptors):
    here, there = local_pair
    before = open_descriptors()
    ends = [end.fileno() for end in pipe_ends]

    here.send(Header(Kind.CONTROL), b"both", descriptors=ends)
    here.send(Header(Kind.CONTROL), b"none")
    here.send(Header(Kind.STOP), descriptors=ends[:1])

    frames = [there.receive() for _ in range(3)]
    assert [len(frame.descriptors) for frame in frames] == [2, 0, 1]
    assert [identity(d) for d in frames[0].descriptors] == [identity(d) for d in ends]
    assert not any(os.get_inheritable(d) for frame in frames for d in frame.descriptors)
    del frames
    assert open_descriptors() == before


def test_descriptors_behind_pending_bytes_still_come_with_their_frame(local_pair, pipe_ends, open_descriptors):
    here, there = local_pair
    before = open_descriptors()
    for connection in local_pair:
        connection.socket.setblocking(False)

    here.send(Header(Kind.CONTROL), bytes(1 << 20))
    assert here.pending
    for number in range(3):
        here.send(Header(Kind.CONTROL, first=number), b"payload", descriptors=[pipe_ends[0].fileno()])
    frames = []
    while len(frames) < 4:
        here.flush()
        if (frame := there.receive()) is not None:
            frames.append(frame)

    assert [len(frame.descriptors) for frame in frames] == [0, 1, 1, 1]
    assert identity(frames[3].descriptors[0]) == identity(pipe_ends[0].fileno())
    del frame, frames
    assert open_descriptors() == before


def test_the_callers_descriptor_may_be_closed_while_the_frame_waits(local_pair, pipe_ends):
    here, there = local_pair
    here.socket.setblocking(False)
    copy = os.dup(pipe_ends[0].fileno())

    here.send(Header(Kind.CONTROL), bytes(1 << 20))
    here.send(Header(Kind.STOP), descriptors=[copy])
    os.close(copy)
    there.socket.setblocking(False)
    frames = []
    while len(frames) < 2:
        here.flush()
        if (frame := there.receive()) is not None:
            frames.append(frame)

    assert identity(frames[1].descriptors[0]) == identity(pipe_ends[0].fileno())


def test_more_descriptors_than_a_frame_may_carry_are_not_kept(local_pair, pipe_ends, open_descriptors):
    here, there = local_pair
    before = open_descriptors()
    socket.send_fds(here.socket, [Header(Kind.STOP).pack()], [pipe_ends[0].fileno()] * 20)

    frame = there.receive()

    assert len(frame.descriptors) <= 4
    del frame
    assert open_descriptors() == before


def test_close_closes_what_nobody_took(local_pair, pipe_ends, open_descriptors):
    here, there = local_pair
    before = open_descriptors()
    socket.send_fds(here.socket, [Header(Kind.CONTROL, length=5).pack()], [pipe_ends[0].fileno()])
    there.socket.setblocking(False)
    assert there.receive() is None  # the payload is missing
    socket.send_fds(there.socket, [b"half a header"], [pipe_ends[0].fileno()])
    here.socket.setblocking(False)
    assert here.receive() is None
    here.send(Header(Kind.CONTROL), bytes(1 << 20))
    here.send(Header(Kind.STOP), descriptors=[pipe_ends[1].fileno()])
    assert open_descriptors() == before + 3

    for connection in (here, there, here):
        connection.close()

    assert open_descriptors() == before - 2


def test_descriptors_do_not_travel_over_tcp(make_pair, pipe_ends):
    here, _ = make_pair("tcp")

    assert not here.is_local
    with pytest.raises(AssertionError, match="Unix sockets only"):
        here.send(Header(Kind.STOP), descriptors=[pipe_ends[0].fileno()])
