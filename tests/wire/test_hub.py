"""A hub reads from members; it closes connections of strangers and of peers that break the protocol."""

import os
import socket
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.wire import endpoint as endpoint_module
from raydient.wire.frames import Header, Kind
from raydient.wire.hub import FRAMES_IN_TURN, MAXIMUM_STRANGERS, PROOF_SECONDS, Hub
from raydient.wire.network import Closed

SECRET = b"s" * 32


def kinds(events):
    return [None if isinstance(frame, Closed) else frame.header.kind for _, frame in events]


def read(hub, count):
    """Poll until there are `count` events; return all that came."""
    events = []
    while len(events) < count:
        events += hub.poll(20)
    return events


def test_a_member_is_heard_and_answered(make_hub, dialler, family):
    hub, endpoint = make_hub(SECRET)
    far = dialler(hub, endpoint, family)
    member = far.join(SECRET)
    member.send(Header(Kind.CONTROL), b"hello")
    member.send(Header(Kind.STOP))

    (near, first), (same, second) = read(hub, 2)
    with hub.sending(near):
        near.send(Header(Kind.REFUSED), b"no")

    assert far.events == []
    assert bytes(first.payload) == b"hello"
    assert second.header.kind is Kind.STOP
    assert near is same
    assert near.is_local == (family == "unix")
    assert bytes(member.receive().payload) == b"no"


def test_the_end_of_a_member_is_reported_once_after_its_last_frame(make_hub, dialler, family):
    hub, endpoint = make_hub(SECRET)
    member = dialler(hub, endpoint, family).join(SECRET)
    member.send(Header(Kind.STOP))
    member.close()

    assert kinds(read(hub, 2)) == [Kind.STOP, None]
    assert list(hub.poll(0)) == []


def test_a_dialler_without_the_secret_is_refused_and_never_heard(make_hub, dialler, family):
    hub, endpoint = make_hub(SECRET)
    stranger = dialler(hub, endpoint, family)

    stranger.prove(b"t" * 32)

    assert stranger.is_refused
    assert stranger.events == []


def test_a_strangers_frames_are_short(make_hub, dialler, family):
    hub, endpoint = make_hub(SECRET)
    stranger = dialler(hub, endpoint, family)

    stranger.connection.socket.sendall(Header(Kind.PROOF, length=65).pack())

    assert list(hub.poll(20)) == []
    assert stranger.is_refused


def test_a_members_frames_are_as_long_as_agreed(make_hub, dialler):
    hub, endpoint = make_hub(SECRET, limit=1000)
    member = dialler(hub, endpoint).join(SECRET)
    member.send(Header(Kind.CONTROL), bytes(1000))
    assert kinds(read(hub, 1)) == [Kind.CONTROL]

    member.socket.sendall(Header(Kind.CONTROL, length=1001).pack())

    assert kinds(read(hub, 1)) == [None]


def test_a_strangers_descriptors_are_closed(make_hub, dialler, open_descriptors, pipe_ends):
    hub, endpoint = make_hub(SECRET)
    before = open_descriptors()
    stranger = dialler(hub, endpoint)
    socket.send_fds(stranger.connection.socket, [Header(Kind.PROOF).pack()], [pipe_ends[0].fileno()] * 3)

    assert list(hub.poll(20)) == []

    stranger.connection.close()
    assert open_descriptors() == before


def test_a_stranger_has_some_seconds_to_prove_itself(make_hub, dialler, clock):
    hub, endpoint = make_hub(SECRET)
    stranger = dialler(hub, endpoint)
    clock.now += PROOF_SECONDS
    assert list(hub.poll(0)) == []
    stranger.connection.socket.setblocking(False)
    assert stranger.connection.receive().header.kind is Kind.CHALLENGE
    assert stranger.connection.receive() is None

    clock.now += 0.1

    assert list(hub.poll(0)) == []
    assert stranger.is_refused


def test_a_member_may_be_silent_for_ever(make_hub, dialler, clock):
    hub, endpoint = make_hub(SECRET)
    member = dialler(hub, endpoint).join(SECRET)

    clock.now += 1e6
    assert list(hub.poll(0)) == []
    member.send(Header(Kind.STOP))

    assert kinds(read(hub, 1)) == [Kind.STOP]


