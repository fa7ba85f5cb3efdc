"""Training in float64 against figures of Keras, which `peers/keras_figures.py` writes."""

import json
from pathlib import Path

import numpy as np
import pytest

from .test_torch_figures import DENSE, ROWS, assert_trains_like, wave, whole

FIGURES = json.loads((Path(__file__).parent / "peers" / "keras_figures.json").read_text(encoding="utf-8"))
SHARES = np.stack([np.roll(np.arange(1, 4) / 6, n) for n in range(ROWS)])
FOCAL = {"categorical_focal_cross_entropy": {"gamma": 1.5}}
TANH = {"activation": "tanh", "activity_regularizer": {"l1": 0.1, "l2": 0.2}}
ACTIVITY = [
    {"conv1d": {"filters": 2, "kernel_size": 2, **TANH}},
    {"conv1d": {"filters": 2, "kernel_size": 2, "activity_regularizer": {"l2": 0.05}}},
    "flatten",
]
CASES = {
    "activity": (ACTIVITY, "mean_squared_error", wave(ROWS, 3, 2), wave(ROWS, 2, phase=1.0)),
    "kl_divergence": ([DENSE], "kl_divergence", wave(ROWS, 2), SHARES),
    "categorical_focal": ([DENSE], FOCAL, wave(ROWS, 2), whole(3, ROWS)),
}
"""Layers, loss, samples and labels."""


def test_every_case_has_figures():
    assert CASES.keys() == FIGURES.keys()


@pytest.mark.parametrize("case", CASES)
def test_losses_and_weights_are_those_of_keras(make_network, case):
    assert_trains_like(make_network, FIGURES[case], *CASES[case])
