"""Exported models: ONNX Runtime, an independent engine, computes the same numbers."""

import io
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.spec.network import Network
from raydient.workers.network import (
    Kind,
    Model,
    ModelTooLargeError,
    Preprocessing,
    Scaling,
    Target,
    build,
    only,
    onnx_export,
    random_batch,
    random_batches,
)
from raydient.workers.network.activations import ACTIVATIONS
from raydient.workers.network.losses import LOSSES
from raydient.workers.network.onnx_export import write_onnx
from raydient.workers.network.onnx_graph import OnnxGraph

from .examples import cases, graph
from .test_gradient_check import OUTPUTS
from .test_graphs import WIDTH, graphs
from .test_several import graphs as graphs_of_several
from .training_step import initial

TOLERANCE = 1e-5
ZERO, ONE = np.zeros(1), np.ones(1)


def model_of(network, seed=1, *, target=None, **preprocessing):
    """Return a model with random parameters: no bias is 0, no scale is 1."""
    weights = initial(network, seed)
    weights += np.random.default_rng(seed).normal(0, 0.1, weights.size).astype(np.float32)
    return Model.plain(network.spec, Preprocessing(only(network.input_shapes), **preprocessing), weights, target)


def samples(model, rows=5, seed=2):
    return random_batch(model.network, seed, rows)[0].astype(np.float32)


def written(model):
    file = io.BytesIO()
    write_onnx(model, file)
    return file.getvalue()


