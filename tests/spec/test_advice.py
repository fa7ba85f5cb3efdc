"""Warnings about an activation that the loss applies itself or that does not suit it; other networks have none."""

import pytest

from raydient.spec.advice import network_warnings
from raydient.spec.network import Network


def warnings_of(layers, loss="softmax_cross_entropy", **parts):
    network = {"layers": layers, **({"loss": loss} if loss else {}), **parts}
    return [(w.path, w.message) for w in network_warnings(Network.model_validate(network))]


@pytest.mark.parametrize(
    ("activation", "loss", "words"),
    [
        ("softmax", "softmax_cross_entropy", "the loss applies softmax itself"),
        ("sigmoid", "binary_cross_entropy", "the loss applies the sigmoid itself"),
        ("sigmoid", "softmax_cross_entropy", "it bounds the outputs"),
        ("relu", "softmax_cross_entropy", "gets no gradient"),
        ("relu", "binary_cross_entropy", "class 0 is never predicted"),
        ("softplus", "hinge", "class 0 is never predicted"),
        ("relu", "poisson", "logarithms of rates"),
    ],
)
def test_unsuitable_activations_before_a_loss(activation, loss, words):
    (warning,) = warnings_of([{"dense": {"units": 4, "activation": "relu"}}, dense(activation, 2)], loss)
    assert warning[0] == "network.layers[1].dense.activation"
    assert warning[1].startswith(f"{activation} before {loss}: ")
    assert words in warning[1]


def dense(activation, units=3, **settings):
    return {"dense": {"units": units, "activation": activation, **settings}}


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("identity", "softmax_cross_entropy"),
        ("identity", "binary_cross_entropy"),
        ("softmax", "mean_squared_error"),
        ("sigmoid", "mean_squared_error"),
        ("relu", "mean_absolute_error"),
        ("tanh", "hinge"),
        ("leaky_relu", "softmax_cross_entropy"),
        ("identity", "poisson"),
    ],
)
def test_a_suitable_network_has_no_warnings(activation, loss):
    assert warnings_of([dense("softmax"), dense(activation, 2)], loss) == []


def test_an_activation_layer_behind_layers_that_only_rearrange():
    layers = [
        {"dense": {"units": 4}},
        {"activation": {"function": "softmax"}},
        {"reshape": {"shape": [2, 2]}},
        "flatten",
    ]
    ((path, _),) = warnings_of(layers)
    assert path == "network.layers[1].activation.function"


def test_an_activation_in_a_shared_layer():
    layers = [
        dense("softmax", name="head", inputs="input"),
        {"dense": {"units": 3, "inputs": "input"}},
        {"shared": {"layer": "head", "name": "again"}},
        {"flatten": {"name": "end", "inputs": "again"}},
    ]
    ((path, _),) = warnings_of(layers)
    assert path == "network.layers[0].dense.activation"


def test_every_output_is_checked():
    layers = [dense("sigmoid", 1, name="sick", inputs="input"), dense("identity", 3, name="kind", inputs="input")]
    outputs = [
        {"layer": "kind", "label": "kind", "loss": "softmax_cross_entropy"},
        {"layer": "sick", "label": "sick", "loss": "binary_cross_entropy"},
    ]
    ((path, message),) = warnings_of(layers, None, outputs=outputs)
    assert (path, message.split(":")[0]) == (
        "network.layers[0].dense.activation",
        "sigmoid before binary_cross_entropy",
    )


def test_softmax_of_one_unit_is_constant():
    ((_, message),) = warnings_of([dense("softmax", 1)], "mean_squared_error")
    assert message.startswith("softmax of one unit is 1")


def test_data_alone_and_unknown_outputs_give_none():
    assert warnings_of(["flatten"]) == []
    assert warnings_of([dense("softmax")], None, outputs=[{"layer": "other", "label": "y", "loss": "poisson"}]) == []
