"""`raydient train`: options, outputs, and errors before training and during it."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from raydient.client import extras
from raydient.client.cli import program
from raydient.server import embedded
from raydient.server.clusters.member import BLAS_ENVIRONMENT
from raydient.server.training import history
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Finished, Notice, Outcome, Progress, Started
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.network import Network
from raydient.steps.measurements import Measurements
from raydient.wire import control
from raydient.workers.network import Model, save_model

ROOT = Path(__file__).parents[2]
Ending = Finished | BaseException | signal.Signals


class Training:
    """Replaces `embedded.train`: sends the prepared reports and ends as prepared.

    Attributes:
        end: how it ends.
        leaves: file written into the directory before the end.
        model: what is in it.
        arguments: what it was called with.
        threads: the environment variables that limit threads, when it was called.
    """

    def __init__(self) -> None:
        self.end: Ending = Finished(Outcome.SUCCEEDED, 10, digest="d" * 64)
        self.leaves, self.model = "model.safetensors", b"weights"
        self.arguments: dict[str, object] = {}
        self.threads: dict[str, str] = {}

    def __call__(
        self, spec, dataset, *, validation, directory, report, transport, cluster, files, orders, sha256
    ) -> Finished:
        self.arguments = {"spec": spec, "dataset": dataset, "transport": transport, "cluster": cluster}
        self.threads = {name: os.environ[name] for name in BLAS_ENVIRONMENT}
        assert directory.stat().st_mode & 0o077 == 0, "only its owner may read it"
        path = directory / self.leaves
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.model)
        report(Started(0, 2))
        report(Progress(5, 10, 0, 1, 50, 100.0, 2, 2, Measurements(0.5, 0.1)))
        report(Notice("WARNING", "network.layers[0]: hardly meant"))
        report(Notice("WORKER_LOST", "worker 1 is gone"))
        report(EpochEnded(1, 10, 0.25, {"train": {"loss": 0.5}, "test": {"loss": 0.25, "accuracy": 0.9625}}))
        report(CheckpointTaken(10, 0.1, 1000))
        if isinstance(self.end, signal.Signals):
            signal.raise_signal(self.end)
            assert orders == [control.Command(control.Order.PAUSE)]
            self.end = Finished(Outcome.PAUSED, 7)
        if isinstance(self.end, BaseException):
            raise self.end
        report(self.end)
        return self.end


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    training = Training()
    for name in BLAS_ENVIRONMENT:
        monkeypatch.setenv(name, "4")
    monkeypatch.setattr(embedded, "train", training)
    monkeypatch.setattr(extras, "find_spec", lambda name: True)  # Ray, too, which tests keep from being imported
    return training


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the runs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "raydient" / "train"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def names(state: Path) -> list[str]:
    """Folders of runs."""
    return sorted(path.name for path in state.iterdir() if path.is_dir())


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(program, [str(a) for a in arguments])


def test_train_prints_digest_accuracy_and_model(
    training: Training, state: Path, directory: Path, job_yaml: Path
) -> None:
    done = run("train", job_yaml)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"digest         {'d' * 64}",
        "test loss      0.2500",
        "test accuracy  96.25 %",
        "model          points.safetensors",
    ]
    assert done.stderr.splitlines() == [
        "warning: network.layers[0]: hardly meant",
        "worker 1 is gone",
        "epoch 1/1  loss 0.5000  test loss 0.2500  test accuracy 96.25 %  0.25 s",
    ]
    assert [(path.name, path.read_bytes()) for path in directory.iterdir()] == [("points.safetensors", b"weights")]
    assert names(state) == []
    assert training.arguments["dataset"] == job_yaml.parent / "points.csv"
    assert (training.arguments["transport"], training.arguments["cluster"]) == ("auto", "local")
    assert training.threads == BLAS_ENVIRONMENT, "initial weights have the bits that a service computes"


def test_train_takes_options(training: Training, state: Path, directory: Path, job_yaml: Path) -> None:
    where = ["--transport", "tcp", "--cluster", "ray", "--numerics", "any"]
    done = run("train", job_yaml, "-o", "m.safetensors", "--workers", 7, *where, "--json")
    assert json.loads(done.stdout) == {
        "outcome": "succeeded",
        "digest": "d" * 64,
        "model": "m.safetensors",
        "metrics": {"train": {"loss": 0.5}, "test": {"loss": 0.25, "accuracy": 0.9625}},
    }
    assert training.arguments["spec"].resources.workers.max == 7  # type: ignore[attr-defined]
    assert training.arguments["spec"].training.numerics.kind == "any"  # type: ignore[attr-defined]
    assert (training.arguments["transport"], training.arguments["cluster"]) == ("tcp", "ray")


def test_the_receipt_reports_mixed_bits(training: Training, state: Path, directory: Path, job_yaml: Path) -> None:
    training.end = Finished(Outcome.SUCCEEDED, 10, "d" * 64, "NUMERICS_MIXED", "bits are mixed: two probes")
    assert "bits           bits are mixed: two probes" in run("train", job_yaml).stdout.splitlines()
    assert json.loads(run("train", job_yaml, "--json").stdout)["mixed_bits"] is True


def test_the_receipt_has_the_epoch_of_the_model(
    training: Training, state: Path, directory: Path, job_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.end = Finished(Outcome.SUCCEEDED, 10, "d" * 64, "STOPPED_EARLY", "loss has not improved", 1)
    epochs = [EpochEnded(n, 10 * n, 0.1, {"test": {"loss": float(n)}}) for n in (1, 2)]
    monkeypatch.setattr(history, "read_history", lambda path: iter(epochs))
    lines = run("train", job_yaml).stdout.splitlines()
    shown = [line.split(None, 1)[1] for line in lines if line.startswith(("ended", "epoch"))]
    assert shown == ["loss has not improved", "1"]
    assert "test loss  1.0000" in lines
    receipt = json.loads(run("train", job_yaml, "--json").stdout)
    assert (receipt["epoch"], receipt["metrics"]) == (1, {"test": {"loss": 1.0}})


def test_other_bits_than_the_checkpoint_have_a_way_on(
    training: Training, state: Path, directory: Path, job_yaml: Path
) -> None:
    training.end = Finished(Outcome.FAILED, 10, "", "OTHER_NUMERICS", "other bits")
    assert "other bits; it goes on here with --numerics any" in run("train", job_yaml).stderr


@pytest.fixture
def trained(tmp_path: Path) -> Model:
    specification = Network.model_validate({"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"})
    return Model.plain(specification, (2,), np.arange(3, dtype=np.float32))


def test_train_writes_the_format_of_the_suffix(
    training: Training, state: Path, directory: Path, job_yaml: Path, trained: Model
) -> None:
    save_model(directory / "model.safetensors", trained)
    training.model = (directory / "model.safetensors").read_bytes()
    (directory / "model.safetensors").unlink()
    assert run("train", job_yaml, "-o", "m.onnx").exit_code == 0
    assert onnx.load(directory / "m.onnx").graph.output[0].name == "output"
    assert run("train", job_yaml, "-o", "m.npz").exit_code == 0
    with np.load(directory / "m.npz", allow_pickle=False) as arrays:
        assert arrays["digest"] == trained.digest
    assert sorted(path.name for path in directory.iterdir()) == ["m.npz", "m.onnx"]


def test_a_model_that_cannot_be_converted_leaves_its_checkpoint(
    training: Training, state: Path, directory: Path, job_yaml: Path
) -> None:
    training.leaves = "checkpoints/step-000000005"
    done = run("train", job_yaml, "-o", "m.onnx")
    assert done.exit_code == 1
    assert "Its last checkpoint is kept. Go on: raydient train --resume points-" in done.stderr
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("output", ["model.pickle", "nowhere/model.safetensors"])
def test_train_refuses_invalid_outputs_before_training(
    training: Training, state: Path, directory: Path, job_yaml: Path, output: str
) -> None:
    done = run("train", job_yaml, "-o", output)
    assert done.exit_code == 2
    assert output in done.stderr
    assert training.arguments == {}


@pytest.mark.parametrize(("output", "root"), [("/proc/m.safetensors", None), ("m.safetensors", "here/file")])
def test_unwritable_outputs_are_reported_before_training(
    training: Training, directory: Path, job_yaml: Path, monkeypatch: pytest.MonkeyPatch, output: str, root: str | None
) -> None:
    (directory / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(directory.parent / (root or "state")))
    done = run("train", job_yaml, "-o", output)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert training.arguments == {}
    assert [path.name for path in directory.iterdir()] == ["file"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_failure_is_reported_and_its_checkpoint_kept(
    training: Training, state: Path, directory: Path, job_yaml: Path
) -> None:
    training.end = Finished(Outcome.FAILED, 7, reason="NON_FINITE", message="step 7: the gradient of dense_1 is NaN")
    training.leaves = "checkpoints/step-000000005"
    done = run("train", job_yaml)
    assert done.exit_code == 1
    [name] = names(state)
    assert done.stderr.splitlines()[-2:] == [
        f"The last good checkpoint is kept: {state / name}; remove it: raydient train --remove {name}",
        "step 7: the gradient of dense_1 is NaN",
    ]
    assert list(directory.iterdir()) == []
    error = json.loads(run("train", job_yaml, "--json").stdout)["error"]
    assert (error["reason"], error["message"]) == ("NON_FINITE", "step 7: the gradient of dense_1 is NaN")


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (KeyboardInterrupt(), 130),
        (signal.SIGTERM, 130),
        (signal.SIGHUP, 130),
        (signal.SIGINT, 130),
        (Finished(Outcome.FAILED, 0, reason="WORKER_LOST", message="gone"), 1),
        (InvalidSpec([FieldError("dataset.label", "there is no column y")]), 2),
        (OSError(28, "No space left on device", "somewhere"), 1),
    ],
)
def test_an_end_without_a_checkpoint_leaves_nothing(
    training: Training,
    state: Path,
    directory: Path,
    job_yaml: Path,
    end: Finished | BaseException | signal.Signals,
    status: int,
) -> None:
    training.end = end
    training.leaves = "logs"
    done = run("train", job_yaml)
    assert done.exit_code == status
    assert names(state) == list(directory.iterdir()) == []
    assert "Traceback" not in done.stderr
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_errors_that_training_finds_in_the_data_have_lines_of_the_file(
    training: Training, state: Path, directory: Path, job_yaml: Path
) -> None:
    training.end = InvalidSpec([FieldError("dataset.uri", "row 3 has no number")])
    assert run("train", job_yaml).stderr.splitlines()[-1] == f"{job_yaml}:3: dataset.uri: row 3 has no number"


@pytest.mark.parametrize(
    ("uri", "words"), [("no.csv", "no such file"), (f"datasets/{'0' * 64}", "is not a file on this machine")]
)
def test_train_needs_a_local_file(
    training: Training, state: Path, directory: Path, job_yaml: Path, uri: str, words: str
) -> None:
    job_yaml.write_text(job_yaml.read_text().replace("points.csv", uri))
    done = run("train", job_yaml)
    assert done.exit_code == 2
    assert f"{job_yaml}:3: dataset.uri: " in done.stderr
    assert words in done.stderr
    assert training.arguments == {}


@pytest.mark.parametrize(("command", "extra"), [("train", "local"), ("check", "local"), ("serve", "server")])
def test_a_missing_extra_is_named_with_its_pip_line(
    monkeypatch: pytest.MonkeyPatch, job_yaml: Path, command: str, extra: str
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "pyarrow" else True)
    done = run(command, *([] if command == "serve" else [job_yaml]))
    assert done.exit_code == 1
    assert "pyarrow" in done.stderr
    assert f"pip install 'raydient[{extra}]'" in done.stderr


def test_a_run_on_ray_needs_the_extra_of_the_service(
    training: Training, state: Path, monkeypatch: pytest.MonkeyPatch, job_yaml: Path
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "ray" else True)
    done = run("train", job_yaml, "--cluster", "ray")
    assert (done.exit_code, training.arguments) == (1, {})
    assert "Training on Ray needs ray, not installed here: pip install 'raydient[server]'" in done.stderr


ALL_WRONG = """\
dataset:
  uri: points.csv
  features: [a, c]
