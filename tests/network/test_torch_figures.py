"""Training in float64 against figures of PyTorch, which `peers/torch_figures.py` writes."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from raydient.workers.network import Program

from .training_step import step

FIGURES = json.loads((Path(__file__).parent / "peers" / "torch_figures.json").read_text(encoding="utf-8"))
RATE, ROWS = 0.5, 4


def wave(*shape, phase=0.0):
    """Numbers between -1 and 1 that any program computes alike."""
    return np.array([math.sin(1.7 * n + phase) for n in range(math.prod(shape))]).reshape(shape)


def whole(below, *shape):
    """Whole numbers from 0 on."""
    return np.array([(n * n + n // 3) % below for n in range(math.prod(shape))]).reshape(shape)


DENSE = {"dense": {"units": 3}}
PADDED = {"softmax_cross_entropy": {"ignore_class": -1}}
SMOOTHED = {"softmax_cross_entropy": {"label_smoothing": 0.1}}
TANH = {"activation": "tanh"}
BALANCED = {"binary_focal_cross_entropy": {"apply_class_balancing": True}}
GROUPS = {"filters": 2, "kernel_size": [3, 2], "strides": [2, 3], "dilation_rate": [2, 1], "groups": 2, **TANH}
TWICE = {"filters": 3, "strides": 2, **TANH}
CASES = {
    "sequence": ([DENSE], "softmax_cross_entropy", wave(ROWS, 5, 2), whole(3, ROWS, 5)),
    "padded": ([DENSE], PADDED, wave(ROWS, 5, 2), whole(3, ROWS, 5) - 1),
    "segmentation": ([DENSE], SMOOTHED, wave(ROWS, 2, 3, 2), whole(3, ROWS, 2, 3)),
    "attention": (
        [
            {"multi_head_attention": {"num_heads": 2, "key_dim": 2, "inputs": ["x", "mask"]}},
            "global_average_pooling1d",
            {"dense": {"units": 1}},
        ],
        "mean_squared_error",
        {"x": wave(ROWS, 4, 3), "mask": np.maximum(whole(2, ROWS, 4), np.arange(4) == 1)},
        wave(ROWS, 1, phase=1.0),
    ),
    "lstm_in_both_directions": (
        [{"bidirectional": {"layer": {"lstm": {"units": 2, "return_sequences": True}}}}, DENSE],
        "softmax_cross_entropy",
        wave(ROWS, 4, 3),
        whole(3, ROWS, 4),
    ),
    "gru_in_both_directions": (
        [{"bidirectional": {"layer": {"gru": {"units": 2}}, "merge_mode": "ave"}}, {"dense": {"units": 1}}],
        "mean_squared_error",
        wave(ROWS, 4, 3),
        wave(ROWS, 1, phase=1.0),
    ),
    "image_layers": (
        [
            {"prelu": {"shared_axes": [1, 2]}},
            {"group_normalization": {"groups": 2}},
            {"up_sampling2d": {"size": [2, 3]}},
            "global_max_pooling2d",
            {"dense": {"units": 2}},
        ],
        "softmax_cross_entropy",
        wave(ROWS, 2, 3, 4),
        whole(2, ROWS),
    ),
    "rms": (
        ["rms_normalization", {"dense": {"units": 1}}],
        "mean_squared_error",
        wave(ROWS, 3),
        wave(ROWS, 1, phase=1),
    ),
    "transposed": (
        [
            {"conv2d_transpose": {**TWICE, "kernel_size": [3, 4], "padding": "same"}},
            {"conv2d_transpose": {"filters": 2, "kernel_size": [1, 3], "strides": [2, 1]}},
            "flatten",
        ],
        "mean_squared_error",
        wave(ROWS, 2, 3, 2),
        wave(ROWS, 8 * 8 * 2, phase=1.0),
    ),
    "transposed_in_groups": (
        [
            {"conv2d_transpose": {**GROUPS, "padding": {"explicit": {"before": [1, 2]}}, "output_padding": [1, 2]}},
            {"conv2d_transpose": {"filters": 2, "kernel_size": [2, 3], "dilation_rate": [1, 2]}},
            "flatten",
        ],
        "mean_squared_error",
        wave(ROWS, 2, 3, 4),
        wave(ROWS, 7 * 10 * 2, phase=1.0),
    ),
    "exact_gelu": (
        [{"dense": {"units": 5, "activation": "exact_gelu"}}, {"dense": {"units": 2}}],
        "mean_squared_error",
        wave(ROWS, 3),
        wave(ROWS, 2, phase=1.0),
    ),
    "activity": (
        [
            {"dense": {"units": 5, "activation": "tanh"}},
            {"activity_regularization": {"l1": 0.1, "l2": 0.2}},
            {"dense": {"units": 2}},
        ],
        "mean_squared_error",
        wave(ROWS, 3),
        wave(ROWS, 2, phase=1.0),
    ),
    "quantile": (
        [{"dense": {"units": 2}}],
        {"quantile": {"quantile": 0.9}},
        wave(ROWS, 3),
        wave(ROWS, 2, phase=1.0),
    ),
    "cosine": ([DENSE], "cosine_similarity", wave(ROWS, 2), wave(ROWS, 3, phase=1.0)),
    "binary_focal": ([DENSE], BALANCED, wave(ROWS, 2), whole(2, ROWS, 3)),
    "positions": (
        [
            "position_embedding",
            {"multi_head_attention": {"num_heads": 1, "key_dim": 3, "causal": True, "use_bias": False}},
            {"dense": {"units": 2}},
        ],
        "softmax_cross_entropy",
        wave(ROWS, 4, 3),
        whole(2, ROWS, 4),
    ),
    "several_labels": ([DENSE], "binary_cross_entropy", wave(ROWS, 2), whole(2, ROWS, 3)),
}
"""Layers, loss, samples and labels."""


def test_every_case_has_figures():
    assert CASES.keys() == FIGURES.keys()


@pytest.mark.parametrize("case", CASES)
def test_losses_and_weights_are_those_of_pytorch(make_network, case):
    assert_trains_like(make_network, FIGURES[case], *CASES[case])


def assert_trains_like(make_network, figures, layers, loss, x, y):
    """Compare losses and weights of five steps with `figures` of another program."""
    shapes = {name: one.shape[1:] for name, one in x.items()} if isinstance(x, dict) else x.shape[1:]
    network = make_network(layers, loss, shapes)
    program, weights, losses = Program(network, ROWS, np.float64), wave(network.layout.size, phase=0.3), []
    for _ in figures["losses"]:
        sums, gradient = step(program, weights, (x, y))
        losses.append(sums[0] / ROWS)
        weights -= RATE * gradient
    np.testing.assert_allclose(losses, figures["losses"], rtol=1e-9)
    np.testing.assert_allclose(weights, figures["weights"], rtol=1e-8, atol=1e-10)
