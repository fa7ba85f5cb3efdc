"""Names, shapes, penalties and the layer table of a network, and specifications that are refused."""

from typing import get_args

import numpy as np
import pytest

from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Layer
from raydient.steps.layout import Learned
from raydient.workers.network import build, describe
from raydient.workers.network.losses import LOSSES

from .examples import EXAMPLES, graph


def regularizers(kind):
    """Return the settings of a kind of layer that are penalties."""
    (settings,) = (option for option in get_args(Layer.model_fields[kind].annotation) if option is not type(None))
    return [name for name in settings.model_fields if name.endswith("_regularizer")]


def test_names_count_within_a_kind(make_network):
    layers = ["flatten", {"dense": {"units": 4}}, {"activation": {"function": "relu"}}, {"dense": {"units": 3}}]
    network = make_network(layers, input_shape=(2, 3))
    assert [layer.name for layer in network.layers] == ["flatten_1", "dense_1", "activation_1", "dense_2"]
    assert [(p.name, p.shape) for p in network.layout.parameters] == [
        ("dense_1.kernel", (6, 4)),
        ("dense_1.bias", (4,)),
        ("dense_2.kernel", (4, 3)),
        ("dense_2.bias", (3,)),
    ]


def test_a_layer_with_a_name_of_its_own_is_counted_too(make_network):
    network = make_network([{"dense": {"units": 4, "name": "hidden"}}, {"dense": {"units": 3}}])
    assert [layer.name for layer in network.layers] == ["hidden", "dense_2"]


@pytest.mark.parametrize(
    ("loss", "metrics", "units", "label_shape", "dtype"),
    [
        ("softmax_cross_entropy", ("loss", "accuracy"), 3, (), np.int32),
        ("binary_cross_entropy", ("loss", "accuracy"), 1, (1,), np.float32),
        ("sum_squared_error", ("loss", "mean_absolute_error"), 3, (3,), np.float32),
        ("mean_squared_error", ("loss", "mean_absolute_error"), 3, (3,), np.float32),
        ({"softmax_cross_entropy": {"one_hot": True}}, ("loss", "accuracy"), 3, (3,), np.float32),
        ("hinge", ("loss", "accuracy"), 1, (1,), np.float32),
        ("poisson", ("loss", "mean_absolute_error"), 3, (3,), np.float32),
        ("binary_cross_entropy", ("loss", "accuracy"), 4, (4,), np.float32),
        ("binary_focal_cross_entropy", ("loss", "accuracy"), 4, (4,), np.float32),
        ("categorical_focal_cross_entropy", ("loss", "accuracy"), 3, (), np.int32),
        ("kl_divergence", ("loss", "accuracy"), 3, (3,), np.float32),
        ("cosine_similarity", ("loss", "mean_absolute_error"), 3, (3,), np.float32),
    ],
)
def test_labels_and_metrics_of_each_loss(make_network, loss, metrics, units, label_shape, dtype):
    network = make_network([{"dense": {"units": units}}], loss)
    assert network.metric_names == metrics
    assert network.output.shape == (units,)
    assert network.output.label_shape == label_shape
    assert network.output.label_dtype == dtype


def refused(make_network, layers, loss="softmax_cross_entropy", input_shape=(6,)):
    with pytest.raises(InvalidSpec) as caught:
        make_network(layers, loss, input_shape)
    return [(error.path, error.message) for error in caught.value.errors]


def test_an_image_as_output_is_refused_with_its_shape_and_a_remedy(make_network):
    ((path, message),) = refused(make_network, [{"dense": {"units": 3}}], "poisson", input_shape=(8, 8))
    assert path == "network.loss"
    assert message.startswith("the output of dense_1 has shape (8, 3), but poisson takes one vector per sample")
    assert message.endswith("add `flatten` after the last layer")


def test_shapes_that_do_not_fit_name_both_layers(make_network):
    second = {"multi_head_attention": {"num_heads": 1, "key_dim": 2, "name": "second"}}
    layers = [{"activation": {"function": "relu", "name": "first"}}, second, {"dense": {"units": 3}}]
    ((path, message),) = refused(make_network, layers, input_shape=(8,))
    assert path == "network.layers[1].multi_head_attention"
    assert "the output of first has shape (8), but second takes" in message


