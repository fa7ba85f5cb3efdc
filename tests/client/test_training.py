"""`raydient.client.train`: data from Python, the result, and errors before training and during it."""

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from raydient.client import InvalidSpec, JobNotSucceeded, MissingExtra, extras, load_model, train
from raydient.server import embedded
from raydient.server.clusters.local import LocalCluster
from raydient.server.training.history import HISTORY_FILE, History
from raydient.server.training.reports import EpochEnded, Finished, Outcome
from raydient.spec.dataset import columns_beside
from raydient.workers.network import Model, Preprocessing, Target, build, save_model

JOB = {"dataset": {}, "network": {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}}
TABLE = pd.DataFrame({"b": [1.0, 2.0], "a": [3.0, 4.0], "y": [1.0, 2.0]})


class Training:
    """Replaces `embedded.train`: leaves a model and two epochs, and ends as prepared.

    Attributes:
        end: how it ends.
        arguments: what it was called with, and the content of the data file.
    """

    def __init__(self) -> None:
        self.end: Finished | BaseException = Finished(Outcome.SUCCEEDED, 10, digest="d" * 64, epoch=2, message="early")
        self.arguments: dict[str, Any] = {}

    def __call__(self, spec, dataset, *, validation, directory, report, files, begin, sha256) -> Finished:
        self.arguments = {
            "sha256": sha256,
            "spec": spec,
            "data": dataset.read_bytes(),
            "directory": directory,
            "files": files,
        }
        start = spec.training.initial_weights
        self.arguments["start"] = start and load_model(start.from_).digest
        self.arguments["validation"] = validation and validation.read_bytes()
        begin(SimpleNamespace(dataset=SimpleNamespace(held_out=np.array([1]))))
        if isinstance(self.end, BaseException):
            raise self.end
        directory.mkdir()
        weights = np.ones(build(spec.network, (2,)).layout.size, np.float32)
        preprocessing = Preprocessing((2,), ("b", "a"), is_table=True)
        model = Model.plain(spec.network, preprocessing, weights, Target("y"))
        save_model(directory / "model.safetensors", replace(model, beside=columns_beside(spec.dataset)))
        record = History(directory / HISTORY_FILE)
        for number in (1, 2):
            epoch = EpochEnded(number, 5 * number, 0.1, {"train": {"loss": 1 / number}, "test": {"loss": 0.5}})
            record.append(epoch)
            report(epoch)
        record.close()
        return self.end


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    training = Training()
    monkeypatch.setattr(embedded, "train", training)
    monkeypatch.setattr(LocalCluster, "warm_up", lambda *, portable: None)
    return training


