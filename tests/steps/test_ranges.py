"""Pieces of the flat vector and the ranges of shards."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps.layout import Average, Layout
from raydient.steps.ranges import PIECE, pieces, ranges

LAYOUT = Layout.of(
    [("a.kernel", (100, 90)), ("table.embeddings", (5_000, 7)), ("b.kernel", (130, 200)), ("b.mean", (200,))],
    kinds={"b.mean": Average(0.9)},
    sparse=["table.embeddings"],
)


def test_pieces_outside_tables_end_at_multiples_of_a_piece():
    assert pieces(Layout.of([("a", (3 * PIECE + 5,))])) == [0, PIECE, 2 * PIECE, 3 * PIECE, 3 * PIECE + 5]


def test_pieces_of_a_table_have_whole_rows():
    table = LAYOUT.parameters[1]
    inside = [bound for bound in pieces(LAYOUT) if table.offset <= bound <= table.stop]
    assert inside[0] == table.offset
    assert inside[-1] == table.stop
    assert all((bound - table.offset) % 7 == 0 for bound in inside)


def test_a_row_longer_than_a_piece_is_not_cut():
    layout = Layout.of([("table", (3, 2 * PIECE + 1))], sparse=["table"])
    assert pieces(layout) == [0, 2 * PIECE + 1, 4 * PIECE + 2, 6 * PIECE + 3]


def test_no_piece_is_longer_than_a_piece():
    assert max(b - a for a, b in pairwise(pieces(LAYOUT))) <= PIECE


@given(count=st.integers(1, len(pieces(LAYOUT)) - 1))
def test_ranges_tile_the_vector_at_bounds_of_pieces(count):
    divided = ranges(LAYOUT, count)
    assert len(divided) == count
    assert [start for start, _ in divided] == [0, *(stop for _, stop in divided[:-1])]
    assert divided[-1][1] == LAYOUT.size
    assert {bound for part in divided for bound in part} <= set(pieces(LAYOUT))
    assert all(start < stop for start, stop in divided)


def test_ranges_have_about_equal_sizes():
    assert all(abs(stop - start - LAYOUT.size / 3) <= PIECE for start, stop in ranges(LAYOUT, 3))


@pytest.mark.parametrize("count", [0, len(pieces(LAYOUT))])
def test_more_ranges_than_pieces_are_refused(count):
    with pytest.raises(ValueError, match=f"{count} ranges of a vector of {len(pieces(LAYOUT)) - 1} pieces"):
        ranges(LAYOUT, count)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_layouts_of_ranges_together_have_every_value(count):
    vector = np.arange(LAYOUT.size, dtype=np.float32)
    for start, stop in ranges(LAYOUT, count):
        part = LAYOUT.within(start, stop)
        assert part.size == stop - start
        for parameter in part.parameters:
            whole = next(p for p in LAYOUT.parameters if p.name == parameter.name)
            assert (parameter.kind, parameter.sparse) == (whole.kind, whole.sparse)
            values = parameter.view(vector[start:stop]).reshape(-1)
            assert np.isin(values, whole.view(vector)).all()
            if parameter.sparse:
                assert parameter.shape[1] == whole.shape[1]
                assert (start + parameter.offset - whole.offset) % whole.shape[1] == 0
    assert LAYOUT.within(0, LAYOUT.size) == LAYOUT
