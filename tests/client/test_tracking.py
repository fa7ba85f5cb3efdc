"""Trackers: epochs are written once, what is not written is named, and a tracker that hangs slows nothing."""

import os
import struct
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from tensorboardX.proto.event_pb2 import Event

from raydient.client import MissingExtra, extras, trackers
from raydient.client.trackers import TRACKERS, CsvTracker, opener
from raydient.client.tracking import Tracking, tracking
from raydient.v1 import training_job_pb2 as jobs_api

EPOCHS = {epoch: {"train": {"loss": 1 / epoch}, "test": {"loss": 2 / epoch}} for epoch in range(1, 6)}


def track(target: str, *epochs: int) -> list[str]:
    """Pass epochs to a tracker of the run `run-1`; returns the lines about what was not written."""
    lines: list[str] = []
    with tracking([target], "run-1", lines.append) as (tracker,):
        for epoch in epochs:
            tracker.epoch(epoch, 10 * epoch, EPOCHS[epoch])
    return lines


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """The scalars of the event files of a folder, in their order."""
    values = []
    for path in sorted(folder.glob("events.*")):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (size,) = struct.unpack("<Q", content[place : place + 8])
            event = Event.FromString(content[place + 12 : place + 12 + size])
            values += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            place += size + 16
    return values


def test_a_run_that_goes_on_writes_each_epoch_once(tmp_path: Path) -> None:
    for epochs in ((1, 2, 2, 1, 3), (1, 2, 3, 4, 5)):
        assert track(f"csv:{tmp_path}", *epochs) == []
        assert track(f"tensorboard:{tmp_path}", *epochs) == []
    lines = (tmp_path / "run-1.csv").read_text().splitlines()
    assert lines[0] == "epoch,step,train_loss,test_loss"
    assert lines[1:] == [f"{epoch},{10 * epoch},{1 / epoch!r},{2 / epoch!r}" for epoch in EPOCHS]
    losses = [(step, value) for tag, step, value in scalars(tmp_path / "run-1") if tag == "loss/test"]
    assert losses == [(epoch, pytest.approx(2 / epoch)) for epoch in EPOCHS]


def test_a_row_that_was_not_completed_is_written_again(tmp_path: Path) -> None:
    track(f"csv:{tmp_path}", 1, 2)
    path = tmp_path / "run-1.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    track(f"csv:{tmp_path}", 1, 2)
    assert path.read_bytes() == whole


class Hanging:
    """A tracker that never finishes a write."""

    def __init__(self) -> None:
        self.last = 0
        self.go_on = threading.Event()

    def write(self, epoch, step, metrics) -> None:
        self.go_on.wait()

    def close(self) -> None:
        pass


def test_a_tracker_that_hangs_slows_nothing_and_is_named() -> None:
    hanging = Hanging()
    tracker = Tracking("mlflow:x", "run-1", lambda run: hanging)
    for epoch in range(1, 12_000):
        tracker.epoch(epoch, epoch, {})
    problem = tracker.close(seconds=0.01)
    hanging.go_on.set()
    assert problem.startswith("mlflow:x: it has not answered for 0.01 s; up to 11")
    assert problem.endswith("epochs are not written")


@pytest.mark.parametrize("at", ["open", "write"])
def test_a_tracker_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: str) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("no route\nto the server")

    monkeypatch.setattr(CsvTracker, "__init__" if at == "open" else "write", fail)
    assert track(f"csv:{tmp_path}", 1, 2, 3) == [f"csv:{tmp_path}: 3 epochs are not written: RuntimeError: no route"]


