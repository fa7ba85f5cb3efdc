"""Categories by a hash of their texts, and categories as one-hot vectors: training, the model file and ONNX."""

import io
import json
from hashlib import blake2b

import numpy as np
import onnx
import onnxruntime
import pytest
from pydantic import ValidationError

from raydient.server.training.preparation import prepare
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Network
from raydient.spec.validation import validate_job
from raydient.workers.network import Hashing, Model, Preprocessing, Target, build, load_model, save_model
from raydient.workers.network.onnx_export import write_onnx

TABLE = "town,size,y\nUlm,1,0\nBonn,2,1\nUlm,2.0,1\n,3,0\n"
HASHED = {"columns": "town", "hashing": {"buckets": 50}}


def bucket(text, buckets=50, salt=0):
    """The number of a category by the definition in the API."""
    digest = blake2b(text.encode(), digest_size=8, key=salt.to_bytes(8, "little")).digest()
    return 1 + int.from_bytes(digest, "little") % (buckets - 1)


def test_the_number_of_a_category_is_its_hash(load_file):
    data = load_file(TABLE, inputs={"town": HASHED, "size": {**HASHED, "columns": "size"}})
    assert data.train.xs["town"].ravel().tolist() == [bucket("Ulm"), bucket("Bonn"), bucket("Ulm"), 0]
    assert data.train.xs["size"].ravel().tolist() == [bucket("1"), bucket("2"), bucket("2"), bucket("3")]
    assert data.inputs["town"].optional_columns == ("town",)
    salted = load_file(TABLE, inputs={"town": {**HASHED, "hashing": {"buckets": 50, "salt": 7}}})
    assert salted.train.x.ravel().tolist() == [bucket(text, salt=7) for text in ("Ulm", "Bonn", "Ulm")] + [0]
    assert bucket("Ulm") != bucket("Ulm", salt=7)


def test_texts_that_stand_for_each_other_have_one_number():
    hashing = Hashing(1000, 3)
    for texts in (["42", "42.0"], ["true", "True", "TRUE"], ["", "NA", "nan"], ["-3.0", "-3"]):
        assert len(set(hashing.numbers(texts))) == 1, texts
    numbers = hashing.numbers([f"name {i}" for i in range(5000)])
    assert min(numbers) >= 1
    assert max(numbers) == 999
    assert np.bincount(numbers, minlength=1000)[1:].std() < 3  # 2.2 of a binomial distribution
    assert Hashing(2).numbers(["a", "b", ""]) == [1, 1, 0]


def test_one_hot_vectors_have_a_place_for_each_number(load_file):
    inputs = {"town": {"columns": ["town", "size"], "categories": True, "buckets": True, "one_hot": True}}
    data = load_file(TABLE, inputs=inputs)
    assert data.inputs["town"].vocabulary == ("1", "2", "2.0", "3", "Bonn", "Ulm")
    assert data.train.x.shape == (4, 16)
    assert [np.flatnonzero(row).tolist() for row in data.train.x] == [[7, 10], [6, 11], [7, 12], [0, 13]]
    arrays = {"x": np.array([["a", "b"], ["b", "c"]]), "y": np.array([0, 1])}
    data = load_file(arrays, inputs={"x": {"columns": "x", "categories": True, "one_hot": True}})
    assert data.train.x.tolist() == [[[1, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 0, 1]]]
    data = load_file(TABLE, inputs={"town": {**HASHED, "hashing": {"buckets": 3}, "one_hot": True}})
    assert data.train.x.shape == (4, 3)
    assert data.train.x[3].tolist() == [1, 0, 0]


def test_an_embedding_needs_a_vector_for_every_number(tmp_path):
    (tmp_path / "data.csv").write_text(TABLE)
    job = {
        "dataset": {"uri": "data.csv", "inputs": {"town": HASHED}, "split": {"test": 0.0}},
        "network": {
            "layers": [
                {"embedding": {"inputs": "town", "input_dim": 49, "output_dim": 2}},
                "flatten",
                {"dense": {"units": 2}},
            ],
            "loss": "softmax_cross_entropy",
        },
        "training": {"batch_size": 2},
    }
    with pytest.raises(InvalidSpec) as caught:
        prepare(validate_job(job), tmp_path / "data.csv")
    (error,) = caught.value.errors
    assert error.path == "network.layers[0].embedding.input_dim"
    assert error.message.endswith("50 vectors are needed, not 49")


def model_of(inputs):
    """A model whose dense layers show the numbers of its inputs."""
    layers = [{"dense": {"name": name, "inputs": name + "_in", "units": 3}} for name in inputs]
    outputs = [{"layer": name, "label": name, "loss": "mean_squared_error"} for name in inputs]
    network = Network.model_validate({"layers": layers, "outputs": outputs})
    named = {name + "_in": preprocessing for name, preprocessing in inputs.items()}
    layout = build(network, {name: one.prepared_shape for name, one in named.items()}).layout
    weights = np.random.default_rng(4).normal(size=layout.size).astype(np.float32)
    return Model(network, named, weights, {name: Target(name) for name in inputs})


def test_model_file_and_onnx_compute_the_same(tmp_path):
    model = model_of(
        {
            "hashed": Preprocessing((2,), ("a", "b"), True, hashing=Hashing(20, 5)),
            "listed": Preprocessing((2,), ("c", "d"), True, vocabulary=("p", "q"), one_hot=True),
            "both": Preprocessing((1,), ("e",), True, hashing=Hashing(4), one_hot=True),
            "sequence": Preprocessing((1,), ("f",), False, vocabulary=("u", "v"), has_buckets=True, one_hot=True),
        }
    )
    texts = {
        "hashed_in": np.array([["x", "y"], ["y", ""]], object),
        "listed_in": np.array([["p", "q"], ["q", "q"]], object),
        "both_in": np.array([["k"], ["l"]], object),
        "sequence_in": np.array([["v"], ["?"]], object),
    }
    expected = model.predict_all(texts)
    save_model(tmp_path / "m.safetensors", model)
    loaded = load_model(tmp_path / "m.safetensors")
    file = io.BytesIO()
    write_onnx(model, file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    properties = {entry.key: entry.value for entry in onnx.load_from_string(file.getvalue()).metadata_props}
    hashing = json.loads(properties["hashing"])
    assert hashing == {"hashed_in": {"buckets": 20, "salt": 5}, "both_in": {"buckets": 4, "salt": 0}}
    numbers = {
        name: np.array([[bucket(text, **hashing[name]) if text else 0 for text in row] for row in texts[name]])
        for name in hashing
    }
    results = session.run(None, {**texts, **numbers})
    for output, result in zip(session.get_outputs(), results, strict=True):
        np.testing.assert_array_equal(loaded.predict_all(texts)[output.name], expected[output.name])
        np.testing.assert_allclose(result, expected[output.name], rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"one_hot": True}, "only categories and tokens become one-hot vectors: add `categories: true`"),
        ({"categories": True, "buckets": True, "hashing": {"buckets": 9}}, "leave the setting `buckets` out"),
        ({"hashing": {"buckets": 1}}, "greater than or equal to 2"),
    ],
)
def test_settings_that_mean_nothing(settings, message):
    with pytest.raises(ValidationError) as caught:
        DatasetSpec.model_validate({"uri": "a.csv", "inputs": {"a": {"columns": "a", **settings}}})
    assert message in str(caught.value)
