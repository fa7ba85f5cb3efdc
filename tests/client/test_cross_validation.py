"""Cross-validation: the folds of a job, their training on this machine or a service, and mean and deviation."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from raydient.client import CrossValidation, InvalidSpec, JobNotSucceeded, MissingExtra, cross_validate, extras
from raydient.client.cross_validation import Fold, Spread, with_folds
from raydient.server import embedded
from raydient.server.clusters.local import LocalCluster
from raydient.server.training.reports import Finished, Outcome
from raydient.spec.validation import validate_job
from raydient.workers.network import Model, Preprocessing, Target, build, save_model

NETWORK = {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}
JOB = {"dataset": {}, "network": NETWORK, "training": {"batch_size": 2}}
TABLE = pd.DataFrame({"a": np.arange(9.0), "g": [1, 1, 1, 2, 2, 2, 3, 3, 3], "y": np.arange(9.0)})
LOSSES = {1: 1.0, 2: 2.0, 3: 4.5}


class Training:
    """Replaces `embedded.train`: the model of a fold has the loss that LOSSES says.

    Attributes:
        specs: the jobs that were trained.
        end: how the training of the second fold ends, if not well.
    """

    def __init__(self) -> None:
        self.specs: list[Any] = []
        self.end: Finished | BaseException | None = None

    def __call__(self, spec, dataset, *, directory, begin, **_: Any) -> Finished:
        self.specs.append(spec)
        fold = spec.dataset.split.method.folds.fold
        if fold == 2 and isinstance(self.end, BaseException):
            raise self.end
        begin(SimpleNamespace(dataset=SimpleNamespace(held_out=np.array([fold]))))
        directory.mkdir()
        (directory / "history.jsonl").touch()
        weights = np.zeros(build(spec.network, (1,)).layout.size, np.float32)
        metrics = {"train": {"loss": 9.0}, "test": {"loss": LOSSES[fold]}}
        preprocessing = Preprocessing((1,), ("a",), is_table=True)
        model = Model(
            spec.network, {"input": preprocessing}, weights, {"dense_1": Target("y")}, training={"metrics": metrics}
        )
        save_model(directory / "model.safetensors", model)
        return self.end if fold == 2 and self.end else Finished(Outcome.SUCCEEDED, 10, digest="d" * 64)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    training = Training()
    monkeypatch.setattr(embedded, "train", training)
    monkeypatch.setattr(LocalCluster, "warm_up", lambda *, portable: None)
    return training


def methods(split: dict[str, Any] | None, number: int | None = None) -> list[dict[str, Any]]:
    job = validate_job({**JOB, "dataset": {"uri": "a.csv", **({"split": split} if split else {})}})
    return [one.canonical()["dataset"]["split"] for one in with_folds(job, number)]


@pytest.mark.parametrize(
    ("split", "number", "count", "variant"),
    [
        (None, None, 5, {}),
        ({"test": 0.3}, 3, 3, {}),
        ({"method": {"stratified": {}}}, None, 5, {"stratified": {}}),
        ({"method": {"grouped": {"by": "g"}}}, 2, 2, {"grouped": {"by": "g"}}),
        (
            {"method": {"folds": {"number": 7, "fold": 3, "stratified": {"by": "k"}}}},
            None,
            7,
            {"stratified": {"by": "k"}},
        ),
    ],
)
def test_folds_follow_the_method_of_the_job(split, number, count, variant) -> None:
    assert methods(split, number) == [
        {"test": 0.0, "method": {"folds": {"number": count, "fold": fold, **variant}}} for fold in range(1, count + 1)
    ]


@pytest.mark.parametrize(
    ("dataset", "path", "message"),
    [
        (
            {"split": {"method": {"ordered": {"by": "t"}}}},
            "dataset.split.method",
            "ordered holds out certain rows, but",
        ),
        ({"split": {"method": {"column": {"name": "t"}}}}, "dataset.split.method", "holds out each row once: leave it"),
        ({"validation": {"uri": "b.csv"}}, "dataset.validation", "data of their own are held out"),
    ],
)
def test_jobs_that_hold_out_certain_rows_are_refused(dataset, path, message) -> None:
    with pytest.raises(InvalidSpec) as caught:
        with_folds(validate_job({**JOB, "dataset": {"uri": "a.csv", **dataset}}))
    (error,) = caught.value.errors
    assert error.path == path
    assert message in error.message


def test_metrics_have_mean_and_sample_deviation(training: Training, capsys: pytest.CaptureFixture) -> None:
    result = cross_validate(JOB, TABLE, folds=3, workers=3)
    assert [fold.metrics for fold in result.folds] == [{"loss": LOSSES[number]} for number in (1, 2, 3)]
    assert result.metrics == {"loss": Spread(2.5, pytest.approx(np.std([1, 2, 4.5], ddof=1)))}
    assert [fold.result.held_out.tolist() for fold in result.folds] == [[1], [2], [3]]
    assert repr(result) == "<CrossValidation of 3 folds: loss 2.5 ± 1.8>"
    assert result.to_pandas().loss.tolist() == [1, 2, 4.5]
    assert "<td>deviation</td><td>1.803</td>" in result._repr_html_()
    assert [spec.resources.workers.max for spec in training.specs] == [3, 3, 3]
    assert capsys.readouterr().err.splitlines() == ["fold 1 of 3", "fold 2 of 3", "fold 3 of 3"]
    cross_validate(JOB, TABLE, folds=2, progress=False)
    assert capsys.readouterr().err == ""


def test_errors_are_found_before_anything_is_trained(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    for data, folds, message in (
        (TABLE.assign(y="text"), 3, "dataset.label: 'y': 'text' in row 1 is text"),
        (TABLE, 10, "dataset.split.method.folds: 10 folds of 9 rows leave some without a row"),
    ):
        with pytest.raises(InvalidSpec) as caught:
            cross_validate(JOB, data, folds=folds)
        assert str(caught.value).startswith(message)
        assert str(caught.value).count("\n") == 0, "once, not for each fold"
    with pytest.raises(ValueError, match="1 folds: a number of 2 to 1000 is needed"):
        cross_validate(JOB, TABLE, folds=1)
    assert training.specs == []
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra):
        cross_validate(JOB, TABLE)


def test_an_end_names_the_fold_and_ctrl_c_trains_no_other(training: Training) -> None:
    training.end = Finished(Outcome.FAILED, 3, reason="NOT_FINITE", message="the loss is nan")
    with pytest.raises(JobNotSucceeded, match="fold 2 of 3: the loss is nan") as caught:
        cross_validate(JOB, TABLE, folds=3, progress=False)
    assert caught.value.reason == "NOT_FINITE"
    training.end = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        cross_validate(JOB, TABLE, folds=3, progress=False)
    assert len(training.specs) == 4


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    TABLE.to_csv(tmp_path / "data.csv", index=False)
    dataset = {"uri": "data.csv", "label": "y", "split": {"method": {"grouped": {"by": "g"}}}}
    (tmp_path / "job.yaml").write_text(json.dumps({**JOB, "dataset": dataset}))
    return tmp_path / "job.yaml"


def test_the_command_prints_a_table(training: Training, run, job_file: Path) -> None:
    done = run("cross-validate", str(job_file), "--folds", "3")
    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["FOLD", "test_loss"],
        ["1", "1.0000"],
        ["2", "2.0000"],
        ["3", "4.5000"],
        ["mean", "2.5000"],
        ["deviation", "1.8028"],
    ]
    data = json.loads(run("cross-validate", str(job_file), "--folds", "3", "--json").stdout)
    assert data["metrics"] == {"test_loss": {"mean": 2.5, "deviation": pytest.approx(1.802775637731995)}}
    assert [fold["number"] for fold in data["folds"]] == [1, 2, 3]
    assert [fold["metrics"] for fold in data["folds"]] == [{"test_loss": loss} for loss in (1, 2, 4.5)]
    assert all(len(fold["digest"]) == 64 for fold in data["folds"])


def test_the_command_reports_errors_once_and_an_interruption(training: Training, run, job_file: Path) -> None:
    done = run("cross-validate", str(job_file), "--folds", "4")
    assert (done.exit_code, training.specs) == (2, [])
    (line,) = done.stderr.splitlines()
    assert "dataset.split.method.folds.grouped.by: 'g': 4 folds need a group each, but there are 3: at most 3" in line
    training.end = KeyboardInterrupt()
    done = run("cross-validate", str(job_file), "--folds", "3")
    assert (done.exit_code, done.stdout) == (130, "")


def test_a_service_gets_a_job_for_each_fold(service, client, job_file: Path) -> None:
    jobs = client.submit_folds(job_file, folds=3)
    requests = service.requests["CreateTrainingJob"]
    assert [request.validate_only for request in requests] == [True] * 3 + [False] * 3, "all are checked first"
    assert [request.spec.dataset.split.method.folds.fold for request in requests[3:]] == [1, 2, 3]
    assert [request.spec.labels["fold"] for request in requests[3:]] == ["1", "2", "3"]
    assert len({request.spec.labels["cross-validation"] for request in requests}) == 1
    assert service.calls.count("UploadDataset") == 1, "the folds share one file"
    assert [job.name for job in jobs] == list(service.jobs)


def test_results_of_a_service_are_collected(service, run, job_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydient.client.job.Job.wait", lambda self, **_: self)
    losses = iter([1.0, 2.0, 4.5])
    monkeypatch.setattr(
        "raydient.client.job.Job.report",
        lambda self: SimpleNamespace(content={"metrics": {"test": {"loss": next(losses)}}}),
    )
    done = run("cross-validate", str(job_file), "--folds", "3", "--server", "--json")
    assert done.exit_code == 0, done.stderr
    data = json.loads(done.stdout)
    assert [fold["job"] for fold in data["folds"]] == list(service.jobs)
    assert data["metrics"]["test_loss"]["mean"] == 2.5

    def interrupted(self: object, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("raydient.client.job.Job.wait", interrupted)
    done = run("cross-validate", str(job_file), "--folds", "3", "--server")
    assert done.exit_code == 130
    assert "raydient list --label cross-validation=" in done.stderr


def test_folds_without_metrics_of_an_epoch_have_none() -> None:
    assert CrossValidation([Fold(1, {}, "", None), Fold(2, {}, "", None)]).metrics == {}