def test_mlflow_finds_its_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: dict[str, dict[str, list[SimpleNamespace]]] = {}

    class MlflowClient:
        def __init__(self, tracking_uri: str) -> None:
            assert tracking_uri == "http://server:5000"
            assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"

        def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
            return SimpleNamespace(experiment_id="1") if runs else None

        def create_experiment(self, name: str) -> str:
            return "1"

        def search_runs(self, experiments: list[str], query: str, max_results: int) -> list[SimpleNamespace]:
            assert query == "tags.`raydient.run` = 'run-1'"
            known = [(run, SimpleNamespace(metrics=metrics)) for run, metrics in runs.items()]
            return [SimpleNamespace(info=SimpleNamespace(run_id=run), data=data) for run, data in known]

        def create_run(self, experiment: str, tags: dict[str, str], run_name: str) -> SimpleNamespace:
            runs["7"] = {}
            return SimpleNamespace(info=SimpleNamespace(run_id="7"), data=SimpleNamespace(metrics={}))

        def get_metric_history(self, run: str, name: str) -> list[SimpleNamespace]:
            return runs[run][name]

        def log_batch(self, run: str, metrics: list[SimpleNamespace]) -> None:
            for metric in metrics:
                runs[run].setdefault(metric.name, []).append(metric)

        def set_terminated(self, run: str) -> None:
            pass

    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)

    def metric(name: str, value: float, timestamp: int, step: int) -> SimpleNamespace:
        return SimpleNamespace(name=name, value=value, step=step)

    _module(monkeypatch, "mlflow")
    _module(monkeypatch, "mlflow.tracking", MlflowClient=MlflowClient)
    _module(monkeypatch, "mlflow.entities", Metric=metric)
    monkeypatch.setattr(trackers, "find_spec", lambda name: True)
    assert track("mlflow:http://server:5000", 1, 2, 3) == track("mlflow:http://server:5000", 1, 2, 3, 4) == []
    assert [(one.step, one.value) for one in runs["7"]["test_loss"]] == [(e, 2 / e) for e in (1, 2, 3, 4)]


def test_weights_and_biases_are_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logged: list[tuple[int, dict[str, float]]] = []
    run = SimpleNamespace(log=lambda values, step: logged.append((step, values)), finish=lambda: None)
    options: dict[str, object] = {}

    def init(**arguments: object) -> SimpleNamespace:
        options.update(arguments)
        options["reporting"] = os.environ["WANDB_ERROR_REPORTING"]
        return run

    monkeypatch.delenv("WANDB_ERROR_REPORTING", raising=False)
    _module(monkeypatch, "wandb", init=init, Settings=lambda **settings: settings)
    monkeypatch.setattr(trackers, "find_spec", lambda name: True)
    assert track(f"wandb:{tmp_path}", 1, 2) == track(f"wandb:{tmp_path}", 1, 2, 3) == []
    assert (options["mode"], options["id"], options["resume"]) == ("offline", "run-1", "allow")
    assert options["reporting"] == "false"
    assert logged == [(e, {"train/loss": 1 / e, "test/loss": 2 / e}) for e in (1, 2, 3)]


def _module(monkeypatch: pytest.MonkeyPatch, name: str, **content: object) -> None:
    module = ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_unknown_trackers_and_missing_packages_are_refused(run, service, monkeypatch: pytest.MonkeyPatch) -> None:
    for target in ("tensorbord:x", "csv", "csv:"):
        with pytest.raises(ValueError, match="is no tracker: csv:DIR, tensorboard:DIR, mlflow:URI, wandb:DIR"):
            opener(target)
        assert run("watch", "one", "--track", target).exit_code == 2
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    for kind in set(TRACKERS) - {"csv"}:
        with pytest.raises(MissingExtra, match=rf"pip install 'raydient\[{kind}\]'"):
            opener(f"{kind}:x")
        assert kind in extras.PACKAGES
    assert service.calls == []


def test_a_job_is_tracked_while_it_is_followed(run, service, tmp_path: Path) -> None:
    service.add_job()
    service.add_events()
    metric = jobs_api.Metric(name="loss", split="test", value=1)
    service.events["jobs/one"][2].epoch_ended.metrics.append(metric)
    for _ in range(2):
        done = run("watch", "one", "--track", f"csv:{tmp_path}")
        assert (done.exit_code, "not written" in done.stderr) == (0, False)
    rows = (tmp_path / "jobs-one.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2"]
    assert run("submit", tmp_path / "job.yaml", "--track", f"csv:{tmp_path}").exit_code == 2
