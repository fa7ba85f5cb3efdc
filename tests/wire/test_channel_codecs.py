"""With a codec the gradient of a leaf travels encoded, that of several leaves as float32; both in parts."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from raydient.server.parameters.sources import Received
from raydient.steps.codecs import BLOCK
from raydient.steps.encoded import Coding
from raydient.steps.gradient import GradientLayout
from raydient.steps.ranges import PIECE
from raydient.wire.channel import attach
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.terms import Terms

from .conftest import GENERATION, SECONDS, Both

SIZE = 2 * BLOCK + 88
CODING = Coding("int8", SIZE, 2, ((10, 20), (300, 301)))
TERMS = Terms(GradientLayout(SIZE, 2), slots=8, sums=2, coding=CODING)
VALUES = np.random.default_rng(1).standard_normal(SIZE).astype(np.float32)
LEAF, SUM = (0, 1), (0, 2)


def noise(first, blocks):
    return np.full((blocks, BLOCK), 77, np.uint8)


def encode(channel, vector, starts=(0,), send=lambda start: None):
    """Encode a gradient in parts, and call `send` after each but the last; return the decoded gradient."""
    stop = len(vector)
    for start in starts:
        channel.encoded.encode(vector, start, stop, noise)
        if start:
            send(start)
        stop = start
    decoded = vector.copy()
    channel.encoded.decode(decoded, 0, len(vector))
    return decoded


@pytest.fixture
def both(make_pair):
    return Both(make_pair("tcp"), TERMS)


def fill(channel):
    channel.slot(1).vector[:], channel.slot(1).active[:] = VALUES, (3, 4)


@pytest.mark.parametrize("starts", [(0,), (BLOCK, 0), (2 * BLOCK, BLOCK, 0)])
def test_a_leaf_arrives_as_it_is_decoded_by_the_worker(both, starts):
    fill(both.channel)
    for round_ in range(3):
        both.assign(round_, 0, 3, step=0)
        both.channel.wait()
        decoded = encode(both.channel, VALUES * (round_ + 1), starts, lambda s, n=round_: send(both.channel, n, s))
        both.channel.push(round_, LEAF, 1, np.zeros(2), SECONDS)
        push = both.received()
        gradient = both.gradient(push)
        assert gradient.vector.tobytes() == decoded.tobytes() != VALUES.tobytes()
        assert gradient.active.tolist() == [3, 4]
        assert both.link.take_gradient(push) == TERMS.note_bytes + CODING.packed_bytes


def send(channel, round_, start):
    channel.send_part(round_, LEAF, 1, start)


def test_a_sum_travels_as_float32(both):
    fill(both.channel)
    both.assign(0, 0, 3, step=0)
    both.channel.send_part(0, SUM, 1, 5)
    both.channel.push(0, SUM, 1, np.zeros(2), SECONDS)
    push = both.received()
    assert both.gradient(push).vector.tobytes() == VALUES.tobytes()
    assert both.link.take_gradient(push) == TERMS.note_bytes + 4 * (SIZE + 2)


def test_single_leaves_are_pushed_where_they_take_fewer_bytes(both):
    assert CODING.packed_bytes * 3 < 4 * (SIZE + 2) < CODING.packed_bytes * 4
    nodes = both.channel.nodes(1, 8, 8)
    saved = []
    for node in nodes:
        fill(both.channel)
        encode(both.channel, VALUES)
        both.channel.push(0, node, 1, np.zeros(2), SECONDS)
        saved.append((node, int(both.link.note(both.received()).saved[0])))
    whole, leaf = 4 * (SIZE + 2), CODING.packed_bytes
    expected = [((1, 2), whole - leaf), ((2, 3), whole - 2 * leaf), ((3, 4), 0), ((4, 8), 0)]
    assert saved == expected


def test_shared_memory_has_the_fewest_nodes_and_saves_nothing(make_pair):
    both = Both(make_pair("unix"), TERMS)
    assert list(both.channel.nodes(1, 8, 8)) == [(1, 2), (2, 4), (4, 8)]
    assert not both.channel.travels
    fill(both.channel)
    both.channel.push(0, LEAF, 1, np.zeros(2), SECONDS)
    push = both.received()
    assert both.gradient(push).vector.tobytes() == VALUES.tobytes()
    assert both.link.note(push).saved[0] == 0


@pytest.mark.parametrize("length", [0, CODING.packed_bytes + 1])
def test_a_part_that_no_encoded_gradient_has(both, length):
    both.worker.send(Header(Kind.GRADIENT, GENERATION, 0, *LEAF), bytes(length))
    with pytest.raises(ProtocolError, match="part of"):
        both.received()


def test_each_shard_gets_the_records_of_its_range(make_pair):
    size, exact = PIECE + 300, ((PIECE - 5, PIECE + 7),)
    terms = Terms(
        GradientLayout(size, 2), 3, 2, ranges=((0, PIECE), (PIECE, size)), coding=Coding("int8", size, 2, exact)
    )
    (near, far), (near_second, far_second) = make_pair("tcp"), make_pair("tcp")
    with ThreadPoolExecutor(1) as pool:
        attaching = pool.submit(attach, [near, near_second], 3, GENERATION)
        far_second.send(Header(Kind.ATTACHED, GENERATION))
        far.send(Header(Kind.ATTACHED, GENERATION), terms.pack())
        channel = attaching.result()
    assert far.receive().header.kind is far_second.receive().header.kind is Kind.ATTACH
    ends = [
        Received(connection, np.zeros(stop - start, "<f4"), terms, shard, GENERATION)
        for shard, (connection, (start, stop)) in enumerate(zip((far, far_second), terms.ranges, strict=True))
    ]
    far.allocate = far_second.allocate = None
    for connection, received in zip((far, far_second), ends, strict=True):
        connection.allocate = received.allocate_only
    values = np.random.default_rng(2).standard_normal(size).astype(np.float32)
    channel.slot(1).vector[:], channel.slot(1).active[:] = values, (1, 2)

    decoded = encode(channel, values, (PIECE + BLOCK, 10 * BLOCK, 0), lambda start: send(channel, 0, start))
    with ThreadPoolExecutor(1) as pool:
        pushing = pool.submit(channel.push, 0, LEAF, 1, np.zeros(2), SECONDS)
        sizes = [
            [ends[0].keep(far.receive()) for _ in range(2)],
            [ends[1].keep(far_second.receive()) for _ in range(2)],
        ]
        pushing.result()

    assert sizes == [[0, terms.of_shard(0).coding.packed_bytes], [0, terms.of_shard(1).coding.packed_bytes]]
    parts = [received.gradient(0, LEAF, 0) for received in ends]
    assert np.concatenate([part.vector for part in parts]).tobytes() == decoded.tobytes()
    assert [part.active.tolist() for part in parts] == [[1, 2], []]


@pytest.mark.parametrize(
    "changes",
    [{"name": "int4"}, {"size": SIZE - 1}, {"units": -1}, {"exact": ((5, 3),)}, {"exact": ((0, SIZE + 1),)}],
)
def test_terms_of_a_gradient_that_cannot_be_encoded_are_refused(changes):
    assert Terms.unpack(TERMS.pack()) == TERMS
    with pytest.raises(ProtocolError, match="cannot be encoded"):
        Terms.unpack(replace(TERMS, coding=replace(CODING, **changes)).pack())
