"""Pushes with row-sparse gradients: only rows in use travel over TCP."""

from dataclasses import replace

import numpy as np
import pytest

from raydient.steps.gradient import GradientLayout, between
from raydient.steps.layout import Layout
from raydient.wire.frames import Header, Kind, ProtocolError

from .conftest import SECONDS, SMALL, Both

LAYOUT = Layout.of([("a", (1,)), ("b", (4, 5)), ("c", (3,)), ("d", (70, 2))], sparse=["b", "d"])
SPARSE, COUNTED = GradientLayout.of(LAYOUT), GradientLayout.of(LAYOUT, units=4)


def test_rows_in_use_arrive_whatever_the_slots_held_before(make_both):
    """Each round uses the slots of the last one again, in another order."""
    both, rng = make_both(COUNTED), np.random.default_rng(3)
    for round_ in range(8):
        both.assign(round_, 0, 3, step=0)
        both.channel.wait()
        expected, received = [], []
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
            assert both.link.take_gradient(frame) == both.terms.note_bytes + 4 * slot.packed_size
            received.append(both.gradient(frame))
            expected.append(slot)
        for gradient, slot in zip(received, expected, strict=True):
            assert gradient.dense().tobytes() == slot.dense().tobytes()
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
        both.gradient(both.received())


def test_a_server_accepts_no_gradient_of_an_impossible_length(make_pair):
    for difference in (-4, -1, 1):
        both = Both(make_pair("tcp"), replace(SMALL, gradient=SPARSE))
        length = (
            both.terms.of_shard(0).most_bytes if difference > 0 else both.terms.of_shard(0).least_bytes
        ) + difference
        both.worker.socket.sendall(Header(Kind.GRADIENT, length=length).pack())

        with pytest.raises(ProtocolError, match="bytes are no gradient"):
            both.received()


def test_a_push_that_is_shorter_than_its_rows_breaks_the_protocol(make_pair):
    both = Both(make_pair("tcp"), replace(SMALL, gradient=SPARSE))
    payload = np.zeros(both.terms.of_shard(0).least_bytes // 4, np.int32)
    payload[-2] = 1  # the number of rows that the first table has in use
    both.worker.send(Header(Kind.GRADIENT), payload.data)
    both.worker.send(Header(Kind.PUSH), bytes(both.terms.note_bytes))

    with pytest.raises(ProtocolError, match="cut off"):
        both.received()
