"""Images in Python and on the command line: in data for training, in uploads and in predictions."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from raydient.client import Client, InvalidSpec, MissingExtra, extras
from raydient.client.cli.runs import sha256_of
from raydient.client.columns import InvalidSamples
from raydient.client.data_writing import write_data
from raydient.client.local_model import LocalModel
from raydient.client.packing import pack
from raydient.client.report import held_out_rows
from raydient.spec.dataset import Dataset
from raydient.spec.network import Network, Output
from raydient.spec.validation import validate_job
from raydient.workers.data import load
from raydient.workers.network import Model, Preprocessing, Rescaling, Target, build, save_model

SHAPE = (3, 2, 3)
X = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)
LABELS = ["a", "b", "b", "a"]
DATASET = {"label": "label", "inputs": {"pixels": {"columns": "image", "image": {"height": 3, "width": 2}}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the images of X, below their labels."""
    root = tmp_path / "pictures"
    for number, (label, x) in enumerate(zip(LABELS, X, strict=True)):
        (root / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(root / label / f"{number}.png")
    return root


@pytest.fixture
def paths(folder: Path) -> list[str]:
    """Absolute paths of the images of X, in its order."""
    return [str(folder / label / f"{number}.png") for number, label in enumerate(LABELS)]


def forms(paths: list[str]) -> dict[str, list[object]]:
    """The images of X in every form."""
    contents = [Path(path).read_bytes() for path in paths]
    return {
        "paths": list(paths),
        "Paths": [Path(path) for path in paths],
        "bytes": contents,
        "structures": [{"bytes": content} for content in contents],
        "images": [Image.fromarray(x) for x in X],
        "arrays": list(X),
        "array": X,  # type: ignore[dict-item]
    }


@pytest.fixture
def model(tmp_path: Path) -> LocalModel:
    """A network that was trained on images, saved as model.safetensors."""
    layers = ["flatten", {"dense": {"units": 2}}]
    specification = Network.model_validate({"layers": layers, "loss": "softmax_cross_entropy"})
    network = build(specification, {"pixels": SHAPE})
    weights = np.random.default_rng(1).normal(0, 0.5, network.layout.size).astype(np.float32)
    preprocessing = Preprocessing(SHAPE, ("image",), transforms=(Rescaling.to_unit(),), is_image=True)
    target = {network.outputs[0].name: Target("label", ("a", "b"))}
    stored = Model(specification, {"pixels": preprocessing}, weights, target)
    save_model(tmp_path / "model.safetensors", stored)
    return LocalModel(stored)


def test_images_of_every_form_are_written_without_loss(paths: list[str], tmp_path: Path) -> None:
    dataset = Dataset.model_validate({"uri": "data", "split": {"test": 0.0}, **DATASET})
    output = Output.model_validate({"layer": "out", "label": "label", "loss": "softmax_cross_entropy"})
    for name, images in forms(paths).items():
        (tmp_path / name).mkdir()
        path = write_data({"image": images, "label": LABELS}, dataset, tmp_path / name)
        assert path.suffix == ".csv"
        data = load(dataset, path, [output], 1)
        assert np.array_equal(data.train.x, (X / 255).astype(np.float32)), name
        assert data.train.y.tolist() == [0, 1, 1, 0]
    table = pd.DataFrame({"image": [None, *paths[1:]], "label": LABELS})
    (tmp_path / "missing").mkdir()
    with pytest.raises(InvalidSpec, match=r"row 1 \(line 2\) has no value"):
        load(dataset, write_data(table, dataset, tmp_path / "missing"), [output], 1)
    for image, words in ((3, "image, row 1: is int; a path"), ("absent.png", "image, row 1: No such file")):
        with pytest.raises(InvalidSamples, match=words):
            write_data({"image": [image], "label": ["a"]}, dataset, tmp_path)


def test_predictions_take_every_form(model: LocalModel, folder: Path, paths: list[str], tmp_path: Path) -> None:
    expected = model.predict(X).outputs
    for name, images in forms(paths).items():
        if name != "structures":  # without a name they are rows of a table
            assert np.array_equal(model.predict(images).outputs, expected), name
        assert np.array_equal(model.predict({"image": images}).outputs, expected), name
        if name != "array":
            assert np.array_equal(model.predict(pd.DataFrame({"image": images})).outputs, expected), name
    assert np.array_equal(model.predict(Image.fromarray(X[0])).outputs, expected[:1])
    assert np.array_equal(model.predict(folder).outputs, expected[[0, 3, 1, 2]])
    pq.write_table(pa.table({"image": forms(paths)["bytes"]}), tmp_path / "bytes.parquet")
    assert np.array_equal(model.predict(tmp_path / "bytes.parquet").outputs, expected)
    large = Image.fromarray(X[0]).resize((20, 30), Image.Resampling.NEAREST)
    resized = large.resize((2, 3), Image.Resampling.BILINEAR)
    assert np.array_equal(*(model.predict([one]).outputs for one in (large, resized)))
    assert np.array_equal(*(model.predict([one]).outputs for one in (np.asarray(large), resized)))


def test_bad_images_are_named(model: LocalModel, folder: Path, paths: list[str], tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("image\npictures/a/0.png\n../outside.png\n")
    for inputs, words in (
        ([paths[0], "absent.png"], r"row 2: 'absent.png' cannot be read: No such file"),
        ([b"text"], "row 1: the image is none of the images that are read"),
        ([None], "row 1: the image is NoneType; a path"),
        ([X[0].astype(float)[:2]], "row 1: the image is an array of float64"),
        (np.ones((2, 4, 4, 3)), "at least one sample of shape"),
        (tmp_path / "table.csv", r"row 2 \(line 3\): '../outside.png' is not a path below the folder of the table"),
        (tmp_path / "none", "the folder has no images"),
    ):
        (tmp_path / "none").mkdir(exist_ok=True)
        with pytest.raises(InvalidSamples, match=words):
            model.predict(inputs)


def test_without_pillow_the_extra_is_named(model: LocalModel, paths: list[str], monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(MissingExtra, match=r"raydient\[images\]"):
        model.predict(paths)
    assert model.predict(X).outputs.shape == (4, 2), "arrays need no Pillow"
    assert extras


def test_the_command_predicts_a_folder(run, model: LocalModel, folder: Path, tmp_path: Path) -> None:
    Image.fromarray(X[0]).save(folder / "loose.jpg", quality=100)
    result = run("predict", str(tmp_path / "model.safetensors"), str(folder))
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["image"] for row in rows] == ["loose.jpg", "a/0.png", "a/3.png", "b/1.png", "b/2.png"]
    expected = model.predict(X)
    assert [row["class"] for row in rows[1:]] == [["a", "b"][expected.classes[place]] for place in (0, 3, 1, 2)]


def test_the_images_of_a_folder_that_were_held_out_are_reported(
    run, model: LocalModel, folder: Path, tmp_path: Path
) -> None:
    Image.fromarray(X[0]).save(folder / "loose.jpg")
    network = model.network
    job = {
        "dataset": {"uri": "pictures", "split": {"test": 0.5}, **DATASET},
        "network": {"layers": ["flatten", {"dense": {"units": 2}}], "loss": "softmax_cross_entropy"},
        "training": {"batch_size": 2, "seed": 3},
    }
    spec = validate_job(job)
    (tmp_path / "packed").mkdir()
    packed = pack(folder, spec.dataset, "dataset.uri", tmp_path / "packed")  # as a service has it
    for digest, is_known in ((sha256_of(folder), True), (sha256_of(packed), True), ("0" * 64, False)):
        record = {"specification": spec.canonical(), "data": {"dataset.uri": digest}}
        assert (held_out_rows(record, folder) is not None) is is_known
    stored = spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"uri": f"datasets/{digest}"})})
    record["specification"] = stored.canonical()
    assert held_out_rows(record, folder) is None
    record["specification"]["dataset"]["uri"] = f"datasets/{sha256_of(packed)}"
    assert held_out_rows(record, folder) is not None, "a model from a service"
    record = {"specification": spec.canonical(), "data": {"dataset.uri": sha256_of(folder)}}
    save_model(tmp_path / "model.safetensors", replace(network, training=record))
    held_out = load(spec.dataset, folder, spec.network.named_outputs, 3).held_out
    for command, rows in (("report", 2), ("evaluate", 4)):
        done = run(command, tmp_path / "model.safetensors", folder, "--json")
        assert done.exit_code == 0, done.stderr
        content = json.loads(done.stdout)
        assert content.get("evaluation", content)["rows"] == rows
    whole = run("report", tmp_path / "model.safetensors", folder, "-o", tmp_path / "report.html")
    assert whole.exit_code == 0, whole.stderr
    evaluation = json.loads(run("report", tmp_path / "model.safetensors", folder, "--json").stdout)["evaluation"]
    assert (evaluation["data"], evaluation["held_out"]) == ("pictures", True)
    assert {one["row"] for one in evaluation["outputs"][0]["worst"]} <= {*(held_out + 1).tolist()}
    (tmp_path / "flat").mkdir()
    Image.fromarray(X[0]).save(tmp_path / "flat" / "loose.png")
    done = run("evaluate", tmp_path / "model.safetensors", tmp_path / "flat")
    assert (done.exit_code, "no images in sub-folders, whose names are their labels" in done.stderr) == (2, True)


