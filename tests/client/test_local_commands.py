"""`train`, `check` and `serve`: what the command line makes of what the server's packages do on this machine."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from raydient.client.cli import options, program
from raydient.server import app, embedded
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Finished, Notice, Outcome, Progress, Started
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.network import Network
from raydient.steps.measurements import Measurements
from raydient.wire import control
from raydient.workers import network
from raydient.workers.network import GradientReport, Model, ParameterCheck, Verdict, save_model

ROOT = Path(__file__).parents[2]
Ending = Finished | BaseException | signal.Signals


class Training:
    """Stands in for `embedded.train`: reports what is asked for and ends as is asked for.

    Attributes:
        end: how it ends.
        leaves: file written into the directory before the end.
        model: what is in it.
        arguments: what it was called with.
    """

    def __init__(self) -> None:
        self.end: Ending = Finished(Outcome.SUCCEEDED, 10, digest="d" * 64)
        self.leaves, self.model = "model.safetensors", b"weights"
        self.arguments: dict[str, object] = {}

    def __call__(self, spec, dataset, *, directory, report, transport, cluster, files, orders) -> Finished:
        self.arguments = {"spec": spec, "dataset": dataset, "transport": transport, "cluster": cluster}
        assert directory.stat().st_mode & 0o077 == 0, "nobody else may read it"
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
    monkeypatch.setattr(embedded, "train", training)
    return training


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where training keeps its folders."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "raydient" / "train"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def names(state: Path) -> list[str]:
    """Folders of runs."""
    return sorted(path.name for path in state.iterdir() if path.is_dir())


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(program, [str(a) for a in arguments])


def test_train_prints_digest_accuracy_and_model(training: Training, state: Path, here: Path, job_yaml: Path) -> None:
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
    assert [(path.name, path.read_bytes()) for path in here.iterdir()] == [("points.safetensors", b"weights")]
    assert names(state) == []
    assert training.arguments["dataset"] == job_yaml.parent / "points.csv"
    assert (training.arguments["transport"], training.arguments["cluster"]) == ("auto", "local")


def test_train_takes_options(training: Training, state: Path, here: Path, job_yaml: Path) -> None:
    done = run(
        "train", job_yaml, "-o", "m.safetensors", "--workers", 7, "--transport", "tcp", "--cluster", "ray", "--json"
    )
    assert json.loads(done.stdout) == {
        "outcome": "succeeded",
        "digest": "d" * 64,
        "model": "m.safetensors",
        "metrics": {"train": {"loss": 0.5}, "test": {"loss": 0.25, "accuracy": 0.9625}},
    }
    assert training.arguments["spec"].resources.workers.max == 7  # type: ignore[attr-defined]
    assert (training.arguments["transport"], training.arguments["cluster"]) == ("tcp", "ray")


@pytest.fixture
def trained(tmp_path: Path) -> Model:
    specification = Network.model_validate({"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"})
    return Model.plain(specification, (2,), np.arange(3, dtype=np.float32))


def test_train_writes_the_format_that_is_asked_for(
    training: Training, state: Path, here: Path, job_yaml: Path, trained: Model
) -> None:
    save_model(here / "model.safetensors", trained)
    training.model = (here / "model.safetensors").read_bytes()
    (here / "model.safetensors").unlink()
    assert run("train", job_yaml, "-o", "m.onnx").exit_code == 0
    assert onnx.load(here / "m.onnx").graph.output[0].name == "output"
    assert run("train", job_yaml, "-o", "m.npz").exit_code == 0
    with np.load(here / "m.npz", allow_pickle=False) as arrays:
        assert arrays["digest"] == trained.digest
    assert sorted(path.name for path in here.iterdir()) == ["m.npz", "m.onnx"]


def test_a_model_that_cannot_be_converted_leaves_its_checkpoint(
    training: Training, state: Path, here: Path, job_yaml: Path
) -> None:
    training.leaves = "checkpoints/step-000000005"
    done = run("train", job_yaml, "-o", "m.onnx")
    assert done.exit_code == 1
    assert "Its last checkpoint is kept. Go on: raydient train --resume points-" in done.stderr
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("output", ["model.pickle", "nowhere/model.safetensors"])
def test_train_refuses_beforehand_what_would_fail_afterwards(
    training: Training, state: Path, here: Path, job_yaml: Path, output: str
) -> None:
    done = run("train", job_yaml, "-o", output)
    assert done.exit_code == 2
    assert output in done.stderr
    assert training.arguments == {}


@pytest.mark.parametrize(("output", "root"), [("/proc/m.safetensors", None), ("m.safetensors", "here/file")])
def test_places_that_cannot_be_written_are_told_before_training(
    training: Training, here: Path, job_yaml: Path, monkeypatch: pytest.MonkeyPatch, output: str, root: str | None
) -> None:
    (here / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(here.parent / (root or "state")))
    done = run("train", job_yaml, "-o", output)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert training.arguments == {}
    assert [path.name for path in here.iterdir()] == ["file"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_failure_is_told_and_its_checkpoint_kept(training: Training, state: Path, here: Path, job_yaml: Path) -> None:
    training.end = Finished(Outcome.FAILED, 7, reason="NON_FINITE", message="step 7: the gradient of dense_1 is NaN")
    training.leaves = "checkpoints/step-000000005"
    done = run("train", job_yaml)
    assert done.exit_code == 1
    [name] = names(state)
    assert done.stderr.splitlines()[-2:] == [
        f"The last good checkpoint is kept: {state / name}; remove it: raydient train --remove {name}",
        "step 7: the gradient of dense_1 is NaN",
    ]
    assert list(here.iterdir()) == []
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
    here: Path,
    job_yaml: Path,
    end: Finished | BaseException | signal.Signals,
    status: int,
) -> None:
    training.end = end
    training.leaves = "logs"
    done = run("train", job_yaml)
    assert done.exit_code == status
    assert names(state) == list(here.iterdir()) == []
    assert "Traceback" not in done.stderr
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_training_finds_in_the_data_gets_the_line(
    training: Training, state: Path, here: Path, job_yaml: Path
) -> None:
    training.end = InvalidSpec([FieldError("dataset.uri", "row 3 has no number")])
    assert run("train", job_yaml).stderr.splitlines()[-1] == f"{job_yaml}:3: dataset.uri: row 3 has no number"


@pytest.mark.parametrize(("uri", "words"), [("no.csv", "no such file"), ("s3://b/x.csv", "no file on this machine")])
def test_train_needs_a_local_file(
    training: Training, state: Path, here: Path, job_yaml: Path, uri: str, words: str
) -> None:
    job_yaml.write_text(job_yaml.read_text().replace("points.csv", uri))
    done = run("train", job_yaml)
    assert done.exit_code == 2
    assert f"{job_yaml}:3: dataset.uri: " in done.stderr
    assert words in done.stderr
    assert training.arguments == {}


@pytest.mark.parametrize("command", ["train", "check", "serve"])
def test_a_missing_extra_is_named_with_its_pip_line(
    monkeypatch: pytest.MonkeyPatch, job_yaml: Path, command: str
) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: None if name == "pyarrow" else True)
    done = run(command, *([] if command == "serve" else [job_yaml]))
    assert done.exit_code == 1
    assert "pyarrow" in done.stderr
    assert "pip install 'raydient[server]'" in done.stderr


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
def test_errors_of_file_data_and_network_are_told_together(state: Path, here: Path, command: str) -> None:
    job = here / "wrong.yaml"
    job.write_text(ALL_WRONG)
    metric = f"{job}:9: network.metrics[0].auc: auc goes with "
    epochs = f"{job}:11: training.epochs: 0 is too small: it must be at least 1"

    def told() -> list[str]:
        done = run(command, job)
        assert done.exit_code == 2
        return done.stderr.splitlines()

    lines = told()
    assert [line.partition(": ")[0] for line in lines] == [f"{job}:{line}" for line in (2, 9, 11)]
    assert "no such file" in lines[0]
    assert lines[1].startswith(metric)
    assert lines[2] == epochs

    (here / "points.csv").write_text("a,b,y\n1,2,3\n")
    lines = told()
    assert lines[0].startswith(f"{job}:3: dataset.features[1]: 'c' is not a column of the file")
    assert lines[1].startswith(metric)
    assert lines[2:] == [epochs]

    job.write_text(ALL_WRONG.replace("epochs: 0", "epochs: 1").replace("points", "absent"))
    assert [line.partition(": ")[0] for line in told()] == [f"{job}:{line}" for line in (2, 9)]


@pytest.fixture
def points(job_yaml: Path) -> Path:
    """Sixty rows of two features for the job file."""
    (job_yaml.parent / "points.csv").write_text("a,b,y\n" + "1,2,3\n2,1,5\n" * 30)
    return job_yaml


def test_check_prints_what_the_job_file_s_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = "raydient check examples/digits_convolution.yaml"
    page = (ROOT / "docs" / "job-file.md").read_text()
    _, _, shown = page.partition(f"$ {command}\n")
    shown, _, _ = shown.partition("```")
    # How many quotients settle, and how large the largest rounding error is, depends on the processor.
    found, expected = (text.partition("; compared")[0] for text in (run(*command.split()[1:]).stdout, shown))
    assert found == expected
    assert len(expected) > 500


def test_check_prints_the_layer_table_and_the_gradient_check(points: Path) -> None:
    done = run("check", points)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "48 samples to train on, 12 held out"
    assert [line.split() for line in lines[2:6]] == [
        ["layer", "kind", "output", "parameters", "operations", "bytes"],
        ["input", "2"],
        ["dense_1", "dense", "1", "3", "5", "152"],
        ["total", "3", "5", "152"],
    ]
    assert lines[-5] == "bytes: parameters, gradients, and what backward needs, for 32 samples at a time"
    assert re.fullmatch(r"memory: about \S+ MiB on one machine: data 0\.0 MiB, .*, coordinator \S+ MiB", lines[-3])
    assert lines[-1].startswith("gradient check: right, on 8 samples; compared 3 values of 2 parameters, largest ")
    found = json.loads(run("check", points, "--json").stdout)
    assert found["layers"] == [
        {
            "name": "dense_1",
            "kind": "dense",
            "inputs": ["input"],
            "output_shape": [1],
            "parameters": 3,
            "learned": 3,
            "frozen": False,
            "shares": "",
            "operations": 5,
            "bytes": 152,
        }
    ]
    assert (found["parameters"], found["operations"], found["bytes"], found["microbatch_samples"]) == (3, 5, 152, 32)
    checked = found["gradient_check"]
    assert (checked["result"], checked["samples"]) == ("right", 8)
    assert [(p["name"], p["values"]) for p in checked["parameters"]] == [("dense_1.kernel", 2), ("dense_1.bias", 1)]
    assert checked["largest_relative_error"] == max(p["largest_relative_error"] for p in checked["parameters"])


GRAPH = """\
  layers:
    - dense: {name: encoder, units: 2, inputs: input}
    - shared: {name: again, layer: encoder, inputs: encoder}
    - add: {name: both, inputs: [encoder, again]}
    - dense: {name: head, units: 1}
