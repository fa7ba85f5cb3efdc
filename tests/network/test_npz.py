"""The NPZ export holds everything that prediction needs, without pickles."""

import io
import json
import zipfile

import numpy as np
import pytest

from raydient.spec.network import Network
from raydient.workers.network import Model, Preprocessing, Scaling, Target
from raydient.workers.network.export import write_npz


@pytest.fixture
def model(make_network):
    network = make_network([{"dense": {"units": 3}}], input_shape=(2,))
    scaling = Scaling(np.array([1.5, 0.1]), np.array([2.0, 1 / 3]))
    weights = np.arange(network.layout.size, dtype=np.float32)
    preprocessing = Preprocessing((2,), ("länge", "b"), is_table=True, transforms=(scaling,))
    return Model.plain(network.spec, preprocessing, weights, Target("kind", ("x", "y", "z")))


def written(model):
    file = io.BytesIO()
    write_npz(model, file)
    return file.getvalue()


def test_everything_is_read_without_pickles(model):
    with np.load(io.BytesIO(written(model)), allow_pickle=False) as file:
        arrays = dict(file)
    for name, view in model.network.layout.views(model.weights).items():
        assert arrays[name].dtype == np.float32
        np.testing.assert_array_equal(arrays.pop(name), view)
    np.testing.assert_array_equal(arrays.pop("scaling_mean"), model.input.scaling.mean)
    np.testing.assert_array_equal(arrays.pop("scaling_scale"), model.input.scaling.scale)
    assert json.loads(arrays.pop("network").item()) == model.specification.canonical()
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "format": "raydient-npz/1",
        "input_shape": [2],
        "input_kind": "number",
        "features": ["länge", "b"],
        "classes": ["x", "y", "z"],
        "label": "kind",
        "digest": model.digest,
    }


def test_without_scaling_and_names(model):
    plain = Model.plain(model.specification, model.input.shape, model.weights)
    with np.load(io.BytesIO(written(plain)), allow_pickle=False) as file:
        assert "scaling_mean" not in file
        assert file["features"].tolist() == []


def test_the_same_model_gives_the_same_bytes(model):
    content = written(model)
    assert content == written(model)
    dates = {member.date_time for member in zipfile.ZipFile(io.BytesIO(content)).infolist()}
    assert dates == {(1980, 1, 1, 0, 0, 0)}  # the time of writing is not among them


def test_names_of_several_inputs_and_outputs():
    layers = [
        {"dense": {"name": "a", "units": 1, "inputs": "town"}},
        {"dense": {"name": "b", "units": 1, "inputs": "size"}},
    ]
    outputs = [{"layer": name, "label": f"of_{name}", "loss": "mean_squared_error"} for name in "ab"]
    specification = Network.model_validate({"layers": layers, "outputs": outputs})
    inputs = {
        "town": Preprocessing((1,), ("town",), True, vocabulary=("Bonn", "Kiel")),
        "size": Preprocessing((1,), ("size",), True, (Scaling(np.array([5.0]), np.array([2.0])),)),
    }
    model = Model(specification, inputs, np.ones(4, np.float32), {name: Target(name.upper()) for name in "ab"})
    file = io.BytesIO()
    write_npz(model, file)
    with np.load(io.BytesIO(file.getvalue()), allow_pickle=False) as arrays:
        assert arrays["vocabulary/town"].tolist() == ["Bonn", "Kiel"]
        assert arrays["scaling_mean/size"] == 5
        assert (arrays["label/a"], arrays["label/b"], arrays["input_shape/town"]) == ("A", "B", 1)
        assert "vocabulary/size" not in arrays