@pytest.mark.parametrize("loss", [kind for kind, loss in LOSSES.items() if not loss.class_count((2, 2))])
def test_outputs_that_are_not_vectors_are_refused(make_network, loss):
    errors = refused(make_network, [{"activation": {"function": "relu"}}], loss, (2, 2))
    assert [path for path, _ in errors] == ["network.loss", "network.layers"]
    assert "the output of activation_1 has shape (2, 2)" in errors[0][1]
    assert loss in errors[0][1]


def test_hard_step_is_refused_in_training(make_network):
    layers = ["flatten", {"dense": {"units": 2, "activation": "hard_step"}}, {"activation": {"function": "hard_step"}}]
    network = make_network([*layers, {"dense": {"units": 3}}])
    with pytest.raises(InvalidSpec) as caught:
        build(network.spec, network.input_shapes, training=True)
    assert [error.path for error in caught.value.errors] == [
        "network.layers[1].dense.activation",
        "network.layers[2].activation.function",
    ]
    assert caught.value.errors[0].message.startswith("the derivative of hard_step is 0, so that no layer before it")


def test_a_network_without_parameters_is_refused(make_network):
    ((path, message),) = refused(make_network, ["flatten"])
    assert path == "network.layers"
    assert "no layer has parameters" in message


@pytest.mark.parametrize(
    ("kind", "units", "classes"),
    [("softmax_cross_entropy", 4, 4), ("binary_cross_entropy", 1, 2), ("hinge", 1, 2)],
)
def test_another_number_of_class_weights_than_classes_is_refused(make_network, kind, units, classes):
    loss = {kind: {"class_weight": [1.0, 2.0, 3.0]}}
    ((path, message),) = refused(make_network, [{"dense": {"units": units}}], loss)
    assert path == f"network.loss.{kind}.class_weight"
    assert message == f"has 3 weights for {classes} classes"


def test_a_network_whose_parameters_are_all_frozen_is_refused(make_network):
    ((path, message),) = refused(make_network, [{"dense": {"units": 3, "trainable": False}}])
    assert path == "network.layers"
    assert (
        message
        == "there is nothing to train: every parameter is frozen by `trainable: false` or is a running statistic"
    )


def penalties_of(network):
    """Return the factors of each parameter with a penalty, by name."""
    return {
        p.name: (p.kind.l1, p.kind.l2)
        for p in network.layout.parameters
        if isinstance(p.kind, Learned) and p.kind != Learned()
    }


def test_penalties_go_with_the_kernel(make_network):
    layers = [{"dense": {"units": 4, "kernel_regularizer": {"l2": 0.5}}}, {"dense": {"units": 3}}]
    assert penalties_of(make_network(layers)) == {"dense_1.kernel": (0.0, 0.5)}


def test_penalties_on_sequences(make_network):
    layers = [
        {"embedding": {"input_dim": 4, "output_dim": 2, "embeddings_regularizer": {"l1": 1.0}}},
        {"gru": {"units": 2, "return_sequences": True, "recurrent_regularizer": {"l1": 2.0}}},
        {"lstm": {"units": 2, "kernel_regularizer": {"l2": 3.0}, "recurrent_regularizer": {"l2": 4.0}}},
        {"dense": {"units": 3}},
    ]
    assert penalties_of(make_network(layers)) == {
        "embedding_1.embeddings": (1.0, 0.0),
        "gru_1.recurrent_kernel": (2.0, 0.0),
        "lstm_1.kernel": (0.0, 3.0),
        "lstm_1.recurrent_kernel": (0.0, 4.0),
    }


@pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if regularizers(kind)])
def test_every_penalty_that_a_layer_may_have_is_one_while_it_learns(make_network, kind):
    settings, shapes = EXAMPLES[kind][0]
    regularization = {name: {"l1": 1.0 + n, "l2": 2.0 + n} for n, name in enumerate(regularizers(kind))}
    for trainable in (True, False):
        layers = graph(kind, {**settings, **regularization, "trainable": trainable}, shapes)
        network = make_network(layers, input_shape=(4,))
        expected = {name: (r["l1"], r["l2"]) for name, r in regularization.items()}
        on_outputs = expected.pop("activity_regularizer", (0.0, 0.0))  # also of a layer that rests
        assert {layer.penalty for layer in network.layers if layer.name == "middle"} == {on_outputs}
        assert set(penalties_of(network).values()) == (set(expected.values()) if trainable else set())


