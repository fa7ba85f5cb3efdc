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

    assert terms.note_bytes == 8 * (2 + len(PHASES) + 1)
    only = terms.of_shard(0)
    assert only.most_bytes == only.least_bytes == terms.note_bytes + 40


def test_with_tables_a_push_is_as_long_as_there_are_rows_in_use():
    layout = GradientLayout.of(LAYOUT, units=4)
    terms, gradient = replace(SMALL, gradient=layout), layout.zeros()
    only = terms.of_shard(0)

    assert only.least_bytes == only.bytes_of(gradient) == terms.note_bytes + 4 * (4 + 4 + 2)
    first, second = gradient.tables.values()
    first.write(np.array([0, 3]), np.ones((2, 5), np.float32))
    assert only.bytes_of(gradient) == only.least_bytes + 4 * 2 * (1 + 5)
    first.write(np.arange(4), np.ones((4, 5), np.float32))
    second.write(np.arange(70), np.ones((70, 2), np.float32))
    assert only.bytes_of(gradient) == only.most_bytes
    assert Terms.unpack(terms.pack()) == terms


@pytest.mark.parametrize(("length", "brings"), [(-4, False), (-1, False), (0, True), (1, False), (4, False)])
def test_a_dense_gradient_has_one_length(length, brings):
    assert ONLY.brings_gradient(ONLY.most_bytes + length) == brings


def test_a_push_has_its_sums_its_seconds_and_its_gradient():
    push = np.array([1, 2, 3, 4, 5, 6, 7], "<f8").tobytes() + np.arange(6, dtype="<f4").tobytes()
    note = SMALL.note_in(push)

    assert (note.sums.tolist(), note.seconds.tolist(), note.pulled.tolist()) == ([1, 2], [3, 4, 5, 6], [7])
    assert ONLY.gradient_in(push).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ProtocolError, match="without its sums"):
        SMALL.note_in(push[: SMALL.note_bytes - 1])
    with pytest.raises(ProtocolError, match="without its gradient"):
        ONLY.gradient_in(push[: ONLY.least_bytes - 1])


@pytest.mark.parametrize("pulled", [-1, np.inf, np.nan])
def test_bytes_received_are_a_number_of_bytes(pulled):
    with pytest.raises(ProtocolError, match="bytes received"):
        SMALL.note_in(np.array([1, 2, 3, 4, 5, 6, pulled], "<f8").tobytes())


def test_slots_in_shared_memory_do_not_overlap():
    terms = replace(SMALL, gradient=GradientLayout(17))
    segment = Segment.create(terms.slots_bytes)
    for number, gradient in enumerate(terms.slots_in(segment)):
        gradient.vector[:] = number + 1

    assert terms.slots_bytes == 3 * 128
    counts = np.bincount(segment.array("<f4", (96,)).astype(int))
    assert counts.tolist() == [3 * 15, 17, 17, 17]