def test_a_table_is_trained_on(training: Training, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    result = train(JOB, TABLE, workers=3, directory=tmp_path)
    assert training.arguments["data"] == b"b,a,y\n1.0,3.0,1.0\n2.0,4.0,2.0\n"
    assert training.arguments["spec"].resources.workers.max == 3
    assert training.arguments["files"] == tmp_path
    assert training.arguments["sha256"] == {"dataset.uri": sha256(training.arguments["data"]).hexdigest()}
    assert not training.arguments["directory"].parent.exists(), "nothing is left behind"
    assert result.history.curve("loss", "train") == ([1, 2], [1.0, 0.5])
    assert result.history.splits == ("train", "test")
    assert (result.epoch, result.message, result.digest) == (2, "early", result.model.digest)
    assert TABLE.iloc[result.held_out].a.tolist() == [4.0]
    assert result.model.predict(TABLE[["a", "b"]]).outputs.tolist() == [[5.0], [7.0]]
    assert repr(result).startswith("<Trained <LocalModel of y from 2 features, digest ")
    assert [line.split("  ")[1] for line in capsys.readouterr().err.splitlines()] == ["loss 1.0000", "loss 0.5000"]
    train(JOB, TABLE, progress=False)
    assert capsys.readouterr().err == ""


def test_the_model_knows_which_columns_the_job_chose_among(training: Training, tmp_path: Path) -> None:
    further = TABLE.assign(id=7)
    with pytest.raises(ValueError, match="unknown: id"):
        train(JOB, TABLE, progress=False).model.predict(further)
    chosen = train({**JOB, "dataset": {"features": ["b", "a"]}}, further, progress=False).model
    weighted = train({**JOB, "dataset": {"sample_weight": "w"}}, TABLE.assign(w=1), progress=False).model
    further.to_csv(tmp_path / "data.csv", index=False)
    for model in (chosen, load_model(chosen.save(tmp_path / "model.safetensors"))):
        assert model.predict(further).outputs.tolist() == [[5.0], [7.0]]
        assert model.predict(tmp_path / "data.csv").outputs.tolist() == [[5.0], [7.0]]
        assert model.evaluate(further).rows == 2
        with pytest.raises(ValueError, match=r"missing: a; unknown: aa, id; did you mean 'a' by 'aa'\?$"):
            model.predict(further.rename(columns={"a": "aa"}))
    for model in (weighted, load_model(weighted.save(tmp_path / "model.safetensors"))):
        assert len(model.predict(TABLE.assign(w=1)).outputs) == 2
        with pytest.raises(ValueError, match="unknown: id"):
            model.predict(further)


def test_a_model_is_saved_in_each_format(training: Training, tmp_path: Path) -> None:
    model = train(JOB, TABLE, progress=False).model
    for name in ("model.safetensors", "model.onnx", "model.npz"):
        assert model.save(tmp_path / name).stat().st_size > 100
    with pytest.raises(ValueError, match=r"is \.safetensors, \.onnx or \.npz"):
        model.save(tmp_path / "model.pt")


def test_training_starts_from_a_model_or_its_file(training: Training, tmp_path: Path) -> None:
    model = train(JOB, TABLE, progress=False).model
    assert training.arguments["start"] is None
    file = model.save(tmp_path / "first.safetensors")
    for start in (model, file, str(file)):
        train(JOB, TABLE, initial_weights=start, progress=False)
        assert training.arguments["start"] == model.digest


def test_a_job_file_is_trained_with_its_data_or_other_data(training: Training, job_yaml: Path, tmp_path: Path) -> None:
    train(job_yaml, progress=False)
    assert training.arguments["data"] == b"a,b,y\n1,2,3\n"
    assert training.arguments["files"] == job_yaml.parent
    train(str(job_yaml), (np.ones((1, 2)), [0.5]), progress=False)
    assert training.arguments["data"].startswith(b"PK")
    other = tmp_path / "other.csv"
    other.write_text("a,b,y\n7,8,9\n")
    train(job_yaml, other, progress=False)
    assert training.arguments["data"] == other.read_bytes()


def test_held_out_data_of_any_form(training: Training, job_yaml: Path) -> None:
    train(JOB, TABLE, validation=TABLE[1:], progress=False)
    assert training.arguments["validation"] == b"b,a,y\n2.0,4.0,2.0\n"
    assert training.arguments["spec"].dataset.split.test == 0, "no row of the data is held out"
    pair = np.ones((1, 2)), [0.5]
    train(JOB, pair, validation=pair, progress=False)
    assert training.arguments["validation"] == training.arguments["data"]
    other = job_yaml.with_name("other.csv")
    other.write_text("a,b,y\n7,8,9\n")
    train(job_yaml, validation=other, progress=False)
    assert training.arguments["validation"] == other.read_bytes()
    assert training.arguments["data"] == job_yaml.with_name("points.csv").read_bytes()
    named = {**JOB, "dataset": {"uri": "points.csv", "validation": {"uri": "other.csv"}}}
    train(named, directory=job_yaml.parent, progress=False)
    assert training.arguments["validation"] == other.read_bytes()
    train(named, TABLE, directory=job_yaml.parent, progress=False)
    assert training.arguments["validation"] == other.read_bytes()
    for validation, message in (
        ("absent.csv", 'dataset.validation.uri: "absent.csv": no such file'),
        (3, "a DataFrame"),
    ):
        with pytest.raises(ValueError, match=message):
            train(JOB, TABLE, validation=validation)


def test_invalid_jobs_and_data_are_refused(training: Training, job_yaml: Path, monkeypatch) -> None:
    for job, data, message in (
        ({**JOB, "dataset": {"uri": "absent.csv"}}, None, 'dataset.uri: "absent.csv": no such file'),
        (JOB, None, "dataset.uri"),
        (JOB, "absent.csv", 'dataset.uri: "absent.csv": no such file'),
        ({**JOB, "network": 3}, TABLE, "network"),
        ({"dataset": 3}, TABLE, "dataset"),
    ):
        with pytest.raises(InvalidSpec, match=message):
            train(job, data)
    with pytest.raises(ValueError, match="must be a DataFrame"):
        train(JOB, 3)
    job_yaml.with_name("points.csv").unlink()
    with pytest.raises(InvalidSpec) as caught:
        train(job_yaml)
    assert caught.value.errors[0].line == 3
    assert not training.arguments
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"raydient\[local\]"):
        train(JOB, TABLE)


def test_a_run_that_fails_is_an_error(training: Training) -> None:
    training.end = Finished(Outcome.FAILED, 10, reason="NON_FINITE", message="the loss is not finite")
    with pytest.raises(JobNotSucceeded, match="the loss is not finite") as caught:
        train(JOB, TABLE, progress=False)
    assert (caught.value.state, caught.value.reason) == ("FAILED", "NON_FINITE")
    training.end = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        train(JOB, TABLE, progress=False)
    assert not training.arguments["directory"].parent.exists()


def test_neither_grpc_nor_pandas_is_imported_to_train_here(tmp_path):
    """They would take a third of the time until the members start."""
    (tmp_path / "iris.csv").write_text("width,species\n1.5,setosa\n0.5,virginica\n")
    code = """
import sys
from pathlib import Path
from raydient.client import train
from raydient.server import embedded
from raydient.spec.dataset import Dataset
from raydient.workers.data import formats
formats.read(Dataset(uri="iris.csv", label="species"), Path(sys.argv[1]), {"label"})
print(*(name for name in ("grpc", "pandas", "ray", "sqlalchemy") if name in sys.modules))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "iris.csv")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
