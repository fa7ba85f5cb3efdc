"""Models on disk: written whole or not at all, and checked when they are read."""

import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from raydient.spec.network import Network
from raydient.workers.network import (
    Model,
    ModelError,
    Preprocessing,
    Program,
    Scaling,
    Target,
    load_model,
    save_model,
)

from .training_step import initial

LAYERS = [{"dense": {"units": 4, "activation": "relu"}}, {"dense": {"units": 3}}]


@pytest.fixture
def model(make_network):
    network = make_network(LAYERS, input_shape=(2,))
    scaling = Scaling(np.array([1.5, 0.1]), np.array([2.0, 1 / 3]))
    preprocessing = Preprocessing((2,), ("länge", "b"), is_table=True, transforms=(scaling,))
    return Model.plain(network.spec, preprocessing, initial(network), Target("kind", ("x", "y", "z")))


@pytest.fixture
def path(tmp_path, model):
    path = tmp_path / "model.safetensors"
    save_model(path, model)
    return path


def test_comes_back_whole(path, model):
    loaded = load_model(path)
    assert loaded.digest == model.digest
    assert loaded.specification == model.specification
    assert (loaded.input.shape, loaded.input.feature_names) == ((2,), ("länge", "b"))
    assert loaded.target == Target("kind", ("x", "y", "z"))
    x = np.random.default_rng(1).standard_normal((7, 2))
    assert np.array_equal(loaded.predict(x), model.predict(x))


def test_the_record_of_the_training_comes_back(tmp_path, model):
    save_model(tmp_path / "m.safetensors", model)
    assert load_model(tmp_path / "m.safetensors").training == {}, "as in files of earlier versions"
    record = {"version": "0.1.0", "data": {"dataset.uri": "ab"}, "metrics": {"test": {"loss": 0.5}}, "epoch": 3}
    save_model(tmp_path / "m.safetensors", replace(model, training=record))
    assert load_model(tmp_path / "m.safetensors").training == record
    for training, field in (
        ("[]", "training"),
        ('{"epoch": "<b>"}', "training.epoch"),
        ('{"metrics": {"test": 1}}', "training.metrics.test"),
        ('{"gradient_health": {"step": 1, "layers": [{}]}}', "training.gradient_health.layers.0.layer"),
    ):
        changed(tmp_path / "m.safetensors", training=training)
        with pytest.raises(ModelError, match=f"damaged metadata: {re.escape(field)}: "):
            load_model(tmp_path / "m.safetensors")