def test_one_stranger_too_many_takes_the_place_of_the_oldest(make_hub, dialler, family):
    hub, endpoint = make_hub(SECRET)
    strangers = [dialler(hub, endpoint, family) for _ in range(MAXIMUM_STRANGERS)]

    dialler(hub, endpoint, family).join(SECRET)

    assert strangers[0].is_refused
    strangers[1].join(SECRET)


def test_strangers_over_tcp_leave_the_places_of_the_unix_socket_alone(make_hub, dialler):
    hub, endpoint = make_hub(SECRET)
    first = dialler(hub, endpoint, "unix")
    for _ in range(MAXIMUM_STRANGERS + 1):
        dialler(hub, endpoint, "tcp")

    first.join(SECRET)


def test_another_user_is_closed_at_once(make_hub, dialler, monkeypatch):
    hub, endpoint = make_hub(SECRET)
    monkeypatch.setattr(endpoint_module, "peer_user", lambda sock: os.geteuid() + 1)
    assert dialler(hub, endpoint, "unix").is_refused
    dialler(hub, endpoint, "tcp").join(SECRET)
    for user in (0, os.geteuid()):
        monkeypatch.setattr(endpoint_module, "peer_user", lambda sock, user=user: user)
        dialler(hub, endpoint, "unix").join(SECRET)


def test_the_user_of_a_peer_is_the_one_that_runs_it(local_pair):
    assert endpoint_module.peer_user(local_pair[0].socket) == os.geteuid()


@settings(max_examples=60)
@given(
    garbage=st.binary(max_size=200), proven=st.booleans(), announced=st.sampled_from([None, 2**16, 2**40, 2**64 - 1])
)
def test_whatever_one_peer_sends_the_others_go_on(dialler_class, garbage, proven, announced):
    """A peer sends any bytes, or a header of a huge payload, and closes; the hub goes on to serve the other peer."""
    with closing(Hub(SECRET, 1000)) as hub:
        endpoint = hub.listen("127.0.0.1")
        with closing(dialler_class(hub, endpoint)) as good, closing(dialler_class(hub, endpoint)) as hostile:
            member = good.join(SECRET)
            if proven:
                hostile.join(SECRET)
            head = b"" if announced is None else Header(Kind.PROOF, length=announced).pack()
            hostile.connection.socket.sendall(head + garbage)
            hostile.close()
            member.send(Header(Kind.STOP), b"mine")

            events, heard = [], []
            while not heard:
                events += hub.poll(20)
                heard = [(c, f) for c, f in events if not isinstance(f, Closed) and bytes(f.payload) == b"mine"]
            with hub.sending(heard[0][0]):
                heard[0][0].send(Header(Kind.STOP))

            assert member.receive().header.kind is Kind.STOP
            assert proven or len(events) == 1


def test_a_peer_that_is_gone_is_no_error_when_sending_but_reported_once(make_hub, dialler):
    hub, endpoint = make_hub(SECRET)
    member = dialler(hub, endpoint).join(SECRET)
    member.send(Header(Kind.STOP))
    ((near, _),) = read(hub, 1)
    member.close()

    for _ in range(2):
        with hub.sending(near):
            near.send(Header(Kind.STOP))

    assert [(c, type(f)) for c, f in hub.poll(None)] == [(near, Closed)]
    assert list(hub.poll(0)) == []


def test_an_error_of_our_own_while_sending_is_not_hidden(make_hub, dialler):
    hub, endpoint = make_hub(SECRET)
    member = dialler(hub, endpoint).join(SECRET)
    member.send(Header(Kind.STOP))
    ((near, _),) = read(hub, 1)

    with pytest.raises(ZeroDivisionError), hub.sending(near):
        1 / 0  # noqa: B018


def test_what_the_kernel_does_not_take_leaves_while_polling(make_hub, dialler, family):
    hub, endpoint = make_hub(SECRET)
    member = dialler(hub, endpoint, family).join(SECRET)
    member.send(Header(Kind.STOP))
    ((near, _),) = read(hub, 1)
    payload = os.urandom(1 << 23)

    with hub.sending(near):
        near.send(Header(Kind.WEIGHTS), payload)
        near.send(Header(Kind.ASSIGN))
    assert near.pending
    member.socket.setblocking(False)
    frames = []
    while len(frames) < 2:
        assert list(hub.poll(0)) == []
        if (frame := member.receive()) is not None:
            frames.append(frame)

    assert bytes(frames[0].payload) == payload
    assert not near.pending
    assert list(hub.poll(0)) == []