def test_a_folder_is_uploaded_with_the_bytes_of_its_images(client: Client, service, folder: Path) -> None:
    job = {
        "dataset": {"uri": "pictures", **DATASET},
        "network": {"layers": ["flatten", {"dense": {"units": 2}}], "loss": "softmax_cross_entropy"},
    }
    client.submit(job, directory=folder.parent)
    client.submit({**job, "dataset": DATASET}, {"image": list(X), "label": LABELS})
    tables = [pa.ipc.open_file(upload).read_all() for upload in service.uploads]
    assert tables[0].column("label").to_pylist() == ["a", "a", "b", "b"]
    assert tables[0].column("image").to_pylist()[1] == (folder / "a" / "3.png").read_bytes()
    assert Image.open(io.BytesIO(tables[1].column("image").to_pylist()[3])).size == (2, 3)
    with pytest.raises(InvalidSpec, match="is not a file, but a folder, which needs an input of images"):
        client.submit({**job, "dataset": {"uri": "pictures"}}, directory=folder.parent)
    (folder / "link.csv").write_text("image,label\n/etc/passwd,a\n")
    with pytest.raises(InvalidSpec, match="'/etc/passwd' in row 1 is not a path below the folder of the table"):
        client.submit({**job, "dataset": {**job["dataset"], "uri": "pictures/link.csv"}}, directory=folder.parent)
