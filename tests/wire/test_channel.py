"""One contract for both ways that weights and gradients take, against the server's real end of it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from raydient.server.parameters.links import open_link, refuse
from raydient.server.parameters.server import Assign
from raydient.steps.gradient import GradientLayout, between
from raydient.steps.layout import Layout
from raydient.steps.scores import SCORE
from raydient.wire.channel import PHASES, Assignment, SharedMemoryChannel, TcpChannel, Terms, attach
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.memory import Bundle

GENERATION = 5
SECONDS = (0.5, 1.5, 0.25, 2.0)
LAYOUT = Layout.of([("a", (1,)), ("b", (4, 5)), ("c", (3,)), ("d", (70, 2))], sparse=["b", "d"])
SPARSE, COUNTED = GradientLayout.of(LAYOUT), GradientLayout.of(LAYOUT, units=4)
SMALL = Terms(GradientLayout(6), slots=3, sums=2)


class Both:
    """A channel and the link at its other end; the test plays worker and server in turn."""

    def __init__(self, pair, terms):
        worker, self.server = pair
        self.terms = terms
        self.bundle = Bundle.allocate(dict.fromkeys(("weights", "velocity"), ("<f4", (terms.gradient.size,))))
        self.weights = self.bundle.arrays["weights"]
        with ThreadPoolExecutor(1) as other:
            attaching = other.submit(attach, worker, 3, GENERATION)
            self.asked = self.server.receive().header
            self.server.socket.setblocking(False)
            self.link = open_link(self.server, 3, self.bundle.segment, terms, GENERATION)
            self.channel = attaching.result()

    def assign(self, *numbers, step):
        self.link.assign(Assign(3, *numbers), step)

    def received(self):
        """The next frame that the worker has sent."""
        while (frame := self.server.receive()) is None:
            pass
        return frame


@pytest.fixture
def make_both(make_pair, family):
    made = []

    def make(gradient=SMALL.gradient, **parts):
        made.append(Both(make_pair(family), replace(SMALL, gradient=gradient, **parts)))
        return made[-1]

    yield make
    for both in made:
        both.channel.close()


@pytest.fixture
def both(make_both):
    return make_both()


def test_attaching_tells_number_and_generation_and_gives_the_terms(both):
    assert both.asked == Header(Kind.ATTACH, GENERATION, first=3)
    assert both.channel.terms == both.terms == SMALL
    assert type(both.channel) is (SharedMemoryChannel if both.server.is_local else TcpChannel)


def test_the_terms_give_the_sizes_of_a_push():
    terms = Terms(GradientLayout(10), slots=3, sums=2)

    assert terms.note_bytes == 8 * (2 + len(PHASES))
    assert terms.push_bytes == terms.least_push_bytes == terms.note_bytes + 40


def test_with_tables_a_push_is_as_long_as_there_are_rows_in_use():
    terms, gradient = replace(SMALL, gradient=COUNTED), COUNTED.zeros()

    assert terms.least_push_bytes == terms.bytes_of(gradient) == terms.note_bytes + 4 * (4 + 4 + 2)
    first, second = gradient.tables.values()
    first.write(np.array([0, 3]), np.ones((2, 5), np.float32))
    assert terms.bytes_of(gradient) == terms.least_push_bytes + 4 * 2 * (1 + 5)
    first.write(np.arange(4), np.ones((4, 5), np.float32))
    second.write(np.arange(70), np.ones((70, 2), np.float32))
    assert terms.bytes_of(gradient) == terms.push_bytes
    assert Terms.unpack(terms.pack()) == terms


def test_weights_are_current_after_the_assignment_and_always_the_same_array(both):
    weights = both.channel.weights
    for step in range(3):
        both.weights[:] = np.arange(6) + step
        both.assign(step, 0, 2, step=step)

        assert both.channel.wait() == Assignment(step, 0, 2)
        assert both.channel.weights is weights
        np.testing.assert_array_equal(weights, np.arange(6) + step)


def test_weights_travel_only_when_they_have_changed(both):
    for round_, step in ((0, 0), (0, 0), (1, 0), (2, 1)):
        both.assign(round_, 0, 1, step=step)
    both.server.send(Header(Kind.STOP))

    kinds = []
    while not kinds or kinds[-1] is not Kind.STOP:
        kinds.append(both.channel._connection.receive().header.kind)

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
        gradient = both.link.gradient(both.received())
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
        pushed[slot] = both.link.gradient(frame), *both.link.note(frame)

    for slot, (gradient, sums, seconds) in pushed.items():
        np.testing.assert_array_equal(gradient.vector, np.arange(6) * (slot + 1))
        assert gradient.vector.dtype == np.float32
        assert sums.tolist() == [slot, 0.5]
        assert tuple(seconds) == SECONDS


def test_a_push_without_gradient_is_its_sums(both):
    both.channel.push(7, (0, 1), None, np.array([1.0, 2.0]), SECONDS)

    frame = both.received()

    assert frame.header.length == both.terms.note_bytes
    sums, seconds = both.link.note(frame)
    assert sums.tolist() == [1.0, 2.0]
    assert tuple(seconds) == SECONDS


def scores_of(rows):
    """Two columns of scores."""
    scores = np.zeros((rows, 2), SCORE)
    scores["score"], scores["positive"] = np.arange(2 * rows).reshape(-1, 2) / 8, [False, True]
    return scores


def test_scores_come_before_their_push(make_both):
    both = make_both(scores=2, rows=7)
    for node, rows in (((0, 2), 7), ((2, 3), 1)):
        both.channel.score(7, node, scores_of(rows))
        both.channel.push(7, node, 0, np.zeros(2), SECONDS)
        both.link.keep_scores(both.received())
        push = both.received().header

        found = both.link.scores(push, rows)

        assert found.tolist() == scores_of(rows).tolist()
        with pytest.raises(ProtocolError, match="without its scores"):
            both.link.scores(push, rows)


def test_scores_of_another_node_or_of_too_few_rows_break_the_protocol(make_both):
    both = make_both(scores=2, rows=7)
    for node, rows, problem in (((1, 2), 3, "without its scores"), ((0, 1), 2, "20 bytes of scores for 3 rows")):
        both.channel.score(7, node, scores_of(rows))
        both.link.keep_scores(both.received())
        with pytest.raises(ProtocolError, match=problem):
            both.link.scores(Header(Kind.PUSH, GENERATION, 7, 0, 1), 3)


def test_more_scores_than_a_round_has_rows_are_not_received(make_both):
    both = make_both(scores=2, rows=3)
    both.channel.score(0, (0, 1), scores_of(4))
    with pytest.raises(ProtocolError, match="at most 30 are allowed"):
        both.received()


def test_where_no_metric_ranks_rows_there_are_no_scores(both):
    assert both.link.scores(Header(Kind.PUSH, GENERATION, 7, 0, 1), 3) is None


def test_a_slot_may_be_filled_again_in_the_next_round(both):
    for round_ in range(4):
        both.assign(round_, 0, 3, step=round_)
        both.channel.wait()
        for slot in range(3):
            both.channel.slot(slot).vector[:] = 10 * round_ + slot
            both.channel.push(round_, (slot, slot + 1), slot, np.zeros(2), SECONDS)
        gradients = [both.link.gradient(both.received()) for _ in range(3)]
        assert [gradient.vector[0] for gradient in gradients] == [10 * round_ + slot for slot in range(3)]


def test_of_tables_the_rows_in_use_arrive_whatever_was_there_before(make_both):
    """Over many rounds, in which slots are used again in another order."""
    both, rng = make_both(COUNTED), np.random.default_rng(3)
    for round_ in range(8):
        both.assign(round_, 0, 3, step=0)
        both.channel.wait()
        expected, found = [], []
        for leaf, index in enumerate(rng.permutation(3)[: rng.integers(1, 4)]):
            slot = both.channel.slot(int(index))
            slot.active[:] = rng.normal(size=4)
            for where in between(COUNTED.tables, 0, COUNTED.size):
                slot.vector[where] = rng.normal(size=where.stop - where.start)
            for table in slot.tables.values():
                rows, width = table.values.shape
                numbers = np.flatnonzero(rng.random(rows) < rng.choice([0, 0.02, 0.4]))
                table.write(numbers, rng.normal(size=(len(numbers), width)))
            both.channel.push(round_, (leaf, leaf + 1), int(index), np.zeros(2), SECONDS)
            frame = both.received()
            if not both.server.is_local:
                assert frame.header.length == both.terms.bytes_of(slot)
            found.append(both.link.gradient(frame))
            expected.append(slot)
        for gradient, slot in zip(found, expected, strict=True):
            assert gradient.vector.tobytes() == slot.vector.tobytes()
            assert gradient.active.tobytes() == slot.active.tobytes()
            for offset, table in slot.tables.items():
                assert gradient.tables[offset].used.tolist() == table.used.tolist()


def test_rows_that_a_table_cannot_have_in_use_break_the_protocol(make_both):
    both = make_both(SPARSE)
    table = both.channel.slot(0).tables[1]
    table.write(np.array([1, 2]), np.ones((2, 5), np.float32))
    table.index[2] = 1
    both.channel.push(0, (0, 1), 0, np.zeros(2), SECONDS)

    with pytest.raises(ProtocolError, match="a table of 4 rows cannot have"):
        both.link.gradient(both.received())


def test_a_server_takes_no_push_whose_length_none_can_have(make_pair):
    for difference in (-4, -1, 1):
        both = Both(make_pair("tcp"), replace(SMALL, gradient=SPARSE))
        length = (both.terms.push_bytes if difference > 0 else both.terms.least_push_bytes) + difference
        both.channel._connection.socket.sendall(Header(Kind.PUSH, length=length).pack())

        with pytest.raises(ProtocolError, match="at most"):
            both.received()


def test_a_push_that_is_shorter_than_its_rows_breaks_the_protocol(make_pair):
    both = Both(make_pair("tcp"), replace(SMALL, gradient=SPARSE))
    payload = np.zeros(both.terms.least_push_bytes // 4, np.int32)
    payload[-2] = 1  # the number of rows that the first table has in use
    both.channel._connection.send(Header(Kind.PUSH), payload.data)

    with pytest.raises(ProtocolError, match="cut off"):
        both.link.gradient(both.received())


def test_a_refused_push_is_no_news_to_a_worker(both):
    refuse(both.link, Header(Kind.PUSH, GENERATION, 1, 0, 1), "LATE")
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
        while True:  # the kernel takes some before it knows
            both.channel.push(0, (0, 1), 0, np.zeros(2), SECONDS)

    with pytest.raises(ConnectionError):
        push_on()


def test_a_worker_that_is_gone_is_an_error_at_the_other_end(both):
    both.channel.push(0, (0, 1), 0, np.zeros(2), SECONDS)
    both.channel.close()

    assert both.received().header.kind is Kind.PUSH
    with pytest.raises(ConnectionError):
        both.received()


@pytest.mark.parametrize("kind", [Kind.CHALLENGE, Kind.PROOF, Kind.CONTROL, Kind.ATTACH, Kind.ATTACHED, Kind.PUSH])
def test_other_frames_are_of_no_use_to_a_worker(both, kind):
    both.server.send(Header(kind))

    with pytest.raises(ProtocolError, match=f"cannot use a {kind.name} frame"):
        both.channel.wait()


def test_a_worker_takes_no_weights_of_another_size(make_pair):
    both = Both(make_pair("tcp"), SMALL)
    both.server.send(Header(Kind.WEIGHTS), bytes(28))

    with pytest.raises(ProtocolError, match="weights of 28 bytes, 24 were agreed"):
        both.channel.wait()


def test_a_worker_takes_no_large_frames_but_weights(both):
    both.server.send(Header(Kind.REFUSED), bytes((1 << 16) + 1))

    with pytest.raises(ProtocolError, match="at most 65536 are allowed"):
        both.channel.wait()


def test_a_server_takes_no_more_than_a_push(both):
    most = both.terms.note_bytes if both.server.is_local else both.terms.push_bytes
    both.channel._connection.socket.sendall(Header(Kind.PUSH, length=most + 1).pack())

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


def test_a_push_that_lacks_what_it_must_bring_breaks_the_protocol(both):
    both.channel._connection.send(Header(Kind.PUSH, slot=3), bytes(both.terms.note_bytes))
    both.channel._connection.send(Header(Kind.PUSH), bytes(both.terms.note_bytes - 1))
    first, second = both.received(), both.received()

    with pytest.raises(ProtocolError, match="slot 3 of 3" if both.server.is_local else "without its gradient"):
        both.link.gradient(first)
    with pytest.raises(ProtocolError, match="a push without its sums"):
        both.link.note(second)


def test_a_large_vector_travels_both_ways(make_both):
    both = make_both(GradientLayout(1 << 20), slots=1)
    both.weights[:] = np.arange(1 << 20)
    both.assign(0, 0, 1, step=0)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(both.channel.wait)
        while both.server.pending:
            both.server.flush()
        waiting.result()
        both.channel.slot(0).vector[:] = both.channel.weights[::-1]
        pushing = other.submit(both.channel.push, 0, (0, 1), 0, np.zeros(2), SECONDS)
        gradient = both.link.gradient(both.received())
        pushing.result()

    np.testing.assert_array_equal(gradient.vector, np.arange(1 << 20)[::-1].astype(np.float32))


def test_a_server_that_does_not_want_a_worker(local_pair):
    here, there = local_pair
    there.send(Header(Kind.STOP))

    with pytest.raises(ProtocolError, match="does not want this worker"):
        attach(here, 3, GENERATION)


def test_shared_memory_needs_both_descriptors(local_pair, pipe_ends, open_descriptors):
    here, there = local_pair
    there.send(Header(Kind.ATTACHED), SMALL.pack(), descriptors=[pipe_ends[0].fileno()])
    before = open_descriptors()

    with pytest.raises(ProtocolError, match="as two descriptors"):
        attach(here, 3, GENERATION)

    assert open_descriptors() == before


def test_nothing_is_left_of_a_channel_and_its_link(make_pair, family, open_descriptors):
    before = open_descriptors()

    def work():
        both = Both(make_pair(family), SMALL)
        both.assign(0, 0, 1, step=0)
        both.channel.wait()
        both.channel.push(0, (0, 1), 0, np.zeros(2), SECONDS)
        both.link.gradient(both.received())
        both.channel.close()
        both.server.close()

    work()

    assert open_descriptors() == before