def test_the_same_model_gives_the_same_bytes(path, model, tmp_path):
    """The library writes metadata in a random order."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    assert size % 8 == 0
    assert list(header["__metadata__"]) == sorted(model.metadata)
    strange = replace(model, training={"specification": {"display_name": 'ä\u2028\x7f\x01"\\'}})
    for number in range(2):
        save_model(tmp_path / f"{number}.safetensors", strange)
    first, second = ((tmp_path / f"{number}.safetensors").read_bytes() for number in range(2))
    assert first == second
    with safe_open(tmp_path / "0.safetensors", framework="np") as file:
        assert file.metadata() == strange.metadata
    assert load_model(tmp_path / "0.safetensors").digest == model.digest


def test_without_scaling(tmp_path, make_network):
    network = make_network(LAYERS, input_shape=(2,))
    weights = np.ones(network.layout.size, np.float32)
    save_model(tmp_path / "m.safetensors", Model.plain(network.spec, (2,), weights))
    assert load_model(tmp_path / "m.safetensors").input.scaling is None


def test_is_plain_safetensors(path, model):
    tensors = load_file(path)
    assert {name: (t.shape, t.dtype) for name, t in tensors.items()} == {
        "dense_1.kernel": ((2, 4), np.float32),
        "dense_1.bias": ((4,), np.float32),
        "dense_2.kernel": ((4, 3), np.float32),
        "dense_2.bias": ((3,), np.float32),
    }


@pytest.mark.parametrize("rows", [0, 1, 256, 300])
def test_predicts_from_raw_samples(model, rows):
    x = np.random.default_rng(1).standard_normal((rows, 2))
    outputs = model.predict(x)
    assert outputs.shape == (rows, 3)
    assert outputs.dtype == np.float32
    if rows:
        program = Program(model.network, rows)
        program.x[...] = (x - model.input.scaling.mean) / model.input.scaling.scale
        np.testing.assert_allclose(outputs, program.predict(model.network.bind(model.weights)), rtol=1e-5)


def test_samples_of_another_shape_are_refused(model):
    with pytest.raises(ValueError, match=r"input: samples must have shape \(2,\), but the array has shape \(5, 3\)"):
        model.predict(np.zeros((5, 3)))


def test_a_failed_write_leaves_the_old_file(path, model, monkeypatch):
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        save_model(path, model)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\xff" * 100])
def test_another_kind_of_file(tmp_path, content):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_model(path)


def test_a_torn_file(path):
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_model(path)


def test_a_flipped_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="digest"):
        load_model(path)


def changed(path, tensors=None, **metadata):
    """Rewrite the file at `path` with other tensors or metadata, of which None is left out, and without a checksum."""
    with safe_open(path, framework="np") as file:
        old = file.metadata()
    new = {key: value for key, value in {**old, "checksum": None, **metadata}.items() if value is not None}
    save_file({**load_file(path), **(tensors or {})}, path, new)


def inputs(**changes):
    data = {"shape": [2], "columns": ["a", "b"], "is_table": True, "scaling": None, "vocabulary": []}
    return json.dumps({"input": data | changes})


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format": None}, "its format is unknown"),
        ({"format": "other/7"}, "its format is other/7"),
        ({"network": None}, "damaged metadata"),
        ({"network": "{"}, "damaged metadata"),
        ({"network": '{"layers": [], "loss": {"softmax_cross_entropy": {}}}'}, "damaged metadata"),
        ({"inputs": "[2, 2]"}, "damaged metadata"),
        ({"inputs": inputs(shape=[2, 2])}, "damaged metadata"),
        ({"inputs": inputs(shape=[5], columns=list("abcde"))}, r"its network has float32 .*\(5, 4\)"),
        ({"inputs": inputs(scaling=[1])}, "damaged metadata"),
        ({"targets": "[]"}, "damaged metadata"),
        ({"digest": "0" * 64}, "not 0000"),
        ({"targets": '{"dense_1": ["kind", []]}'}, "damaged metadata: targets: the outputs are dense_2"),
        ({"beside": "3"}, "damaged metadata: beside"),
        ({"checksum": "0" * 64}, "damaged metadata: they have the checksum .*, not 0000"),
    ],
)
def test_metadata_is_checked(path, metadata, message):
    changed(path, **metadata)
    with pytest.raises(ModelError, match=message):
        load_model(path)


@pytest.mark.parametrize(
    "tensors",
    [
        {"dense_2.bias": np.zeros(4, np.float32)},
        {"dense_2.bias": np.zeros(3, np.float64)},
        {"dense_3.bias": np.zeros(3, np.float32)},
    ],
)
def test_tensors_must_fit_the_network(path, tensors):
    changed(path, tensors)
    with pytest.raises(ModelError, match="its network has"):
        load_model(path)


def test_other_programs_may_add_metadata(path, model):
    with safe_open(path, framework="np") as file:
        save_file(load_file(path), path, {**file.metadata(), "note": "mine"})
    assert load_model(path).digest == model.digest


@pytest.mark.parametrize("beside", [(), ("kind", "weight"), None])
def test_columns_beside_the_inputs_come_back(path, model, beside):
    save_model(path, replace(model, beside=beside))
    assert load_model(path).beside == beside


def test_a_file_of_the_first_version_is_read(path, model):
    """The metadata of version 1 has no names of inputs and outputs."""
    scaling = {"mean": [1.5, 0.1], "scale": [2.0, 1 / 3]}
    changed(
        path,
        format="raydient-model/1",
        inputs=None,
        targets=None,
        input_shape="[2]",
        features=json.dumps(["länge", "b"]),
        label="kind",
        classes=json.dumps(["x", "y", "z"]),
        scaling=json.dumps(scaling),
    )
    loaded = load_model(path)
    assert loaded.target == model.target
    assert loaded.input.feature_names == ("länge", "b")
    x = np.random.default_rng(1).standard_normal((7, 2))
    assert np.array_equal(loaded.predict(x), model.predict(x))


def test_several_inputs_and_outputs_come_back(tmp_path):
    specification = Network.model_validate(
        {
            "layers": [
                {"dense": {"name": "a", "units": 2, "inputs": "town"}},
                {"dense": {"name": "b", "units": 1, "inputs": "size"}},
            ],
            "outputs": [
                {"layer": "a", "label": "kind", "loss": "softmax_cross_entropy"},
                {"layer": "b", "label": "price", "loss": "mean_squared_error"},
            ],
        }
    )
    inputs = {
        "town": Preprocessing((1,), ("town",), is_table=True, vocabulary=("Bonn", "Kiel", "Köln")),
        "size": Preprocessing((2,), ("area", "rooms"), True, (Scaling(np.array([50.0, 2]), np.array([10.0, 1])),)),
    }
    weights = np.arange(7, dtype=np.float32)
    model = Model(specification, inputs, weights, {"a": Target("kind", ("flat", "house")), "b": Target("price")})
    save_model(tmp_path / "m.safetensors", model)
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.targets == model.targets
    outputs = loaded.predict_all({"town": np.array([["Köln"], ["Bonn"]]), "size": np.array([[60, 3], [40, 2]])})
    np.testing.assert_allclose(outputs["b"], [[4 * 1 + 5 * 1 + 6], [4 * -1 + 6]])
    logits = np.array([[0 * 2 + 2, 1 * 2 + 3], [2, 3]])
    np.testing.assert_allclose(outputs["a"], np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-6)
    for bad, message in (
        (
            {"town": np.array([["Ulm"]]), "size": np.ones((1, 2))},
            r"town: 'Ulm' is none of the 3 categories \(sample 1\)",
        ),
        ({"town": np.array([["Bonn"]]), "size": np.array([["a", "b"]])}, "size: the values must be numbers, not texts"),
        ({"town": np.array([["Bonn"]]), "size": np.ones((2, 2))}, "differ in their number of samples"),
        ({"size": np.ones((2, 2))}, "the names must be town, size, not size"),
    ):
        with pytest.raises(ValueError, match=message):
            loaded.predict_all(bad)
