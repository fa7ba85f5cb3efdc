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


@pytest.mark.parametrize("kind", [0, len(Kind) + 1, 255])
def test_an_unknown_kind_breaks_the_protocol(make_pair, kind):
    near, far = make_pair()
    near.socket.sendall(bytes([kind]) + bytes(31))

    with pytest.raises(ProtocolError, match=f"unknown kind {kind}"):
        far.receive()


def test_frames_arrive_in_order_and_whole(pair):
    near, far = pair
    near.send(Header(Kind.CONTROL, first=1), b"ab", memoryview(b"cd"), b"", bytearray(b"e"))
    near.send(Header(Kind.STOP))
    near.send(Header(Kind.ASSIGN, round=9))

    first, second, third = (far.receive() for _ in range(3))

    assert (first.header, bytes(first.payload)) == (Header(Kind.CONTROL, first=1, length=5), b"abcde")
    assert (second.header, bytes(second.payload)) == (Header(Kind.STOP), b"")
    assert third.header == Header(Kind.ASSIGN, round=9)
    assert not near.pending


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 60)), blocking=st.booleans())
def test_a_frame_may_come_in_any_pieces(frames, cuts, blocking):
    """A blocking receiver is called only when a whole frame has come; a non-blocking one returns None until then."""
    raw, ends = b"", []
    for header, payload in frames:
        header.length = len(payload)
        raw += header.pack() + payload
        ends.append(len(raw))
    near, sock = socket.socketpair()
    with near, sock:
        sock.setblocking(blocking)
        far = Connection(sock, limited_to(300))
        received, sent = [], 0
        for size in [*cuts, len(raw)]:
            near.sendall(raw[sent : sent + size])
            sent = min(sent + size, len(raw))
            complete = sum(end <= sent for end in ends)
            while len(received) < complete:
                received.append(far.receive())
            assert blocking or far.receive() is None
    assert [(f.header, bytes(f.payload)) for f in received] == frames


def test_an_array_travels_from_where_it_lies_into_place(pair):
    near, far = pair
    target = bytearray(24)
    far.allocate = lambda header: memoryview(target)

    near.send(Header(Kind.WEIGHTS), memoryview(struct.pack("<3d", 1, 2, 3)).cast("d"))

    frame = far.receive()
    assert struct.unpack("<3d", target) == (1, 2, 3)
    assert frame.payload.obj is target


def test_what_the_kernel_does_not_take_waits_for_flush(pair):
    near, far = pair
    near.socket.setblocking(False)
    far.socket.setblocking(False)
    payload = os.urandom(1 << 23)

    near.send(Header(Kind.WEIGHTS, round=1), payload)
    near.send(Header(Kind.ASSIGN, round=1))

    assert near.pending
    frames = []
    while len(frames) < 2:
        near.flush()
        if (frame := far.receive()) is not None:
            frames.append(frame)
    assert not near.pending
    assert bytes(frames[0].payload) == payload
    assert frames[1].header.kind is Kind.ASSIGN


def test_a_payload_may_come_in_pieces(pair):
    near, far = pair
    near.begin(Header(Kind.WEIGHTS, round=3), 5)
    assert near.pending
    near.more(b"ab")
    near.more(memoryview(b"cde"))
    near.send(Header(Kind.ASSIGN, round=3))

    first, second = far.receive(), far.receive()

    assert (first.header.kind, first.header.length, bytes(first.payload)) == (Kind.WEIGHTS, 5, b"abcde")
    assert second.header.kind is Kind.ASSIGN


def test_a_blocking_send_returns_when_the_kernel_has_it_all(pair):
    near, far = pair
    payload = os.urandom(1 << 23)
    sender = threading.Thread(target=near.send, args=(Header(Kind.WEIGHTS), payload))
    sender.start()

    assert bytes(far.receive().payload) == payload
    sender.join()
    assert not near.pending


@pytest.mark.parametrize("length", [101, 2**40, 2**64 - 1])
def test_a_payload_over_the_limit_is_refused_before_it_is_allocated(make_pair, length):
    near, far = make_pair(limit=100)
    header = Header(Kind.CONTROL, length=length)
    near.socket.sendall(header.pack())

    with pytest.raises(ProtocolError, match=f"CONTROL frame of {length} bytes, at most 100 are allowed"):
        far.receive()


def test_the_limit_itself_is_allowed(make_pair):
    near, far = make_pair(limit=100)
    near.send(Header(Kind.CONTROL), bytes(100))

    assert len(far.receive().payload) == 100


