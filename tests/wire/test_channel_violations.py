"""Frames that break the protocol of the data plane, at either end of it."""

import numpy as np
import pytest

from raydient.wire.channel import attach
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.memory import Segment

from .conftest import GENERATION, SECONDS, SMALL, Both


@pytest.mark.parametrize("kind", [Kind.CHALLENGE, Kind.PROOF, Kind.CONTROL, Kind.ATTACH, Kind.ATTACHED, Kind.PUSH])
def test_a_worker_cannot_use_other_frames(both, kind):
    both.server.send(Header(kind))

    with pytest.raises(ProtocolError, match=f"cannot use a {kind.name} frame"):
        both.channel.wait()


def test_a_worker_accepts_no_weights_of_another_size(make_pair):
    both = Both(make_pair("tcp"), SMALL)
    both.server.send(Header(Kind.WEIGHTS), bytes(28))

    with pytest.raises(ProtocolError, match="weights of 28 bytes, 24 were agreed"):
        both.channel.wait()


def test_a_worker_accepts_no_large_frames_but_weights(both):
    both.server.send(Header(Kind.REFUSED), bytes((1 << 16) + 1))

    with pytest.raises(ProtocolError, match="at most 65536 are allowed"):
        both.channel.wait()


def test_a_server_accepts_no_more_than_a_push(both):
    both.worker.socket.sendall(Header(Kind.PUSH, length=both.terms.note_bytes + 1).pack())

    with pytest.raises(ProtocolError, match="at most"):
        both.received()


def test_a_server_keeps_no_more_gradients_than_a_round_has_leaves(make_pair):
    both = Both(make_pair("tcp"), SMALL)
    for _ in range(4):
        both.channel.push(0, (0, 1), 0, np.zeros(2), SECONDS)
    for _ in range(3):
        both.received()

    with pytest.raises(ProtocolError, match="more gradients than the round has leaves"):
        both.received()


def test_a_push_without_its_gradient_or_sums_breaks_the_protocol(both):
    both.worker.send(Header(Kind.PUSH, slot=3), bytes(both.terms.note_bytes))
    both.worker.send(Header(Kind.PUSH), bytes(both.terms.note_bytes - 1))
    first, second = both.received(), both.received()

    with pytest.raises(ProtocolError, match="slot 3 of 3" if both.server.is_local else "no gradient of node"):
        both.gradient(first)
    with pytest.raises(ProtocolError, match="a push without its sums"):
        both.link.note(second)


def test_a_server_that_does_not_accept_a_worker(local_pair):
    near, far = local_pair
    far.send(Header(Kind.STOP))

    with pytest.raises(ProtocolError, match="does not accept this worker"):
        attach([near], 3, GENERATION)


def test_shared_memory_has_room_for_the_weights_and_slots(local_pair):
    near, far = local_pair
    small = [Segment.create(4), Segment.create(4), Segment.create(4)]
    far.send(Header(Kind.ATTACHED), SMALL.pack(), descriptors=[segment.descriptor for segment in small])

    with pytest.raises(ProtocolError, match="memory that cannot be mapped"):
        attach([near], 3, GENERATION)


def test_shared_memory_needs_three_descriptors(local_pair, pipe_ends, open_descriptors):
    near, far = local_pair
    far.send(Header(Kind.ATTACHED), SMALL.pack(), descriptors=[pipe_ends[0].fileno()])
    before = open_descriptors()

    with pytest.raises(ProtocolError, match="as three descriptors"):
        attach([near], 3, GENERATION)

    assert open_descriptors() == before - 1, "the connection is closed, and so is what came over it"