network:
  layers:
    - dense: {units: 1}
  loss: mean_squared_error
  metrics:
    - auc
training:
  epochs: 0
"""


@pytest.mark.parametrize("command", ["train", "check"])
def test_errors_of_file_data_and_network_are_reported_together(state: Path, directory: Path, command: str) -> None:
    job = directory / "wrong.yaml"
    job.write_text(ALL_WRONG)
    metric = f"{job}:9: network.metrics[0].auc: auc goes with "
    epochs = f"{job}:11: training.epochs: 0 is too small: it must be at least 1"

    def errors() -> list[str]:
        done = run(command, job)
        assert done.exit_code == 2
        return done.stderr.splitlines()

    lines = errors()
    assert [line.partition(": ")[0] for line in lines] == [f"{job}:{line}" for line in (2, 9, 11)]
    assert "no such file" in lines[0]
    assert lines[1].startswith(metric)
    assert lines[2] == epochs

    (directory / "points.csv").write_text("a,b,y\n1,2,3\n")
    lines = errors()
    assert lines[0].startswith(f"{job}:3: dataset.features[1]: 'c' is not a column of the file")
    assert lines[1].startswith(metric)
    assert lines[2:] == [epochs]

    job.write_text(ALL_WRONG.replace("epochs: 0", "epochs: 1").replace("points", "absent"))
    assert [line.partition(": ")[0] for line in errors()] == [f"{job}:{line}" for line in (2, 9)]


def test_the_history_is_written_beside_the_model(
    training: Training, state: Path, directory: Path, job_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = [EpochEnded(n, 10 * n, 0.1, {"train": {"loss": 1 / n}, "test": {"loss": 0.1}}) for n in (1, 3)]
    monkeypatch.setattr(history, "read_history", lambda path: iter(epochs))
    assert run("train", job_yaml, "--history", "curve.csv").exit_code == 0
    lines = ["epoch,train_loss,test_loss", "1,1.0,0.1", "3,0.3333333333333333,0.1"]
    assert Path("curve.csv").read_text().splitlines() == lines
    training.end = Finished(Outcome.FAILED, 10, reason="NON_FINITE", message="the loss is not finite")
    assert run("train", job_yaml, "--history", "failed.csv").exit_code == 1
    assert Path("failed.csv").read_text().splitlines() == lines
    for path, words in (("curve.txt", "a name that ends in .csv"), ("absent/curve.csv", "there is no folder")):
        done = run("train", job_yaml, "--history", path)
        assert (done.exit_code, words in done.stderr) == (2, True)