def test_a_peer_that_leaves_while_bytes_wait_for_it_is_reported(make_hub, dialler):
    hub, endpoint = make_hub(SECRET)
    member = dialler(hub, endpoint).join(SECRET)
    member.send(Header(Kind.STOP))
    ((near, _),) = read(hub, 1)
    with hub.sending(near):
        near.send(Header(Kind.WEIGHTS), bytes(1 << 23))

    member.close()

    assert kinds(read(hub, 1)) == [None]


def test_a_dropped_connection_gives_no_event(make_hub, dialler):
    hub, endpoint = make_hub(SECRET)
    members = [dialler(hub, endpoint).join(SECRET) for _ in range(2)]
    near = []
    for member in members:
        member.send(Header(Kind.STOP))
        near += [connection for connection, _ in read(hub, 1)]
    for member in members:
        for _ in range(3):
            member.send(Header(Kind.STOP))

    heard = []
    for connection, _ in hub.poll(20):
        heard.append(connection)
        for other in near:  # the heard one too
            hub.drop(other)

    assert len(heard) == 1
    assert list(hub.poll(0)) == []


def test_a_connection_that_was_dialled_is_heard_too(make_hub, local_pair):
    hub, _ = make_hub(SECRET, limit=10)
    near, far = local_pair
    hub.adopt(near)
    far.send(Header(Kind.CONTROL), bytes(10))
    far.socket.sendall(Header(Kind.CONTROL, length=11).pack())

    assert kinds(read(hub, 2)) == [Kind.CONTROL, None]


def test_close_leaves_nothing_open_and_no_file(make_hub, dialler, open_descriptors, tmp_path):
    before = open_descriptors()
    hub, endpoint = make_hub(SECRET, unix=str(tmp_path / "listener"))
    peers = [dialler(hub, endpoint, family) for family in ("unix", "tcp")]
    peers[0].join(SECRET)
    assert (tmp_path / "listener").exists()

    hub.close()
    hub.close()

    assert list(tmp_path.iterdir()) == []
    for peer in peers:
        assert peer.is_refused
        peer.connection.close()
    assert open_descriptors() == before


def test_an_address_that_is_not_ours_opens_nothing(open_descriptors):
    before = open_descriptors()
    hub = Hub(SECRET, 100)

    with pytest.raises(OSError, match="assign requested address"):
        hub.listen("192.0.2.1")

    assert open_descriptors() == before


def test_two_hubs_have_two_names(make_hub):
    one, other = (make_hub(SECRET)[1] for _ in range(2))

    assert one.unix != other.unix
    assert one.port != other.port


@settings(max_examples=20)
@given(counts=st.lists(st.integers(0, 2 * FRAMES_IN_TURN + 1), min_size=2, max_size=3))
def test_every_peer_has_its_turn_and_is_heard_in_order(dialler_class, counts):
    """However much one peer has sent, a call of `poll` ends soon and reads from every other peer that has sent."""
    with closing(Hub(SECRET, 1000)) as hub:
        endpoint = hub.listen("127.0.0.1")
        diallers = [dialler_class(hub, endpoint) for _ in counts]
        members = [one.join(SECRET) for one in diallers]
        for name, (member, count) in enumerate(zip(members, counts, strict=True)):
            for number in range(count):
                member.send(Header(Kind.CONTROL, round=number, first=name))

        heard = {name: [] for name in range(len(counts))}
        while sum(map(len, heard.values())) < sum(counts):
            waiting = {name for name, count in enumerate(counts) if len(heard[name]) < count}
            turn = [(frame.header.first, frame.header.round) for _, frame in hub.poll(1)]
            for name, number in turn:
                heard[name].append(number)
            assert {name for name, _ in turn} == waiting
            assert all([n for n, _ in turn].count(name) <= FRAMES_IN_TURN for name in waiting)

        assert heard == {name: list(range(count)) for name, count in enumerate(counts)}
        for one in diallers:
            one.close()
