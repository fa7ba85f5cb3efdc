"""Numbers that are names of classes: from the file to the model and its exports."""

import io
import json

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydient.spec.network import Network
from raydient.workers.network import ExportFormat, Model, export_model, load_model, save_model

TENS = "a,y\n" + "".join(f"{n},{10 * (n % 3 + 1)}\n" for n in range(12))
SIGNS = "a,y\n" + "".join(f"{n},{n % 2 * 2 - 1}\n" for n in range(12))
POSTAL = "a,y\n" + "".join(f"{n},0{n % 2}067\n" for n in range(12))
NUMBERS = {"x": np.arange(12.0), "y": np.repeat([-1, 1], 6)}
BOOLEANS = {"x": np.arange(12.0), "y": np.arange(12) % 2 == 0}


TRUTHS = [True, False, True, True]


def parquet(**columns):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("a,y\n1,true\n2,false\n3,true\n4,true\n", "data.csv"),
        ('a,y\n1,True\n2,False\n3," TRUE "\n4,true\n', "data.csv"),
        ({"x": np.arange(1.0, 5), "y": np.array(TRUTHS)}, "data.npz"),
        (parquet(a=[1, 2, 3, 4], y=TRUTHS), "data.parquet"),
        (parquet(a=[1, 2, 3, 4], y=["true", "False", "TRUE", "True"]), "data.parquet"),
    ],
)
def test_booleans_have_the_same_names_in_every_file(load_file, content, name):
    losses = ["softmax_cross_entropy", {"softmax_cross_entropy": {"categories": True}}, "binary_cross_entropy"]
    for loss in losses:
        data = load_file(content, loss, name=name)
        assert data.target.classes == ("False", "True")
        assert data.train.y.reshape(-1).tolist() == TRUTHS
    assert load_file(content, "mean_squared_error", name=name).train.y.tolist() == [[1], [0], [1], [1]]
    some = load_file("a,y\n1,true\n2,false\n3,maybe\n")
    assert some.target.classes == ("false", "maybe", "true")


@pytest.mark.parametrize(
    ("content", "loss", "classes", "first"),
    [
        (TENS, "softmax_cross_entropy", ("10", "20", "30"), 0),
        (SIGNS, "softmax_cross_entropy", ("-1", "1"), 0),
        (SIGNS, "hinge", ("-1", "1"), 0),
        (POSTAL, "binary_cross_entropy", ("00067", "01067"), 0),
        (NUMBERS, "binary_cross_entropy", ("-1", "1"), 0),
        (BOOLEANS, "softmax_cross_entropy", ("False", "True"), 1),
        ({**NUMBERS, "y": NUMBERS["y"] / 2}, "softmax_cross_entropy", ("-0.5", "0.5"), 0),
    ],
)
def test_the_model_keeps_the_names(load_file, tmp_path, content, loss, classes, first):
    loss = {loss: {"categories": True}}
    data = load_file(content, loss)
    assert data.target.classes == classes
    assert data.train.y.reshape(-1)[0] == first
    units = 1 if data.train.y.ndim == 2 else len(classes)
    network = Network.model_validate({"layers": [{"dense": {"units": units}}], "loss": loss})
    model = Model.plain(network, data.input, np.zeros(2 * units, np.float32), data.target)
    save_model(tmp_path / "model.safetensors", model)
    again = load_model(tmp_path / "model.safetensors")
    assert again.target.classes == classes
    assert again.specification == network
    file = io.BytesIO()
    export_model(again, ExportFormat.ONNX, file)
    metadata = {entry.key: entry.value for entry in onnx.load_from_string(file.getvalue()).metadata_props}
    assert tuple(json.loads(metadata["classes"])) == classes
