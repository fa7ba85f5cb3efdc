"""The order of samples and the split: permutations that depend on their keys alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raydient.workers.data import epoch_order
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
