"""Texts in files and folders, for predictions and evaluation without a service."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from raydient.client import LocalModel
from raydient.client.columns import InvalidSamples
from raydient.spec.network import Network
from raydient.spec.text import Text
from raydient.workers.network import Model, Preprocessing, Target, Tokens, build, save_model

LINES = ["a b", "", "b b c", "Grüße"]


@pytest.fixture
def model(tmp_path: Path) -> LocalModel:
    """A network that was trained on the column `review`, with the label `label`, saved as model.safetensors."""
    layers = [{"embedding": {"input_dim": 5, "output_dim": 3}}, "flatten", {"dense": {"units": 2}}]
    network = Network.model_validate({"layers": layers, "loss": "softmax_cross_entropy"})
    tokens = Tokens.fit(["a", "b", "c"], Text.model_validate({"tokens": "word", "length": 3}))
    weights = np.random.default_rng(2).normal(0, 1, build(network, (3,)).layout.size).astype(np.float32)
    preprocessing = Preprocessing((1,), ("review",), True, tokens=tokens)
    stored = Model.plain(network, preprocessing, weights, Target("label", ("no", "yes")))
    save_model(tmp_path / "model.safetensors", stored)
    return LocalModel(stored)


def test_lines_and_files_are_the_only_column(model: LocalModel, run, tmp_path: Path) -> None:
    (tmp_path / "yes.txt").write_text("\n".join(LINES))
    for number, text in enumerate(LINES):
        file = tmp_path / "texts" / ("no", "yes")[number // 2] / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    expected = model.predict(LINES).outputs
    assert len(np.unique(expected)) == 8
    for path in (tmp_path / "yes.txt", tmp_path / "texts"):
        assert np.array_equal(model.predict(path).outputs, expected)
    done = run("predict", tmp_path / "model.safetensors", tmp_path / "texts")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["file"] for row in rows] == ["no/0.txt", "no/1.txt", "yes/2.txt", "yes/3.txt"]
    assert [float(row["yes"]) for row in rows] == pytest.approx(expected[:, 1].tolist(), abs=1e-5)
    for path, labels in (("yes.txt", [0, 4]), ("texts", [2, 2])):
        done = run("evaluate", tmp_path / "model.safetensors", tmp_path / path, "--json")
        assert done.exit_code == 0, done.stderr
        (confusion,) = json.loads(done.stdout)["confusions"].values()
        assert np.sum(confusion["counts"], axis=1).tolist() == labels


def test_the_label_of_lines_has_to_be_a_class(model: LocalModel, tmp_path: Path) -> None:
    (tmp_path / "maybe.txt").write_text("a")
    with pytest.raises(InvalidSamples, match="label, row 1: 'maybe' is none of the classes 'no', 'yes'"):
        model.evaluate(tmp_path / "maybe.txt")