"""


def test_check_of_a_graph_tells_who_takes_what(points: Path) -> None:
    text = points.read_text()
    points.write_text(re.sub(r"^  layers:.*?(?=^  \w)", GRAPH, text, flags=re.DOTALL | re.MULTILINE))
    lines = run("check", points).stdout.splitlines()
    assert [re.split(r"  +", line)[:5] for line in lines[2:8]] == [
        ["layer", "kind", "inputs", "output", "parameters"],
        ["input", "2"],
        ["encoder", "dense", "input", "2", "6"],
        ["again", "dense of encoder", "encoder", "2", "0"],
        ["both", "add", "encoder, again", "2", "0"],
        ["head", "dense", "both", "1", "3"],
    ]


def test_check_tells_what_is_not_learned(points: Path) -> None:
    layers = "[dense: {units: 4, trainable: false}, batch_normalization, dense: {units: 1}]"
    points.write_text(points.read_text().replace("\n    - dense: {units: 1}", f" {layers}"))
    lines = run("check", points).stdout.splitlines()
    assert [re.split(r"  +", line)[1:4:2] for line in lines[4:7]] == [
        ["dense, frozen", "12"],
        ["batch_normalization", "16"],
        ["dense", "5"],
    ]
    assert lines[7].split()[:2] == ["total", "33"]
    assert lines[9] == "13 of the parameters are learned; others are frozen, or running statistics"


def report(kernel: ParameterCheck) -> GradientReport:
    return GradientReport((kernel, ParameterCheck("dense_1.bias", Verdict.RIGHT, "", 1, 1e-9, (0,), 1.0, 1.0)))


@pytest.mark.parametrize("error", [0.5, math.inf])
def test_check_tells_a_wrong_derivative(points: Path, monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    wrong = ParameterCheck("dense_1.kernel", Verdict.WRONG, "", 2, error, (1, 0), 0.5, 0.25)
    monkeypatch.setattr(network, "check_gradients", lambda *_, **__: report(wrong))
    done = run("check", points)
    assert done.exit_code == 1
    assert done.stderr == "backpropagation is wrong: dense_1.kernel[1, 0] is 0.5, the difference quotient 0.25\n"
    found = json.loads(run("check", points, "--json").stdout.partition("\n}\n")[0] + "}")
    assert found["gradient_check"]["result"] == "wrong"


def test_check_tells_what_could_not_be_checked(points: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = ParameterCheck("dense_1.kernel", Verdict.NOT_RESOLVED, "every derivative is 0")
    monkeypatch.setattr(network, "check_gradients", lambda *_, **__: report(unknown))
    done = run("check", points)
    assert done.exit_code == 0
    *_, text, reason = done.stdout.splitlines()
    assert text.startswith("gradient check: not resolved, on 8 samples; compared 1 values of 1 parameters, largest ")
    assert text.endswith(" relative error 1.0e-09, dense_1.bias[0]")
    assert reason == "dense_1.kernel is not resolved: every derivative is 0"
    found = json.loads(run("check", points, "--json").stdout)
    assert found["gradient_check"]["parameters"][0]["largest_relative_error"] is None
    assert found["gradient_check"]["parameters"][0]["result"] == "not_resolved"


def test_check_warns_of_an_activation_that_the_loss_applies_itself(points: Path) -> None:
    text = points.read_text().replace("units: 1", "units: 6, activation: softmax")
    points.write_text(re.sub("loss: .*", "loss: softmax_cross_entropy", text))
    done = run("check", points)
    path, words = "network.layers[0].dense.activation", "softmax before softmax_cross_entropy: the loss applies softmax"
    assert done.exit_code == 0
    assert done.stderr.startswith(f"warning: {path}: {words} itself")
    (warning,) = json.loads(run("check", points, "--json").stdout)["warnings"]
    assert (warning["path"], warning["message"].startswith(words)) == (path, True)


def test_check_weighs_samples(points: Path) -> None:
    """The first rows weigh nothing; without weights their derivatives would not be those of training."""
    points.write_text(points.read_text().replace("label: y", "label: y\n  sample_weight: w"))
    (points.parent / "points.csv").write_text("a,b,w,y\n" + "1,2,0,3\n" * 30 + "2,1,3,5\n1,1,2,0\n" * 15)
    found = json.loads(run("check", points, "--json").stdout)["gradient_check"]
    assert (found["result"], found["samples"]) == ("right", 8)
    assert {p["result"] for p in found["parameters"]} == {"right"}


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def print_version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run `raydient version --json` in a process with this standard output: its exit status and what it complains."""
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)

    def print_to(output: IO[str] | int) -> tuple[int, str]:
        command = [sys.executable, "-m", "raydient.client.cli", "version", "--json"]
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stderr

    return print_to


