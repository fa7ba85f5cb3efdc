"""One contract for both transports of weights and gradients, against the server's own end."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from raydient.steps.gradient import GradientLayout
from raydient.wire.channel import Assignment, SharedMemoryChannel, TcpChannel
from raydient.wire.frames import Header, Kind, ProtocolError

from .conftest import GENERATION, SECONDS, SMALL, Both


def test_attaching_sends_number_and_generation_and_returns_the_terms(both):
    assert both.request == Header(Kind.ATTACH, GENERATION, first=3)
    assert both.channel.terms == both.terms == SMALL
    assert type(both.channel) is (SharedMemoryChannel if both.server.is_local else TcpChannel)


def test_weights_are_current_after_the_assignment_and_always_the_same_array(both):
    weights = both.channel.weights
    for step in range(3):
        both.weights[:] = np.arange(6) + step
        both.assign(step, 0, 2, step=step)

        assert both.channel.wait() == Assignment(step, 0, 2)
        assert both.channel.weights is weights
        np.testing.assert_array_equal(weights, np.arange(6) + step)


def test_the_rate_of_local_steps_comes_with_the_assignment(both):
    for rate in (0.1, None, 1e-30):
        both.assign(0, 0, 2, step=0, rate=rate)
        assert both.channel.wait() == Assignment(0, 0, 2, rate=rate)
    both.server.send(Header(Kind.ASSIGN, GENERATION, 0, 0, 1), b"1234")
    with pytest.raises(ProtocolError, match="a learning rate of 4 bytes"):
        both.channel.wait()


def test_weights_travel_only_when_they_have_changed(both):
    for round_, step in ((0, 0), (0, 0), (1, 0), (2, 1)):
        both.assign(round_, 0, 1, step=step)
    both.server.send(Header(Kind.STOP))

    kinds = []
    while not kinds or kinds[-1] is not Kind.STOP:
        kinds.append(both.worker.receive().header.kind)

    weights = 0 if both.server.is_local else 2
    assert kinds.count(Kind.WEIGHTS) == weights
    assert len(kinds) == weights + 5
    assert both.server.is_local or kinds[0] is kinds[4] is Kind.WEIGHTS


def test_slots_are_apart_and_always_the_same_gradients(both):
    slots = [both.channel.slot(index) for index in range(3)]
    for index, slot in enumerate(slots):
        assert slot.vector.shape == (6,)
        assert slot.vector.dtype == np.float32
        slot.vector[:] = index
    assert [both.channel.slot(index) is slot for index, slot in enumerate(slots)] == [True] * 3
    assert [slot.vector.tolist() for slot in slots] == [[index] * 6 for index in range(3)]


def test_weights_and_slots_begin_with_a_cache_line(both):
    arrays = [both.channel.weights, *(both.channel.slot(index).vector for index in range(3))]
    assert [array.ctypes.data % 64 for array in arrays] == [0] * 4


def test_counts_of_units_travel_behind_the_gradient(make_both):
    both = make_both(GradientLayout(6, units=4))
    assert both.channel.weights.shape == (6,)
    slots = [both.channel.slot(index) for index in range(3)]
    for index, slot in enumerate(slots):
        slot.vector[:], slot.active[:] = np.arange(6) + index, np.arange(6, 10) + index
        both.channel.push(0, (index, index + 1), index, np.zeros(2), SECONDS)

    for index, expected in enumerate(slots):
        gradient = both.gradient(both.received())
        assert [*gradient.vector, *gradient.active] == list(range(index, index + 10))
        assert [*expected.vector, *expected.active] == list(range(index, index + 10))


def test_a_push_brings_gradient_sums_and_seconds(both):
    both.assign(7, 0, 3, step=0)
    both.channel.wait()
    pushed = {}
    for slot, node in ((2, (0, 2)), (0, (2, 3))):
        both.channel.slot(slot).vector[:] = np.arange(6) * (slot + 1)
        both.channel.push(7, node, slot, np.array([slot, 0.5]), SECONDS)
        frame = both.received()
        header = frame.header
        assert (header.kind, header.generation, header.round) == (Kind.PUSH, GENERATION, 7)
        assert (header.first, header.last) == node
        pushed[slot] = both.gradient(frame), *both.link.note(frame)

    for slot, (gradient, sums, seconds, pulled, saved) in pushed.items():
        np.testing.assert_array_equal(gradient.vector, np.arange(6) * (slot + 1))
        assert gradient.vector.dtype == np.float32
        assert sums.tolist() == [slot, 0.5]
        assert tuple(seconds) == SECONDS
        assert pulled == (24 if slot == 2 and not both.server.is_local else 0)  # since the last push
        assert saved == 0


def test_a_push_without_gradient_is_its_sums(both):
    both.channel.push(7, (0, 1), None, np.array([1.0, 2.0]), SECONDS)

    frame = both.received()

    assert frame.header.length == both.terms.note_bytes
    sums, seconds, *_ = both.link.note(frame)
    assert sums.tolist() == [1.0, 2.0]
    assert tuple(seconds) == SECONDS


def test_a_slot_may_be_filled_again_in_the_next_round(both):
    for round_ in range(4):
        both.assign(round_, 0, 3, step=round_)
        both.channel.wait()
        for slot in range(3):
            both.channel.slot(slot).vector[:] = 10 * round_ + slot
            both.channel.push(round_, (slot, slot + 1), slot, np.zeros(2), SECONDS)
        gradients = [both.gradient(both.received()) for _ in range(3)]
        assert [gradient.vector[0] for gradient in gradients] == [10 * round_ + slot for slot in range(3)]


def test_a_worker_ignores_a_refusal(both):
    both.link.refuse(Header(Kind.PUSH, GENERATION, 1, 0, 1), "LATE")
    both.assign(2, 0, 1, step=0)

    assert both.channel.wait() == Assignment(2, 0, 1)


def test_there_is_an_end_of_work(both):
    both.server.send(Header(Kind.STOP))

    assert both.channel.wait() is None


def test_a_server_that_is_gone_is_an_error(both):
    both.assign(0, 0, 1, step=0)
    both.server.close()

    assert both.channel.wait() == Assignment(0, 0, 1)
    with pytest.raises(ConnectionError):
        both.channel.wait()

    def push_on():
        while True:  # the kernel takes some frames before it detects the end
            both.channel.push(0, (0, 1), 0, np.zeros(2), SECONDS)

    with pytest.raises(ConnectionError):
        push_on()


def test_a_worker_that_is_gone_is_an_error_at_the_other_end(both):
    both.channel.push(0, (0, 1), 0, np.zeros(2), SECONDS)
    both.channel.close()

    assert both.received().header.kind is Kind.PUSH
    with pytest.raises(ConnectionError):
        both.received()


def test_a_large_vector_travels_both_ways(make_both):
    both = make_both(GradientLayout(1 << 20), slots=1)
    both.weights[:] = np.arange(1 << 20)
    both.assign(0, 0, 1, step=0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(both.channel.wait)
        while both.server.pending:
            both.server.flush()
        waiting.result()
        both.channel.slot(0).vector[:] = both.channel.weights[::-1]
        pushing = pool.submit(both.channel.push, 0, (0, 1), 0, np.zeros(2), SECONDS)
        gradient = both.gradient(both.received())
        pushing.result()

    np.testing.assert_array_equal(gradient.vector, np.arange(1 << 20)[::-1].astype(np.float32))


def test_nothing_is_left_of_a_channel_and_its_link(make_pair, family, open_descriptors):
    before = open_descriptors()

    def work():
        both = Both(make_pair(family), SMALL)
        both.assign(0, 0, 1, step=0)
        both.channel.wait()
        both.channel.push(0, (0, 1), 0, np.zeros(2), SECONDS)
        both.gradient(both.received())
        both.channel.close()
        both.server.close()

    work()

    assert open_descriptors() == before