def run(content, xs):
    """Return the outputs of ONNX Runtime for samples, both by name, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, xs), strict=True))


def agree(model, x):
    content = written(model)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    for rows in (x, x[:1]):
        np.testing.assert_allclose(
            run(content, {"input": rows})["output"], model.predict(rows), rtol=TOLERANCE, atol=TOLERANCE
        )


@pytest.mark.parametrize("case", cases().values(), ids=cases())
def test_layer_between_layers(make_network, case):
    model = model_of(make_network(graph(*case), input_shape=(4,)))
    agree(model, samples(model))


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("size", [1, 30])
def test_activation(make_network, kind, size):
    model = model_of(make_network([{"activation": {"function": kind}}, {"dense": {"units": 3}}]))
    agree(model, size * samples(model))


@pytest.mark.parametrize("kind", LOSSES)
def test_the_activation_that_a_loss_assumes_is_exported(make_network, kind):
    model = model_of(make_network([{"dense": {"units": OUTPUTS.get(kind, 3)}}], kind))
    agree(model, samples(model))


@settings(derandomize=True, deadline=None, max_examples=50)
@given(layers=graphs(), rows=st.integers(1, 4), seed=st.integers(0, 1000))
def test_any_graph(make_network, layers, rows, seed):
    model = model_of(make_network(layers, "sum_squared_error", (WIDTH,)), seed)
    agree(model, samples(model, rows, seed))


@settings(derandomize=True, deadline=None, max_examples=30)
@given(graph=graphs_of_several(), rows=st.integers(1, 4), seed=st.integers(0, 1000))
def test_any_graph_of_several_inputs_and_outputs(graph, rows, seed):
    layers, outputs = graph
    shapes = {"a": (3,), "b": (3,)}
    network = build(Network.model_validate({"layers": layers, "outputs": outputs}), shapes)
    weights = np.random.default_rng(seed).normal(0, 0.5, network.layout.size).astype(np.float32)
    inputs = {name: Preprocessing(shape) for name, shape in shapes.items()}
    model = Model(network.spec, inputs, weights, {output.name: Target() for output in network.outputs})
    xs = {name: x.astype(np.float32) for name, x in random_batches(network, seed, rows)[0].items()}
    outputs = run(written(model), xs)
    for name, expected in model.predict_all(xs).items():
        np.testing.assert_allclose(outputs[name], expected, rtol=TOLERANCE, atol=TOLERANCE)


WHOLE = {
    "convolutions": (
        (8, 8, 1),
        [
            {"conv2d": {"filters": 4, "kernel_size": 3, "padding": "same"}},
            "batch_normalization",
            {"activation": {"function": "relu"}},
            {"max_pooling2d": {"pool_size": 2}},
            {"conv2d": {"filters": 6, "kernel_size": 3, "groups": 2, "activation": "silu"}},
            "global_average_pooling2d",
            {"dropout": {"rate": 0.3}},
            {"dense": {"units": 3}},
        ],
    ),
    "sequences": (
        (7,),
        [
            {"embedding": {"input_dim": 5, "output_dim": 4}},
            {"lstm": {"units": 6, "return_sequences": True}},
            {"gru": {"units": 5}},
            {"dense": {"units": 3}},
        ],
    ),
    "transformer": (
        (6, 8),
        [
            {"layer_normalization": {"name": "normal", "inputs": "input"}},
            {"multi_head_attention": {"name": "attended", "num_heads": 2, "key_dim": 4, "causal": True}},
            {"add": {"name": "residual", "inputs": ["input", "attended"]}},
            {"conv1d": {"name": "wide", "filters": 16, "kernel_size": 1, "activation": "gelu"}},
            {"conv1d": {"name": "narrow", "filters": 8, "kernel_size": 1}},
            {"add": {"name": "again", "inputs": ["residual", "narrow"]}},
            "flatten",
            {"dense": {"units": 3}},
        ],
    ),
}


@pytest.mark.parametrize(("shape", "layers"), WHOLE.values(), ids=WHOLE)
def test_whole_networks(make_network, shape, layers):
    model = model_of(make_network(layers, input_shape=shape))
    agree(model, samples(model, 9))


def test_raw_samples_are_standardized_as_in_training(make_network):
    """A mean of a million with a deviation of 1 needs float64."""
    scaling = Scaling(np.array([1e6 + 1 / 3, 0.1]), np.array([1.5, 1e-3]))
    model = model_of(make_network([{"dense": {"units": 3}}], "mean_squared_error", (2,)), transforms=(scaling,))
    agree(model, samples(model) * scaling.scale + scaling.mean)


def test_a_shared_layer_has_one_initializer_by_its_own_name(make_network):
    layers = [
        {"dense": {"units": 6, "name": "encoder"}},
        {"shared": {"layer": "encoder", "name": "again"}},
        {"dense": {"units": 3, "name": "head", "use_bias": False}},
    ]
    model = model_of(make_network(layers))
    agree(model, samples(model))
    tensors = onnx.load_from_string(written(model)).graph.initializer
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in tensors}
    assert sorted(arrays) == ["encoder.bias", "encoder.kernel", "head.kernel"]
    for name, view in model.network.layout.views(model.weights).items():
        np.testing.assert_array_equal(arrays[name], view)


def test_names_and_classes_are_metadata(make_network):
    names = {"columns": ("länge", "b"), "is_table": True, "target": Target("kind", ("x", "y", "z"))}
    model = model_of(make_network([{"dense": {"units": 3}}], input_shape=(2,)), **names)
    message = onnx.load_from_string(written(model))
    metadata = {entry.key: entry.value for entry in message.metadata_props}
    assert (json.loads(metadata["features"]), metadata["label"]) == (["länge", "b"], "kind")
    assert json.loads(metadata["classes"]) == ["x", "y", "z"]
    assert metadata["digest"] == model.digest
    assert [value.name for value in (*message.graph.input, *message.graph.output)] == ["input", "output"]


def test_names_of_users_and_generated_names_do_not_collide():
    layers = [{"dense": {"units": 2, "name": name}} for name in ("cast", "identity", "constant")]
    specification = Network.model_validate({"layers": layers, "loss": "mean_squared_error"})
    preprocessing = Preprocessing((2,), transforms=(Scaling(np.zeros(2), np.ones(2)),))
    model = Model(specification, {"output": preprocessing}, np.ones(18, np.float32), {"constant": Target()})
    x = np.array([[1, 2.0]])
    expected = model.predict_all({"output": x})["constant"]
    np.testing.assert_allclose(run(written(model), {"output": x})["constant"], expected)


def test_a_single_output_has_its_name_in_the_metadata_too():
    specification = Network.model_validate({"layers": [{"dense": {"units": 2}}], "loss": "mean_squared_error"})
    model = Model(specification, {"table": Preprocessing((2,))}, np.zeros(6, np.float32), {"dense_1": Target("price")})
    metadata = {entry.key: entry.value for entry in onnx.load_from_string(written(model)).metadata_props}
    assert json.loads(metadata["outputs"]) == {"output": {"label": "price", "classes": []}}


def test_the_same_model_gives_the_same_bytes(make_network):
    model = model_of(make_network([{"dense": {"units": 3}}]), transforms=(Scaling(np.zeros(6), np.ones(6)),))
    assert written(model) == written(model)


def test_too_large_a_model_is_refused(make_network, monkeypatch):
    model = model_of(make_network([{"dense": {"units": 3}}]))
    monkeypatch.setattr(onnx_export, "MAXIMUM_BYTES", model.weights.nbytes - 1)
    with pytest.raises(ModelTooLargeError, match="84 bytes of parameters are more than the 2 GiB"):
        written(model)


def test_equal_constants_are_one_and_names_are_unique():
    made = OnnxGraph()
    x = made.input("x")
    assert made.constant([0, 2]) == made.constant(np.array([0, 2]))
    assert made.constant([0.0, 2.0]) != made.constant([0.0, 2.0], exact=True)
    assert [made.node("Relu", [x]), made.node("Relu", [x])] == ["/Relu", "/Relu_2"]
    assert [array.dtype for array in made.initializers.values()] == [np.int64, np.float32, np.float64]


def test_several_inputs_and_outputs_have_their_names():
    layers = [
        {"dense": {"name": "left", "units": 4, "activation": "tanh", "inputs": "table"}},
        {"embedding": {"name": "right", "input_dim": 3, "output_dim": 4, "inputs": "town"}},
        {"flatten": {"name": "flat"}},
        {"add": {"name": "both", "inputs": ["left", "flat"]}},
        {"dense": {"name": "kind", "units": 3, "inputs": "both"}},
        {"dense": {"name": "price", "units": 1, "inputs": "both"}},
    ]
    outputs = [
        {"layer": "kind", "label": "k", "loss": "softmax_cross_entropy"},
        {"layer": "price", "label": "p", "loss": "mean_squared_error"},
    ]
    specification = Network.model_validate({"layers": layers, "outputs": outputs})
    inputs = {
        "table": Preprocessing((2,), ("a", "b"), True, (Scaling(np.array([5.0, -1]), np.array([2.0, 3])),)),
        "town": Preprocessing((1,), ("town",), True, vocabulary=("Bonn", "Kiel", "Ulm")),
    }
    network = build(specification, {name: preprocessing.shape for name, preprocessing in inputs.items()})
    weights = np.random.default_rng(1).normal(0, 0.5, network.layout.size).astype(np.float32)
    model = Model(specification, inputs, weights, {"kind": Target("k", ("x", "y", "z")), "price": Target("p")})
    content = written(model)
    towns, table = np.array([["Kiel"], ["Ulm"]]), np.array([[1, 2], [3, 4.0]])
    expected = model.predict_all({"table": table, "town": towns})
    outputs = run(content, {"table": table, "town": towns.astype(object)})
    assert list(outputs) == ["kind", "price"]
    np.testing.assert_allclose(outputs["kind"], expected["kind"], rtol=TOLERANCE)
    np.testing.assert_allclose(outputs["price"], expected["price"], rtol=TOLERANCE)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    with pytest.raises(Exception, match="out of"):
        run(content, {"table": table, "town": np.array([["Kiel"], ["Rome"]], object)})
    metadata = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    assert json.loads(metadata["inputs"])["town"] == {"columns": ["town"], "vocabulary": ["Bonn", "Kiel", "Ulm"]}
    assert json.loads(metadata["outputs"])["kind"] == {"label": "k", "classes": ["x", "y", "z"]}


@pytest.mark.parametrize(
    ("kind", "vocabulary", "values"),
    [
        (Kind.TEXT, ("Bonn", "NAB", "Ulm"), np.array([["Bonn"], [""], ["Rome"], ["NA"], ["Ulm"], ["nan"]], object)),
        (Kind.INTEGER, ("-3", "10", "7"), np.array([[7], [8], [-3], [10]])),
    ],
)
def test_missing_and_unknown_categories_have_places_in_the_graph(kind, vocabulary, values):
    layers = [{"embedding": {"input_dim": 5, "output_dim": 2}}, "flatten", {"dense": {"units": 1}}]
    specification = Network.model_validate({"layers": layers, "loss": "mean_squared_error"})
    preprocessing = Preprocessing((1,), ("town",), True, (), vocabulary, kind, has_buckets=True)
    network = build(specification, {"input": (1,)})
    weights = np.random.default_rng(1).normal(0, 0.5, network.layout.size).astype(np.float32)
    model = Model(specification, {"input": preprocessing}, weights, {network.outputs[0].name: Target("y")})
    expected = only(model.predict_all({"input": values}))
    assert len(np.unique(expected)) == 4
    np.testing.assert_allclose(run(written(model), {"input": values})["output"], expected, rtol=TOLERANCE)


def test_values_are_not_checked(make_network):
    """The client's page says what becomes of them."""
    table = model_of(
        make_network([{"embedding": {"input_dim": 4, "output_dim": 2}}, {"flatten": {}}], input_shape=(1,))
    )
    content = written(table)

    def outputs(value):
        return run(content, {"input": np.array([[value]], np.float32)})["output"].tolist()

    assert outputs(1.7) == outputs(1)
    assert outputs(-1) == outputs(3)
    for index in (4, np.nan):
        with pytest.raises(Exception, match="out of data bounds"):
            outputs(index)
    scaled = model_of(make_network([{"dense": {"units": 1}}], input_shape=(1,)), transforms=(Scaling(ZERO, ONE),))
    for value in (np.nan, np.inf, 1e300):
        assert not np.isfinite(run(written(scaled), {"input": np.array([[value]])})["output"]).any()
