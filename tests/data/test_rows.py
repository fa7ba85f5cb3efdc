"""Rows are collected in room that grows, whatever number of them was expected; the twin is a list of their blocks."""

import threading
from random import Random

import numpy as np
import pytest

from raydient.workers.data import rows
from raydient.workers.data.limits import Budget
from raydient.workers.data.pipelined import pipelined
from raydient.workers.data.rows import Rows

SHAPE = (2, 3)
ROW_BYTES = 8 * 6


def blocks(seed: int) -> list[np.ndarray]:
    draw = Random(seed)
    return [np.random.default_rng((seed, i)).random((draw.randrange(1, 40), *SHAPE)) for i in range(12)]


def collected(several: list[np.ndarray], budget: Budget, *, expected: int | None = None) -> Rows:
    collection = Rows(SHAPE, np.float64, budget)
    if expected is not None:
        collection.expect(expected)
    for block in several:
        with collection.room(len(block)) as room:
            assert room.shape == block.shape
            assert room.flags.c_contiguous
            room[...] = block
    return collection


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("more", [None, -400, -1, 0, 1, 400])
def test_all_rows_in_order_however_many_were_expected(monkeypatch, seed, more):
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 50 * ROW_BYTES)
    twin = np.concatenate(blocks(seed))
    budget = Budget(10**9)
    expected = None if more is None else max(0, len(twin) + more)
    whole = collected(blocks(seed), budget, expected=expected).whole()
    assert np.array_equal(whole, twin)
    assert budget.spent == twin.nbytes


def test_rows_whose_number_is_known_are_never_copied():
    several = blocks(1)
    collection = Rows(SHAPE, np.float64, Budget(10**9))
    collection.expect(sum(map(len, several)))
    first = None
    for block in several:
        with collection.room(len(block)) as room:
            first = room if first is None else first
            room[...] = block
    assert collection.whole().ctypes.data == first.ctypes.data


def test_more_rows_than_fit_are_not_allocated_in_advance(monkeypatch):
    asked = []
    monkeypatch.setattr(rows.Rows, "_allocate", lambda self, count: asked.append(count))
    Rows(SHAPE, np.float64, Budget(10**6)).expect(10**9)
    assert asked == []


@pytest.mark.parametrize("memory", [0, 4_000, 9_000, 40_000, 10**9])
@pytest.mark.parametrize("expected", [None, 100])
def test_collections_are_joined_in_order_in_memory_and_in_files(tmp_path, memory, expected):
    budget = Budget(memory, tmp_path)
    first = collected(blocks(2), budget, expected=expected)
    first.extend(collected(blocks(3), budget, expected=expected))
    with first.room(2) as room:
        room[...] = 7
    assert np.array_equal(first.whole(), np.concatenate([*blocks(2), *blocks(3), np.full((2, *SHAPE), 7.0)]))


def test_parts_come_in_order_from_a_thread_that_ends():
    threads = []

    def parts():
        for number in range(5):
            threads.append(threading.current_thread())
            yield number

    assert list(pipelined(parts())) == [0, 1, 2, 3, 4]
    assert not any(thread.is_alive() or thread is threading.main_thread() for thread in threads)


def test_an_error_follows_the_parts_before_it():
    def parts():
        yield "first"
        raise ValueError("the second is damaged")

    all_parts = pipelined(parts())
    assert next(all_parts) == "first"
    with pytest.raises(ValueError, match="damaged"):
        next(all_parts)
