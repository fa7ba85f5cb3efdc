"""Sparse gradients against dense twins, byte by byte: what goes by the rows in use and what knows nothing of them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps import sparse
from raydient.steps.layout import Layout
from raydient.steps.sparse import (
    GradientError,
    RowSparse,
    Table,
    add,
    between,
    pack,
    packed_size,
    tables_of,
    union,
    unpack,
)

VALUES = st.sampled_from([-0.0, 0.0, 1.0, -1.0, 1e-45, 3e38, float("inf"), 0.1])
SEVERAL = Layout.of([("a", (2,)), ("b", (5, 3)), ("c", (4, 1)), ("d", (1,))], sparse=["b", "c"])
COUNTS = 2


@st.composite
def some_rows(draw, rows, width):
    """Numbers of rows, ascending, and what stands there."""
    numbers = sorted(draw(st.sets(st.integers(0, rows - 1))))
    values = draw(st.lists(VALUES, min_size=len(numbers) * width, max_size=len(numbers) * width))
    return np.array(numbers, np.int64), np.array(values, np.float32).reshape(len(numbers), width)


def dense(case, rows, width):
    numbers, values = case
    table = np.zeros((rows, width), np.float32)
    table[numbers] = values
    return table


def empty(rows, width):
    return RowSparse(np.zeros((rows, width), np.float32), np.zeros(1 + rows, np.int32))


@given(st.data(), st.integers(1, 70), st.integers(1, 3), st.sampled_from([1, 8, 32]), st.integers(1, 20))
def test_writing_and_adding_over_and_over_give_what_dense_gradients_give(data, rows, width, few, block):
    ours, other = empty(rows, width), empty(rows, width)
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(sparse, "FEW", few)
        patch.setattr(sparse, "BLOCK", block)
        for _ in range(data.draw(st.integers(1, 4))):
            cases = [data.draw(some_rows(rows, width)) for _ in range(2)]
            for gradient, case in zip((ours, other), cases, strict=True):
                gradient.write(*case)
                assert gradient.values.tobytes() == dense(case, rows, width).tobytes()
                assert gradient.used.tolist() == case[0].tolist()
            ours.add(other)
            total = dense(cases[0], rows, width) + dense(cases[1], rows, width)
            assert ours.values.tobytes() == total.tobytes()
            assert ours.used.tolist() == sorted({*cases[0][0].tolist(), *cases[1][0].tolist()})
    ours.clear()
    assert not ours.values.any()
    assert len(ours.used) == 0


def test_a_negative_zero_in_one_of_two_becomes_a_zero():
    ours, other = empty(64, 1), empty(64, 1)
    ours.write(np.array([3]), np.array([[-0.0]], np.float32))

    ours.add(other)

    assert not np.signbit(ours.values).any()


def test_other_rows_are_not_touched_where_few_are_in_use():
    """They stand for zeros; here they are marked."""
    ours, other = empty(100, 2), empty(100, 2)
    ours.values[50:], other.values[50:] = 7, 7

    for numbers in ([1, 2], [4]):
        ours.write(np.array(numbers), np.ones((len(numbers), 2), np.float32))
        other.write(np.array([2]), np.ones((1, 2), np.float32))
        ours.add(other)
    ours.clear()

    assert (ours.values[50:] == 7).all()
    assert not ours.values[:50].any()


@given(st.lists(st.sets(st.integers(0, 50)), min_size=1, max_size=6))
def test_a_union_is_ascending_and_has_each_once(sets):
    numbers = [np.array(sorted(some), np.int32) for some in sets]

    assert union(numbers).tolist() == sorted(set().union(*sets))


def test_tables_lie_where_the_layout_says_and_their_accounts_follow_each_other():
    tables = tables_of(SEVERAL, 30)

    assert tables == (Table(2, 5, 3, 30), Table(17, 4, 1, 36))
    slot = np.arange(41, dtype=np.float32)
    for table, name in zip(tables, ["b", "c"], strict=True):
        gradient = table.of(slot)
        np.testing.assert_array_equal(gradient.values, SEVERAL.views(slot)[name])
        assert np.shares_memory(gradient.values, slot)
        gradient.clear()
    assert (slot[2:21] == 0).all()
    assert (slot[[0, 1, 21]] == [0, 1, 21]).all()
    assert slot.view(np.int32)[[30, 36]].tolist() == [0, 0]


@given(st.data())
def test_what_is_between_tables_and_the_tables_are_all_there_is(data):
    cuts = sorted(data.draw(st.sets(st.integers(0, 30), max_size=6)))
    tables = [Table(a, b - a, 1, 0) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    start, stop = sorted(data.draw(st.tuples(st.integers(0, 30), st.integers(0, 30))))

    found = list(between(tables, start, stop))

    covered = [i for where in found for i in range(where.start, where.stop)]
    assert covered == [i for i in range(start, stop) if not any(t.offset <= i < t.stop for t in tables)]
    assert all(where.start < where.stop for where in found)
    assert all(a.stop < b.start for a, b in pairwise(found)), "no more pieces than needed"


@st.composite
def slots(draw):
    """A slot of SEVERAL and the counts behind it."""
    size = SEVERAL.size + COUNTS
    tables = tables_of(SEVERAL, size)
    slot = np.zeros(size + sum(1 + t.rows for t in tables), np.float32)
    for where in between(tables, 0, size):
        slot[where] = draw(st.lists(VALUES, min_size=where.stop - where.start, max_size=where.stop - where.start))
    for table in tables:
        table.of(slot).write(*draw(some_rows(table.rows, table.width)))
    return slot


SIZE = SEVERAL.size + COUNTS
TABLES = tables_of(SEVERAL, SIZE)


@given(slots(), slots(), st.sampled_from([SEVERAL.size, SIZE]))
def test_adding_slots_is_adding_what_they_hold(one, other, size):
    expected = one[:SIZE].copy()
    with np.errstate(all="ignore"):
        expected[:size] += other[:size]
        add(TABLES, one, other, size)

    assert one[:SIZE].tobytes() == expected.tobytes()


@given(st.lists(slots(), min_size=1, max_size=4))
def test_a_slot_is_made_of_what_was_packed_whatever_it_held_before(sent):
    received = np.zeros_like(sent[0])
    for slot in sent:
        packed = np.frombuffer(b"".join(part.tobytes() for part in pack(TABLES, slot, SIZE)), "<f4")
        unpack(TABLES, packed, received, SIZE)

        assert len(packed) == packed_size(TABLES, slot, SIZE)
        assert received[:SIZE].tobytes() == slot[:SIZE].tobytes()
        for table in TABLES:
            assert table.of(received).used.tolist() == table.of(slot).used.tolist()


@given(slots(), st.data())
def test_what_cannot_have_been_packed_breaks_the_protocol(slot, data):
    packed = np.frombuffer(b"".join(part.tobytes() for part in pack(TABLES, slot, SIZE)), "<f4").copy()
    received = np.zeros_like(slot)
    cut = data.draw(st.integers(0, len(packed) - 1))

    with pytest.raises(GradientError):
        unpack(TABLES, packed[:cut], received, SIZE)
    with pytest.raises(GradientError, match="something behind"):
        unpack(TABLES, np.append(packed, np.float32(0)), received, SIZE)


@pytest.mark.parametrize("numbers", [[-1], [5], [1, 1], [2, 1], [-(2**31), 2**31 - 1], [0, 1, 2, 3, 4, 5]])
def test_rows_that_the_table_cannot_have_in_use(numbers):
    layout = Layout.of([("table", (5, 1))], sparse=["table"])
    (table,) = tables_of(layout, 5)
    packed = np.concatenate([[len(numbers)], numbers, np.ones(len(numbers))]).astype(np.int32).view(np.float32)
    slot = np.zeros(11, np.float32)

    with pytest.raises(GradientError, match="a table of 5 rows cannot have"):
        unpack((table,), packed, slot, 5)
    assert not slot.any()


@pytest.mark.parametrize("count", [-1, 2**31 - 1, -(2**31)])
def test_numbers_of_rows_that_no_table_has(count):
    (table,) = tables_of(Layout.of([("table", (5, 1))], sparse=["table"]), 5)

    with pytest.raises(GradientError, match="cut off"):
        unpack((table,), np.array([count, 1, 1], np.int32).view(np.float32), np.zeros(11, np.float32), 5)
