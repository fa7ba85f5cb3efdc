"""The distinct class indices of labels, counted some at a time, against sorting all of them."""

import numpy as np
import pytest

from raydient.workers.network.losses import labels as losses_labels
from raydient.workers.network.losses.labels import distinct
from raydient.workers.network.losses.places import SKIPPED


@pytest.mark.parametrize("at_once", [1, 7, 100, 1000])
@pytest.mark.parametrize("most", [2, 50, 10**9])
def test_they_are_those_of_sorting_without_skipped_ones(monkeypatch, at_once, most):
    monkeypatch.setattr(losses_labels, "COUNTED_AT_ONCE", at_once)
    rng = np.random.default_rng(most)
    indices = rng.integers(0, most, (50, 2)).astype(np.int32)
    indices[rng.random((50, 2)) < 0.2] = SKIPPED
    indices[:10] = SKIPPED
    assert distinct(indices).tolist() == sorted({*indices[indices >= 0].tolist()})


def test_no_labels_have_none():
    assert distinct(np.empty((0, 2), np.int32)).tolist() == []
