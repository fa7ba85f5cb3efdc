"""Over TCP a gradient travels in parts, from its end to its beginning."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from raydient.server.parameters.sources import Received
from raydient.steps.gradient import GradientLayout
from raydient.wire.channel import attach
from raydient.wire.connection import limited_to
from raydient.wire.frames import Header, Kind, ProtocolError

from .conftest import GENERATION, SECONDS, SMALL, Both

COUNTED = GradientLayout(10, units=2)
VALUES = np.arange(10, 20)


def fill(gradient):
    gradient.vector[:], gradient.active[:] = VALUES, (1, 2)


@pytest.fixture
def both(make_pair):
    both = Both(make_pair("tcp"), replace(SMALL, gradient=COUNTED))
    fill(both.channel.slot(1))
    return both


def send_parts(channel, round_, node, starts):
    for start in starts:
        channel.send_part(round_, node, 1, start)


def frames(connection):
    """Return the payloads of gradients up to the push."""
    payloads = []
    while (frame := connection.receive()) is None or frame.header.kind is Kind.GRADIENT:
        if frame is not None:
            payloads.append(np.frombuffer(frame.payload, "<f4").tolist())
    return payloads


@pytest.mark.parametrize("starts", [[], [7], [0], [9, 9, 4, 1], [4, 0]])
def test_parts_make_the_gradient(both, starts):
    for round_ in range(3):
        both.assign(round_, 0, 3, step=0)
        both.channel.wait()
        send_parts(both.channel, round_, (0, 1), starts)
        both.channel.push(round_, (0, 1), 1, np.zeros(2), SECONDS)
        gradient = both.gradient(both.received())
        assert [*gradient.vector, *gradient.active] == [*VALUES, 1, 2]


def test_each_value_is_sent_once_and_counts_go_with_the_last_weights(both):
    both.server.allocate = limited_to(1 << 10)
    send_parts(both.channel, 0, (0, 1), [8, 8, 3])
    both.channel.push(0, (0, 1), 1, np.zeros(2), SECONDS)

    assert frames(both.server) == [[18, 19, 1, 2], [13, 14, 15, 16, 17], [10, 11, 12]]


def test_a_push_before_the_rest_of_its_gradient_breaks_the_protocol(both):
    send_parts(both.channel, 0, (0, 1), [3])
    both.worker.send(Header(Kind.PUSH, GENERATION, 0, 0, 1), bytes(both.terms.note_bytes))

    with pytest.raises(ProtocolError, match=r"no gradient of node \(0, 1\) of round 0"):
        both.gradient(both.received())


@pytest.mark.parametrize("length", [0, 49])
def test_a_part_that_no_gradient_has(both, length):
    both.worker.send(Header(Kind.GRADIENT, GENERATION, 0, 0, 1), bytes(length))

    with pytest.raises(ProtocolError, match="part of"):
        both.received()


def test_parts_of_an_earlier_round_are_discarded_and_what_follows_them_is_no_gradient(both):
    both.assign(0, 0, 3, step=0)
    send_parts(both.channel, 0, (0, 1), [8])
    both.link.keep_part(both.server.receive())
    both.assign(1, 0, 3, step=0)
    both.channel.push(0, (0, 1), 1, np.zeros(2), SECONDS)
    late = both.received()
    both.channel.push(1, (0, 1), 1, np.zeros(2), SECONDS)

    assert both.gradient(both.received()).vector.tolist() == VALUES.tolist()
    with pytest.raises(ProtocolError, match="no gradient of node"):
        both.gradient(late)


def test_a_second_gradient_of_a_node_does_not_replace_the_first(both):
    both.assign(0, 0, 3, step=0)
    both.channel.push(0, (0, 1), 1, np.zeros(2), SECONDS)
    both.channel.slot(1).vector[:] = -1
    first = both.gradient(both.received())
    send_parts(both.channel, 0, (0, 1), [5])
    both.channel.push(0, (0, 1), 1, np.zeros(2), SECONDS)

    assert both.gradient(both.received()).vector.tolist() == first.vector.tolist() == VALUES.tolist()


def test_each_shard_gets_the_parts_of_its_range(make_pair):
    terms = replace(SMALL, gradient=COUNTED, ranges=((0, 4), (4, 10)))
    (near, far), (near_second, far_second) = make_pair("tcp"), make_pair("tcp")
    with ThreadPoolExecutor(1) as pool:
        attaching = pool.submit(attach, [near, near_second], 3, GENERATION)
        far_second.send(Header(Kind.ATTACHED, GENERATION))
        far.send(Header(Kind.ATTACHED, GENERATION), terms.pack())
        channel = attaching.result()
    assert far.receive().header.kind is far_second.receive().header.kind is Kind.ATTACH
    received = Received(far_second, np.zeros(6, "<f4"), terms, 1, GENERATION)
    far_second.allocate = received.allocate_only
    fill(channel.slot(1))

    send_parts(channel, 0, (0, 1), [7, 3])
    channel.push(0, (0, 1), 1, np.zeros(2), SECONDS)

    assert [received.keep(far_second.receive()) for _ in range(2)] == [0, 24]
    assert received.gradient(0, (0, 1), 0).vector.tolist() == VALUES[4:].tolist()
    assert frames(far) == [[13, 1, 2], [10, 11, 12]]
