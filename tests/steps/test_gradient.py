"""Gradients with dense and row-sparse parts against plain arrays, byte by byte."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps.gradient import Dense, Gradient, GradientLayout, Table, between
from raydient.steps.layout import Layout
from raydient.steps.sparse import GradientError, RowSparse

from .test_sparse import VALUES, some_rows

SEVERAL = Layout.of([("a", (2,)), ("b", (5, 3)), ("c", (4, 1)), ("d", (1,))], sparse=["b", "c"])
FORM = GradientLayout.of(SEVERAL, units=2)


@st.composite
def gradients(draw):
    """Draw a gradient of SEVERAL with counts of two units."""
    gradient = FORM.zeros()
    for where in between(FORM.tables, 0, SEVERAL.size):
        size = where.stop - where.start
        gradient.vector[where] = draw(st.lists(VALUES, min_size=size, max_size=size))
    gradient.active[:] = draw(st.lists(VALUES, min_size=2, max_size=2))
    for table in gradient.tables.values():
        table.write(*draw(some_rows(*table.values.shape)))
    return gradient


def packed(gradient):
    return np.frombuffer(b"".join(part.tobytes() for part in gradient.pack()), "<f4").copy()


def test_tables_lie_at_the_places_of_the_layout_and_their_indices_follow_the_counts():
    assert GradientLayout(22, 2, (Table(2, 5, 3), Table(17, 4, 1))) == FORM
    assert (FORM.buffer_size, FORM.least_packed_size) == (35, 7)
    buffer = np.arange(35, dtype=np.float32)
    gradient = Gradient(FORM, buffer)
    for table, name in zip(FORM.tables, ["b", "c"], strict=True):
        part = gradient.tables[table.offset]
        np.testing.assert_array_equal(part.values, SEVERAL.views(buffer)[name])
        np.testing.assert_array_equal(part.values, table.values(gradient.vector))
        assert np.shares_memory(part.values, buffer)
        part.clear()
    assert not gradient.dense()[2:21].any()
    assert (buffer[:24] == np.arange(24)).all()
    assert (gradient.active == [22, 23]).all()
    assert buffer.view(np.int32)[[24, 30]].tolist() == [0, 0]


def test_parts_are_views_by_name_in_the_shape_of_the_parameter():
    gradient = FORM.zeros()
    parts = gradient.parts(SEVERAL)

    assert {name: type(part) for name, part in parts.items()} == {
        "a": Dense, "b": RowSparse, "c": RowSparse, "d": Dense
    }  # fmt: skip
    for parameter in SEVERAL.parameters:
        part = parts[parameter.name]
        assert part.values.shape == parameter.shape
        part.write(np.array([0]), np.full((1, *parameter.shape[1:]), 7, np.float32))
        assert (parameter.view(gradient.dense())[0] == 7).all()
        assert not parameter.view(gradient.dense())[1:].any()
        part.clear()
    assert not gradient.dense().any()


def test_a_dense_part_adds_a_row_sparse_one():
    total, part = Dense(np.ones((3, 2))), RowSparse.over(np.zeros((3, 2)))
    part.write(np.array([1]), np.full((1, 2), 2.0))
    total.add(part)

    assert total.values.tolist() == [[1, 1], [3, 3], [1, 1]]


@given(st.data())
def test_tables_and_the_parts_between_them_cover_the_range(data):
    cuts = sorted(data.draw(st.sets(st.integers(0, 30), max_size=6)))
    tables = [Table(a, b - a, 1) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    start, stop = sorted(data.draw(st.tuples(st.integers(0, 30), st.integers(0, 30))))

    pieces = list(between(tables, start, stop))

    covered = [i for where in pieces for i in range(where.start, where.stop)]
    assert covered == [i for i in range(start, stop) if not any(t.offset <= i < t.stop for t in tables)]
    assert all(where.start < where.stop for where in pieces)
    assert all(a.stop < b.start for a, b in pairwise(pieces)), "no more pieces than needed"


@given(gradients(), gradients(), st.booleans())
def test_adding_gradients_adds_their_arrays(one, other, counts):
    vector, active = one.dense(), one.active.copy()
    with np.errstate(all="ignore"):
        vector += other.dense()
        if counts:
            active += other.active
        one.add(other, counts=counts)

    assert one.dense().tobytes() == vector.tobytes()
    assert one.active.tobytes() == active.tobytes()


@given(st.lists(gradients(), min_size=1, max_size=4))
def test_unpacking_replaces_the_gradient_by_the_packed_one(sent):
    received = FORM.zeros()
    for gradient in sent:
        values = packed(gradient)
        received.unpack(values)

        assert len(values) == gradient.packed_size
        assert FORM.least_packed_size <= len(values) <= FORM.buffer_size
        assert received.dense().tobytes() == gradient.dense().tobytes()
        assert received.active.tobytes() == gradient.active.tobytes()
        received.check()
        for offset, table in gradient.tables.items():
            assert received.tables[offset].used.tolist() == table.used.tolist()


def test_without_tables_a_packed_gradient_is_its_buffer():
    buffer = np.arange(5, dtype=np.float32)

    assert packed(Gradient(GradientLayout(3, 2), buffer)).tobytes() == buffer.tobytes()


@given(gradients(), st.data())
def test_a_truncated_or_overlong_packed_gradient_is_an_error(gradient, data):
    values = packed(gradient)
    cut = data.draw(st.integers(0, len(values) - 1))

    with pytest.raises(GradientError):
        FORM.zeros().unpack(values[:cut])
    with pytest.raises(GradientError, match="surplus values"):
        FORM.zeros().unpack(np.append(values, np.float32(0)))


def test_rows_that_a_table_cannot_have_in_use_are_an_error():
    gradient = FORM.zeros()
    gradient.tables[17].index[:3] = 2, 3, 3

    with pytest.raises(GradientError, match="a table of 4 rows cannot have"):
        gradient.check()
