"""Padding of sequences: an embedding with `mask_padding` hides it from the layers over the sequence that follow."""

import io

import numpy as np
import onnxruntime
import pytest

from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Network
from raydient.workers.network import Model, Preprocessing, Target, Verdict, build, check_gradients, describe
from raydient.workers.network.onnx_export import write_onnx

LENGTH = 5
TOKENS = np.array([[3, 1, 2, 0, 0], [4, 0, 0, 0, 0], [1, 2, 3, 4, 2], [0, 0, 0, 0, 0]])
EMBEDDING = {"embedding": {"input_dim": 6, "output_dim": 4, "mask_padding": True}}
ATTENTION = {"multi_head_attention": {"num_heads": 2, "key_dim": 3}}
END = {"dense": {"units": 2}}
SEQUENCE = {"units": 3, "return_sequences": True}
AROUND = [
    {"dense": {"units": 4, "activation": "tanh"}},
    "layer_normalization",
    "rms_normalization",
    {"group_normalization": {"groups": 2}},
    {"dropout": {"rate": 0.5}},
    {"activation": {"function": "tanh"}},
    "position_embedding",
    "sine_position_encoding",
    "prelu",
    {"activity_regularization": {"l2": 0.1}},
]
GRAPHS = {
    "average": [EMBEDDING, "global_average_pooling1d", END],
    "max": [EMBEDDING, "global_max_pooling1d", END],
    "lstm": [EMBEDDING, {"lstm": {"units": 3}}, END],
    "gru, average": [EMBEDDING, {"gru": SEQUENCE}, "global_average_pooling1d", END],
    "both ways": [
        EMBEDDING,
        {"bidirectional": {"layer": {"gru": SEQUENCE}}},
        {"bidirectional": {"layer": {"lstm": {"units": 2}}}},
        END,
    ],
    "attention": [
        {"embedding": {**EMBEDDING["embedding"], "name": "words"}},
        {"multi_head_attention": {**ATTENTION["multi_head_attention"], "name": "seen"}},
        {"add": {"inputs": ["words", "seen"]}},
        "global_average_pooling1d",
        END,
    ],
    "features": [
        {"embedding": {**EMBEDDING["embedding"], "name": "words"}},
        {"dense": {"units": 2, "name": "two"}},
        {"concatenate": {"inputs": ["two", "words"]}},
        {"gru": {"units": 3}},
        END,
    ],
    "around": [EMBEDDING, *AROUND, "global_max_pooling1d", END],
}


def model_of(layers, length=LENGTH):
    network = Network.model_validate({"layers": layers, "loss": "mean_squared_error"})
    built = build(network, (length,))
    weights = np.random.default_rng(6).normal(0, 0.6, built.layout.size).astype(np.float32)
    return Model.plain(network, Preprocessing((length,)), weights, Target("y"))


@pytest.mark.parametrize("name", GRAPHS)
def test_padding_does_not_count(name):
    """A sequence has the outputs that it has without its padding, as a network of that length computes them."""
    others = ("position_embedding", "prelu", {"group_normalization": {"groups": 2}})  # know the length
    layers = [layer for layer in GRAPHS[name] if layer not in others]
    y = model_of(layers).predict(TOKENS)
    for row in (0, 1):
        tokens = TOKENS[row][TOKENS[row] != 0]
        np.testing.assert_allclose(y[row], model_of(layers, len(tokens)).predict(tokens[np.newaxis])[0], rtol=1e-4)
    assert np.isfinite(y).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_gradients_and_onnx(name):
    model = model_of(GRAPHS[name])
    labels = np.random.default_rng(7).normal(size=(4, 2))
    report = check_gradients(model.network, TOKENS, labels, 3)
    # a bias of keys adds the same number to every score, so that no output depends on it
    verdicts = {one.verdict for one in report.parameters if not one.name.endswith("key_bias")}
    assert verdicts == {Verdict.RIGHT}, report
    file = io.BytesIO()
    write_onnx(model, file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    result = session.run(None, {"input": TOKENS.astype(np.float32)})[0]
    np.testing.assert_allclose(result, model.predict(TOKENS), rtol=1e-4, atol=1e-6)


def test_pooling_of_nothing_is_0():
    for kind in ("global_average_pooling1d", "global_max_pooling1d"):
        model = model_of([EMBEDDING, kind, END])
        bias = model.network.layout.views(model.weights)["dense_1.bias"]
        np.testing.assert_array_equal(model.predict(TOKENS)[3], bias)


def test_the_average_is_that_of_keras():
    """Keras: GlobalAveragePooling1D with a mask is sum(x * mask) / sum(mask), https://keras.io/api/layers."""
    model = model_of([EMBEDDING, "global_average_pooling1d", END])
    views = model.network.layout.views(model.weights)
    mean = views["embedding_1.embeddings"][[3, 1, 2]].mean(axis=0)
    expected = mean @ views["dense_1.kernel"] + views["dense_1.bias"]
    np.testing.assert_allclose(model.predict(TOKENS[:1])[0], expected, rtol=1e-5)


def inputs_of(layers):
    network = Network.model_validate({"layers": layers, "loss": "mean_squared_error"})
    return [row.inputs for row in describe(build(network, (LENGTH,)), 1)]


def test_a_mask_ends_where_places_do_and_a_named_one_counts():
    ended = [EMBEDDING, {"reshape": {"shape": [LENGTH, 4]}}, {"gru": {"units": 2}}, END]
    assert inputs_of(ended)[2] == ("reshape_1",)
    named = [
        {"embedding": {**EMBEDDING["embedding"], "name": "w"}},
        {"gru": {"units": 2, "inputs": ["w", "input"]}},
        END,
    ]
    assert inputs_of(named)[1] == ("w", "input")
    assert inputs_of([EMBEDDING, {"gru": {"units": 2}}, END])[1] == ("embedding_1", "input")
    without = [{"embedding": {"input_dim": 6, "output_dim": 4}}, {"gru": {"units": 2}}, END]
    assert inputs_of(without)[1] == ("embedding_1",)


def test_sequences_of_unlike_padding_have_none_when_merged():
    network = {
        "layers": [
            {"embedding": {**EMBEDDING["embedding"], "name": "a", "inputs": "left"}},
            {"embedding": {**EMBEDDING["embedding"], "name": "b", "inputs": "right"}},
            {"add": {"inputs": ["a", "b"]}},
            {"gru": {"name": "merged", "units": 2}},
            {"multi_head_attention": {"name": "seen", "inputs": ["a", "b"], "num_heads": 1, "key_dim": 2}},
            {"gru": {"name": "left_seen", "units": 2}},
            {"concatenate": {"inputs": ["merged", "left_seen"]}},
            END,
        ],
        "loss": "mean_squared_error",
    }
    rows = describe(build(Network.model_validate(network), {"left": (3,), "right": (3,)}), 1)
    inputs = {row.name: row.inputs for row in rows}
    assert inputs["merged"] == ("add_1",)
    assert inputs["seen"] == ("a", "b", "right")
    assert inputs["left_seen"] == ("seen", "left")


def test_padding_of_samples_that_are_no_sequences_is_refused():
    network = Network.model_validate({"layers": [EMBEDDING, "flatten", END], "loss": "mean_squared_error"})
    with pytest.raises(InvalidSpec, match=r"takes sequences of numbers, samples of shape \(length\), where `mask_pad"):
        build(network, (2, 3))
