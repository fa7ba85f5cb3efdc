"""Sparse gradients against dense twins, byte by byte."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps import sparse
from raydient.steps.sparse import GradientError, RowSparse, put, union

VALUES = st.sampled_from([-0.0, 0.0, 1.0, -1.0, 1e-45, 3e38, float("inf"), 0.1])


@st.composite
def some_rows(draw, rows, width):
    """Draw ascending row numbers and the values of these rows."""
    numbers = sorted(draw(st.sets(st.integers(0, rows - 1))))
    values = draw(st.lists(VALUES, min_size=len(numbers) * width, max_size=len(numbers) * width))
    return np.array(numbers, np.int64), np.array(values, np.float32).reshape(len(numbers), width)


def dense(case, rows, width):
    numbers, values = case
    table = np.zeros((rows, width), np.float32)
    table[numbers] = values
    return table


def empty(rows, width):
    return RowSparse.over(np.zeros((rows, width), np.float32))


@given(st.data(), st.integers(1, 70), st.integers(1, 3), st.integers(1, 20))
def test_writing_and_adding_over_and_over_give_what_dense_gradients_give(data, rows, width, block):
    ours, other = empty(rows, width), empty(rows, width)
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(sparse, "BLOCK", block)
        for _ in range(data.draw(st.integers(1, 4))):
            cases = [data.draw(some_rows(rows, width)) for _ in range(2)]
            for gradient, case in zip((ours, other), cases, strict=True):
                gradient.write(*case)
                assert gradient.dense().tobytes() == dense(case, rows, width).tobytes()
                assert gradient.used.tolist() == case[0].tolist()
            ours.add(other)
            total = dense(cases[0], rows, width) + dense(cases[1], rows, width)
            assert ours.dense().tobytes() == total.tobytes()
            assert ours.used.tolist() == sorted({*cases[0][0].tolist(), *cases[1][0].tolist()})
    ours.clear()
    assert not ours.dense().any()
    assert len(ours.used) == 0


def test_a_negative_zero_in_one_of_two_becomes_a_zero():
    ours, other = empty(64, 1), empty(64, 1)
    ours.write(np.array([3]), np.array([[-0.0]], np.float32))

    ours.add(other)

    assert not np.signbit(ours.dense()).any()


@given(st.data(), st.integers(1, 40), st.integers(1, 3))
def test_a_part_has_the_rows_between_two_and_each_run_of_rows_is_that_of_the_table(data, rows, width):
    ours, case = empty(rows, width), data.draw(some_rows(rows, width))
    ours.write(*case)
    first, last = sorted(data.draw(st.tuples(st.integers(0, rows), st.integers(0, rows))))

    part = ours.within(first, last)

    expected = dense(case, rows, width)[first:last]
    assert part.values.shape == expected.shape
    assert np.shares_memory(part.values, ours.values) or not expected.size
    assert part.dense().tobytes() == expected.tobytes()
    assert ours.rows(np.arange(first, last)).tobytes() == expected.tobytes()


def test_memory_behind_the_rows_in_use_is_not_touched():
    ours, other = empty(100, 2), empty(100, 2)
    ours.values[3:], other.values[3:] = 7, 7

    for numbers in ([1, 2], [4]):
        ours.write(np.array(numbers), np.ones((len(numbers), 2), np.float32))
        other.write(np.array([2]), np.ones((1, 2), np.float32))
        ours.add(other)
    ours.clear()

    assert (ours.values[3:] == 7).all()
    assert (other.values[3:] == 7).all()


@given(st.lists(st.sets(st.integers(0, 50)), min_size=1, max_size=6))
def test_a_union_is_ascending_and_has_each_once(sets):
    numbers = [np.array(sorted(rows), np.int32) for rows in sets]

    assert union(numbers).tolist() == sorted(set().union(*sets))


@pytest.mark.parametrize("numbers", [[-1], [5], [1, 1], [2, 1], [-(2**31), 2**31 - 1], [0, 1, 2, 3, 4, 5]])
def test_rows_that_the_table_cannot_have_in_use(numbers):
    packed = np.concatenate([[len(numbers)], numbers, np.ones(len(numbers))]).astype(np.int32).view(np.float32)
    gradient = empty(5, 1)

    with pytest.raises(GradientError, match="a table of 5 rows cannot have"):
        gradient.unpack(packed)
    assert not gradient.dense().any()
    assert not gradient.index.any()
    if len(numbers) <= 5:
        gradient.index[: 1 + len(numbers)] = [len(numbers), *numbers]
        with pytest.raises(GradientError, match="a table of 5 rows cannot have"):
            gradient.check()


@pytest.mark.parametrize("count", [-1, 2**31 - 1, -(2**31)])
def test_numbers_of_rows_that_no_table_has(count):
    with pytest.raises(GradientError, match="cut off"):
        empty(5, 1).unpack(np.array([count, 1, 1], np.int32).view(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_put_copies_rows_bit_by_bit(dtype: type[np.floating]) -> None:
    values = np.ones((5, 3), dtype)
    put(values, np.array([1, 4], np.int32), np.array([[-0.0, np.nan, 2], [3, 4, np.inf]], dtype))
    expected = np.ones((5, 3), dtype)
    expected[[1, 4]] = [[-0.0, np.nan, 2], [3, 4, np.inf]]
    assert values.tobytes() == expected.tobytes()


def test_put_writes_one_row_to_all() -> None:
    values = np.ones((4, 2), np.float32)
    put(values, np.array([0, 2]), np.zeros((1, 2)))
    np.testing.assert_array_equal(values, [[0, 0], [1, 1], [0, 0], [1, 1]])


def test_put_refuses_a_row_outside() -> None:
    with pytest.raises(IndexError):
        put(np.ones((4, 2), np.float32), np.array([4]), np.zeros((1, 2)))


def test_union_of_one_array_is_the_array() -> None:
    numbers = np.array([1, 5], np.int32)
    assert union([numbers]) is numbers
