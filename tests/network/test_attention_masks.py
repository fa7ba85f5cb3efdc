"""Attention with a padding mask and with dropout, and positions."""

import math

import numpy as np
import pytest

from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Network
from raydient.workers.network import Pass, Program, build
from raydient.workers.network.layers import INFERENCE
from raydient.workers.network.layers.positions import sines

MASKS = np.array([[1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
OTHER_NUMBERS = np.array([[1, 2, 0, 7], [0, 0, -1, 0], [3, 1, 1, 0.5], [0, 0, 0, 0]])


def network_of(shapes, **settings):
    """Return a network in which attention reads sequences and a mask by name."""
    layers = [
        {
            "multi_head_attention": {
                "name": "attention",
                "inputs": list(shapes),
                "num_heads": 2,
                "key_dim": 2,
                **settings,
            }
        },
        "flatten",
        {"dense": {"units": 1}},
    ]
    return build(Network.model_validate({"layers": layers, "loss": "mean_squared_error"}), shapes)


def attended(network, samples, pass_=INFERENCE, seed=1):
    """Return the output of attention for samples by name."""
    program = Program(network, len(samples["x"]), np.float64)
    for name, values in samples.items():
        program.xs[name][...] = values
    weights = np.random.default_rng(seed).normal(size=network.layout.size)
    program.forward(network.bind(weights), pass_)
    return program.outputs[0].copy()


X = np.random.default_rng(2).normal(size=(4, 4, 3))


@pytest.mark.parametrize("causal", [False, True])
def test_hidden_places_are_not_attended_to(causal):
    """The output at each place is that of attention to the visible places alone, each as a sequence of its own."""
    masked = attended(network_of({"x": (4, 3), "mask": (4,)}, causal=causal), {"x": X, "mask": MASKS})
    for row, mask in enumerate(MASKS):
        for place in range(4):
            visible = [s for s in range(place + 1 if causal else 4) if mask[s]]
            if visible:
                pair = network_of({"x": (1, 3), "source": (len(visible), 3)})
                alone = attended(pair, {"x": X[row : row + 1, [place]], "source": X[row : row + 1, visible]})
                np.testing.assert_allclose(masked[row, place], alone[0, 0], rtol=1e-10)
            else:
                np.testing.assert_allclose(masked[row, place], nothing_seen(network_of({"x": (1, 3)})), rtol=1e-10)


def nothing_seen(network):
    """Return the output of attention without a context: the bias of the projection."""
    (views, *_) = network.bind(np.random.default_rng(1).normal(size=network.layout.size))
    return views["output_bias"]


def test_every_number_but_0_is_visible():
    network = network_of({"x": (4, 3), "mask": (4,)})
    of_ones, of_others = (attended(network, {"x": X, "mask": mask}) for mask in (MASKS, OTHER_NUMBERS))
    assert of_ones.tobytes() == of_others.tobytes()


def test_a_mask_of_ones_changes_no_bit():
    masked = attended(network_of({"x": (4, 3), "mask": (4,)}), {"x": X, "mask": np.ones((4, 4))})
    assert masked.tobytes() == attended(network_of({"x": (4, 3)}), {"x": X}).tobytes()


def test_dropout_keeps_the_mean_and_is_off_in_evaluation():
    plain, dropped = network_of({"x": (4, 3)}), network_of({"x": (4, 3)}, dropout=0.4)
    exact = attended(plain, {"x": X})
    assert attended(dropped, {"x": X}).tobytes() == exact.tobytes()
    draws = [attended(dropped, {"x": X}, Pass(training=True, seed=1, step=step)) for step in range(2000)]
    np.testing.assert_allclose(np.mean(draws, axis=0), exact, atol=0.3)
    assert np.std(draws, axis=0).min() > 0.01
    again = attended(dropped, {"x": X}, Pass(training=True, seed=1, step=7))
    assert again.tobytes() == draws[7].tobytes(), "random numbers depend on seed and step alone"


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"x": (4, 3), "mask": (3,)}, r"takes as its mask one number for each of the 4 places, shape \(4\)"),
        ({"x": (4, 3), "source": (5, 2), "mask": (4,)}, "one number for each of the 5 places"),
        ({"x": (4, 3), "source": (5, 2), "more": (5, 2)}, "takes sequences of vectors"),
        ({"mask": (4,), "x": (4, 3)}, "takes sequences of vectors"),
        ({"x": (4,)}, "takes sequences of vectors"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(shapes, message):
    with pytest.raises(InvalidSpec, match=message):
        network_of(shapes)


@pytest.mark.parametrize(("length", "width", "wavelength"), [(300, 6, 1e4), (5, 5, 1e4), (1, 1, 1.0), (50, 4, 30.0)])
def test_sines_and_cosines_of_the_places(length, width, wavelength):
    """The equation of Vaswani et al. (2017), section 3.5, in float64, whose sines are exact to the last bits."""
    expected = [
        [(math.cos if i % 2 else math.sin)(t * wavelength ** (-2 * (i // 2) / width)) for i in range(width)]
        for t in range(length)
    ]
    np.testing.assert_allclose(sines(length, width, wavelength), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("layer", ["position_embedding", "sine_position_encoding"])
def test_positions_are_added(layer):
    specification = {"layers": [{layer: {}}, "flatten", {"dense": {"units": 1}}], "loss": "mean_squared_error"}
    network = build(Network.model_validate(specification), (4, 3))
    program, vector = Program(network, 2), np.linspace(-1, 1, network.layout.size, dtype=np.float32)
    program.x[...] = X[:2]
    program.forward(network.bind(vector))
    table = vector[:12].reshape(4, 3) if layer == "position_embedding" else sines(4, 3, 1e4)
    np.testing.assert_array_equal(program.outputs[0], program.x + table)