@pytest.mark.parametrize("sent", [0, 1, 31, 32, 40])
def test_a_peer_that_closes_in_the_middle_of_a_frame_is_gone(pair, sent):
    near, far = pair
    near.socket.sendall((Header(Kind.CONTROL, length=10).pack() + bytes(10))[:sent])
    near.close()

    with pytest.raises(ConnectionError, match="the peer closed the connection"):
        far.receive()


def test_sending_to_a_peer_that_is_gone_is_an_error(local_pair):
    near, far = local_pair
    far.close()

    with pytest.raises(ConnectionError):
        near.send(Header(Kind.STOP))


def identity(descriptor):
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def test_descriptors_come_with_their_frame(local_pair, pipe_ends, open_descriptors):
    near, far = local_pair
    before = open_descriptors()
    ends = [end.fileno() for end in pipe_ends]

    near.send(Header(Kind.CONTROL), b"both", descriptors=ends)
    near.send(Header(Kind.CONTROL), b"none")
    near.send(Header(Kind.STOP), descriptors=ends[:1])

    frames = [far.receive() for _ in range(3)]
    assert [len(frame.descriptors) for frame in frames] == [2, 0, 1]
    assert [identity(d) for d in frames[0].descriptors] == [identity(d) for d in ends]
    assert not any(os.get_inheritable(d) for frame in frames for d in frame.descriptors)
    del frames
    assert open_descriptors() == before


def test_descriptors_behind_pending_bytes_still_come_with_their_frame(local_pair, pipe_ends, open_descriptors):
    near, far = local_pair
    before = open_descriptors()
    for connection in local_pair:
        connection.socket.setblocking(False)

    near.send(Header(Kind.CONTROL), bytes(1 << 20))
    assert near.pending
    for number in range(3):
        near.send(Header(Kind.CONTROL, first=number), b"payload", descriptors=[pipe_ends[0].fileno()])
    frames = []
    while len(frames) < 4:
        near.flush()
        if (frame := far.receive()) is not None:
            frames.append(frame)

    assert [len(frame.descriptors) for frame in frames] == [0, 1, 1, 1]
    assert identity(frames[3].descriptors[0]) == identity(pipe_ends[0].fileno())
    del frame, frames
    assert open_descriptors() == before


def test_the_callers_descriptor_may_be_closed_while_the_frame_waits(local_pair, pipe_ends):
    near, far = local_pair
    near.socket.setblocking(False)
    copy = os.dup(pipe_ends[0].fileno())

    near.send(Header(Kind.CONTROL), bytes(1 << 20))
    near.send(Header(Kind.STOP), descriptors=[copy])
    os.close(copy)
    far.socket.setblocking(False)
    frames = []
    while len(frames) < 2:
        near.flush()
        if (frame := far.receive()) is not None:
            frames.append(frame)

    assert identity(frames[1].descriptors[0]) == identity(pipe_ends[0].fileno())


def test_more_descriptors_than_a_frame_may_carry_are_not_kept(local_pair, pipe_ends, open_descriptors):
    near, far = local_pair
    before = open_descriptors()
    socket.send_fds(near.socket, [Header(Kind.STOP).pack()], [pipe_ends[0].fileno()] * 20)

    frame = far.receive()

    assert len(frame.descriptors) <= 4
    del frame
    assert open_descriptors() == before


def test_close_closes_descriptors_that_were_not_taken(local_pair, pipe_ends, open_descriptors):
    near, far = local_pair
    before = open_descriptors()
    socket.send_fds(near.socket, [Header(Kind.CONTROL, length=5).pack()], [pipe_ends[0].fileno()])
    far.socket.setblocking(False)
    assert far.receive() is None  # the payload is missing
    socket.send_fds(far.socket, [b"half a header"], [pipe_ends[0].fileno()])
    near.socket.setblocking(False)
    assert near.receive() is None
    near.send(Header(Kind.CONTROL), bytes(1 << 20))
    near.send(Header(Kind.STOP), descriptors=[pipe_ends[1].fileno()])
    assert open_descriptors() == before + 3

    for connection in (near, far, near):
        connection.close()

    assert open_descriptors() == before - 2


def test_descriptors_do_not_travel_over_tcp(make_pair, pipe_ends):
    near, _ = make_pair("tcp")

    assert not near.is_local
    with pytest.raises(AssertionError, match="Unix sockets only"):
        near.send(Header(Kind.STOP), descriptors=[pipe_ends[0].fileno()])
