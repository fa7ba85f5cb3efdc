"""The order of samples and the split: permutations that depend on their keys alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.workers.data import EpochOrder, epoch_order, order
from raydient.workers.data.source import split_rows
from raydient.workers.streams import Purpose, stream

seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, epoch=st.integers(0, 10**6), rows=st.integers(0, 500))
def test_an_epoch_visits_every_sample_once(seed, epoch, rows):
    order = epoch_order(seed, epoch, rows)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(rows))
    assert np.array_equal(order, epoch_order(seed, epoch, rows))


def test_orders_differ_by_epoch_and_seed():
    orders = [epoch_order(seed, epoch, 50).tobytes() for seed in range(20) for epoch in range(20)]
    assert len(set(orders)) == 400


def test_orders_are_uniform():
    """Each of the 6 orders of 3 samples is about as frequent as the others."""
    orders = [tuple(epoch_order(0, epoch, 3).tolist()) for epoch in range(6000)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert all(850 < count < 1150 for count in counts)


@pytest.fixture
def windows(monkeypatch):
    """From 20 samples on, windows of at most 3 blocks of at most 4 samples."""
    monkeypatch.setattr(order, "MOST_PERMUTED", 20)
    monkeypatch.setattr(order, "BLOCK_ROWS", 4)
    monkeypatch.setattr(order, "WINDOW_BLOCKS", 3)


@pytest.mark.parametrize("rows", [0, 1, 20, 21, 24, 25, 47, 100])
def test_many_samples_are_visited_once_too_in_windows(windows, rows):
    whole = epoch_order(3, 1, rows)
    assert sorted(whole.tolist()) == list(range(rows))
    if rows <= 20:
        assert np.array_equal(whole, stream(Purpose.EPOCH, 3, 1).permutation(rows))
        return
    blocks, start, windows = (whole // 4).tolist(), 0, []
    while start < rows:
        window = frozenset(blocks[start : start + 9])  # of 12 samples, of which 3 may be missing at the end of the data
        windows.append(window)
        start += sum(block in window for block in blocks)
    assert [len(window) for window in windows[:-1]] == [3] * (len(windows) - 1)
    assert len(frozenset().union(*windows)) == sum(map(len, windows)) == -(-rows // 4)


@pytest.mark.parametrize("rows", [19, 90])
def test_a_part_of_an_order_is_that_of_the_whole(windows, rows):
    whole = epoch_order(3, 1, rows)
    one = EpochOrder(3, 1, rows)
    for start in range(rows):
        for stop in range(start, rows + 1):
            assert np.array_equal(one.rows(start, stop), whole[start:stop])


@pytest.mark.parametrize("batch", [1, 5, 6])
def test_each_window_is_computed_once_by_a_worker_that_reads_ahead(windows, monkeypatch, batch):
    """It asks for the samples of the next batch first, then for those of the current one."""
    whole, keys = epoch_order(3, 1, 90), []

    def counted(*key):
        keys.append(key)
        return stream(*key)

    monkeypatch.setattr(order, "stream", counted)
    one = EpochOrder(3, 1, 90)
    for start in range(0, 90, batch):
        assert np.array_equal(one.rows(start + batch, start + 2 * batch), whole[start + batch : start + 2 * batch])
        assert np.array_equal(one.rows(start, start + batch), whole[start : start + batch])
    assert sorted(keys[1:]) == sorted(set(keys[1:]))
    assert len(keys) == 1 + 8


def test_windows_of_other_epochs_and_seeds_have_other_blocks(windows):
    firsts = {frozenset((epoch_order(seed, epoch, 90)[:12] // 4).tolist()) for seed in range(4) for epoch in range(4)}
    assert len(firsts) > 12


def test_streams_are_pinned():
    """Other bits would change the training of every job."""
    assert stream(Purpose.EPOCH, 1, 2).bit_generator.random_raw() == 2_024_929_262_291_533_955
    assert stream(Purpose.PARAMETER, 1, "dense_1.kernel").bit_generator.random_raw() == 4_639_791_147_692_303_353
    assert np.array_equal(epoch_order(1, 2, 30), stream(Purpose.EPOCH, 1, 2).permutation(30))


def test_purposes_do_not_share_streams():
    first = {stream(purpose, 1, 2).bit_generator.random_raw() for purpose in Purpose}
    assert len(first) == len(Purpose)


@given(seed=seeds, rows=st.integers(1, 300), test=st.floats(0, 1, exclude_max=True))
def test_split(seed, rows, test):
    train, held_out = split_rows(seed, rows, test)
    assert sorted([*train.tolist(), *held_out.tolist()]) == list(range(rows))
    assert (np.diff(train) > 0).all()
    assert (np.diff(held_out) > 0).all()
    assert len(held_out) == (max(1, round(rows * test)) if test else 0)


def test_split_is_drawn_from_the_seed():
    parts = {split_rows(seed, 100, 0.2)[1].tobytes() for seed in range(20)}
    assert len(parts) == 20