def test_each_kernel_of_attention_has_the_penalty(make_network):
    settings = {"num_heads": 2, "key_dim": 3, "kernel_regularizer": {"l2": 0.5}}
    penalties = penalties_of(make_network([{"multi_head_attention": settings}, "flatten"], "huber", (4, 5)))
    parts = ("query", "key", "value", "output")
    assert penalties == {f"multi_head_attention_1.{part}_kernel": (0.0, 0.5) for part in parts}


def test_all_errors_at_once(make_network):
    parts = [{"dense": {"units": units, "name": name, "inputs": "input"}} for name, units in (("a", 3), ("b", 4))]
    layers = [*parts, {"add": {"inputs": ["a", "b"]}}, {"dense": {"units": 2}}]
    errors = refused(make_network, layers, {"hinge": {"class_weight": [1.0]}})
    assert [path for path, _ in errors] == ["network.layers[2].add", "network.loss.hinge.class_weight"]


def test_layer_table(make_network):
    layers = ["flatten", {"dense": {"units": 4, "activation": "relu"}}, {"dense": {"units": 3, "use_bias": False}}]
    table = describe(make_network(layers, input_shape=(2, 3)), rows=10)
    assert [(row.name, row.kind, row.output_shape) for row in table] == [
        ("flatten_1", "flatten", (6,)),
        ("dense_1", "dense", (4,)),
        ("dense_2", "dense", (3,)),
    ]
    assert [row.parameters for row in table] == [0, 28, 12]
    assert [row.operations for row in table] == [0, 2 * 6 * 4 + 4, 2 * 4 * 3]
    assert [row.bytes for row in table] == [0, 4 * (2 * 28 + 40), 4 * (2 * 12 + 30)]
    assert [row.inputs for row in table] == [("input",), ("flatten_1",), ("dense_1",)]


def test_layer_table_of_a_graph(make_network):
    """Shared parameters are counted once; saved arrays are counted."""
    layers = [
        {"dense": {"name": "encoder", "units": 6}},
        {"shared": {"name": "again", "layer": "encoder"}},
        {"dropout": {"name": "some", "rate": 0.5, "inputs": "encoder"}},
        {"add": {"name": "both", "inputs": ["again", "some"]}},
        {"dense": {"name": "head", "units": 3}},
    ]
    network = make_network(layers)
    table = {row.name: row for row in describe(network, rows=10)}
    assert [row.inputs for row in table.values()] == [
        ("input",),
        ("encoder",),
        ("encoder",),
        ("again", "some"),
        ("both",),
    ]
    assert [(row.parameters, row.shares) for row in table.values()] == [
        (42, ""),
        (0, "encoder"),
        *[(0, "")] * 2,
        (21, ""),
    ]
    assert sum(row.parameters for row in table.values()) == network.layout.size
    assert table["some"].bytes == 4 * 2 * 60  # output and mask


def test_layer_table_counts_learned_values(make_network):
    statistics = {"batch_normalization": {"center": False, "scale": False}}
    layers = [{"dense": {"units": 4, "trainable": False}}, "batch_normalization", statistics, {"dense": {"units": 3}}]
    layers.insert(3, {"batch_normalization": {"trainable": False}})
    table = describe(make_network(layers), rows=10)
    counts = [(row.parameters, row.learned, row.frozen) for row in table]
    assert counts == [(28, 0, True), (16, 8, False), (8, 0, False), (16, 0, True), (15, 15, False)]


def test_bind_gives_views(make_network):
    network = make_network([{"dense": {"units": 2}}])
    vector = np.zeros(network.layout.size, np.float32)
    (views,) = network.bind(vector)
    views["bias"][...] = 7
    assert vector.tolist() == [0] * 12 + [7, 7]


def test_a_network_with_too_many_parameters_is_refused(make_network):
    layers = [{"dense": {"units": 1_000_000}}, {"dense": {"units": 1_000_000}}]
    ((path, message),) = refused(make_network, layers)
    assert path == "network.layers"
    assert message == "1,000,008,000,000 parameters are more than the 2,147,483,647 that a network may have"