def test_a_full_disk_behind_standard_output_is_told_in_a_line(print_version: Callable[..., tuple[int, str]]) -> None:
    with open("/dev/full", "w") as full:
        assert print_version(full) == (1, "[Errno 28] No space left on device\n")


def test_a_reader_who_has_gone_is_not_worth_a_word(print_version: Callable[..., tuple[int, str]]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert print_version(writer) == (1, "")
    finally:
        os.close(writer)


def test_check_tells_what_is_wrong_with_the_data(job_yaml: Path) -> None:
    job_yaml.write_text(job_yaml.read_text().replace("points.csv", "points.csv\n  label: z"))
    done = run("check", job_yaml)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{job_yaml}:4: dataset.label: ")


def test_serve_passes_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    served = []
    monkeypatch.setattr(app, "serve", lambda settings: served.append(settings) or 0)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert run("serve").exit_code == 0
    assert served == [app.Settings(state_directory=tmp_path / "raydient" / "server")]
    (tmp_path / "file").write_text("")
    options = ["--address", "0.0.0.0:1", "--metrics-address", "h:2", "--state", tmp_path / "s", "--cluster", "ray"]
    options += ["--ray-address", "auto", "--slots", 3, "--data-root", tmp_path, "--data-root", "/", "--insecure-grpc"]
    for name in ("--tls-certificate", "--tls-key", "--tokens-file"):
        options += [name, tmp_path / "file"]
    assert run("serve", *options).exit_code == 0
    assert served[1] == app.Settings(
        address="0.0.0.0:1",
        metrics_address="h:2",
        state_directory=tmp_path / "s",
        cluster="ray",
        ray_address="auto",
        slots=3,
        data_roots=(tmp_path, Path("/")),
        insecure_grpc=True,
        insecure_metrics=False,
        tls_certificate=tmp_path / "file",
        tls_key=tmp_path / "file",
        tokens_file=tmp_path / "file",
    )


def test_a_ray_to_join_needs_the_cluster_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "serve", lambda settings: 0)
    done = run("serve", "--ray-address", "auto")
    assert done.exit_code == 2
    assert "--ray-address needs --cluster ray" in done.stderr


def test_a_service_that_cannot_start_is_status_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_: app.Settings) -> int:
        raise app.StartError("127.0.0.1:50051 is in use")

    monkeypatch.setattr(app, "serve", refuse)
    done = run("serve", "--state", tmp_path)
    assert (done.exit_code, done.stderr) == (2, "127.0.0.1:50051 is in use\n")
