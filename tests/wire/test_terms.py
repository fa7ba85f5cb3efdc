"""Sizes of pushes and the places of their parts."""

from dataclasses import replace

import numpy as np
import pytest

from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Layout
from raydient.wire.frames import ProtocolError
from raydient.wire.memory import Segment
from raydient.wire.terms import PHASES, Terms

from .conftest import SMALL

ONLY = SMALL.of_shard(0)
LAYOUT = Layout.of([("a", (1,)), ("b", (4, 5)), ("c", (3,)), ("d", (70, 2))], sparse=["b", "d"])


def test_the_terms_give_the_sizes_of_a_push():
    terms = Terms(GradientLayout(10), slots=3, sums=2)

    assert terms.note_bytes == 8 * (2 + len(PHASES) + 2)
    only = terms.of_shard(0)
    assert only.most_bytes == only.least_bytes == 40


def test_with_tables_a_push_is_as_long_as_there_are_rows_in_use():
    layout = GradientLayout.of(LAYOUT, units=4)
    terms, gradient = replace(SMALL, gradient=layout), layout.zeros()
    only = terms.of_shard(0)

    assert only.least_bytes == 4 * gradient.packed_size == 4 * (4 + 4 + 2)
    first, second = gradient.tables.values()
    first.write(np.array([0, 3]), np.ones((2, 5), np.float32))
    length = 4 * gradient.packed_size
    assert length == only.least_bytes + 4 * 2 * (1 + 5)
    assert only.part_of(length, only.most_bytes) == (0, length)
    first.write(np.arange(4), np.ones((4, 5), np.float32))
    second.write(np.arange(70), np.ones((70, 2), np.float32))
    assert 4 * gradient.packed_size == only.most_bytes
    assert Terms.unpack(terms.pack()) == terms


def test_a_dense_gradient_comes_from_its_end_to_its_beginning():
    assert ONLY.part_of(8, ONLY.most_bytes) == (16, 24)
    assert ONLY.part_of(15, 16) == (1, 16)
    assert ONLY.part_of(1, 1) == (0, 1)


@pytest.mark.parametrize(("length", "missing"), [(25, 24), (0, 24), (2, 1), (1, 0)])
def test_a_part_lies_inside_its_gradient(length, missing):
    with pytest.raises(ProtocolError, match="a part of"):
        ONLY.part_of(length, missing)


def test_a_push_has_its_sums_and_its_seconds():
    push = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9], "<f8").tobytes()
    note = SMALL.note_in(push)

    assert [part.tolist() for part in note] == [[1, 2], [3, 4, 5, 6, 7], [8], [9]]
    with pytest.raises(ProtocolError, match="without its sums"):
        SMALL.note_in(push[: SMALL.note_bytes - 1])


@pytest.mark.parametrize("count", [-1, np.inf, np.nan])
def test_bytes_received_and_saved_are_numbers_of_bytes(count):
    with pytest.raises(ProtocolError, match="bytes received"):
        SMALL.note_in(np.array([1, 2, 3, 4, 5, 6, 7, count, 0], "<f8").tobytes())
    with pytest.raises(ProtocolError, match="bytes saved"):
        SMALL.note_in(np.array([1, 2, 3, 4, 5, 6, 7, 0, count], "<f8").tobytes())


def test_slots_in_shared_memory_do_not_overlap():
    terms = replace(SMALL, gradient=GradientLayout(17))
    segment = Segment.create(terms.slots_bytes)
    for number, gradient in enumerate(terms.slots_in(segment)):
        gradient.vector[:] = number + 1

    assert terms.slots_bytes == 3 * 128
    counts = np.bincount(segment.array("<f4", (96,)).astype(int))
    assert counts.tolist() == [3 * 15, 17, 17, 17]
