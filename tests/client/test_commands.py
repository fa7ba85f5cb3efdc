"""The command line against a service in memory: results, JSON, exit statuses."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from pydantic import TypeAdapter

from raydient.v1.training_job_pb2 import EpochEnded, Metric
from raydient.v1.training_job_spec_pb2 import TrainingJobSpec

COMMANDS = [
    ("list",),
    ("get", "one"),
    ("cancel", "one", "--yes"),
    ("delete", "one", "--yes"),
    ("metrics", "one"),
    ("dataset", "list"),
]
METHODS = ["ListTrainingJobs", "GetTrainingJob", "GetTrainingJob", "GetTrainingJob", "GetTrainingJob", "ListDatasets"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.OUT_OF_RANGE, 2),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 3),
        (grpc.StatusCode.NOT_FOUND, 4),
        (grpc.StatusCode.UNAUTHENTICATED, 5),
        (grpc.StatusCode.PERMISSION_DENIED, 5),
        (grpc.StatusCode.FAILED_PRECONDITION, 6),
        (grpc.StatusCode.ALREADY_EXISTS, 6),
        (grpc.StatusCode.ABORTED, 6),
        (grpc.StatusCode.UNIMPLEMENTED, 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 1),
        (grpc.StatusCode.DATA_LOSS, 1),
        (grpc.StatusCode.INTERNAL, 1),
        (grpc.StatusCode.UNKNOWN, 1),
        (grpc.StatusCode.CANCELLED, 3),
    ],
)
def test_each_code_has_an_exit_status_and_a_message(run, service, code: grpc.StatusCode, status: int) -> None:
    for _ in range(2):
        service.fail("GetTrainingJob", code, "the cause", "SOME_REASON")
    plain = run("get", "one")
    assert plain.exit_code == status
    assert plain.stdout == ""
    assert "the cause" in plain.stderr
    assert "Traceback" not in plain.stderr
    as_json = run("get", "one", "--json")
    assert as_json.exit_code == status
    error = json.loads(as_json.stdout)["error"]
    assert error["reason"] == "SOME_REASON"
    assert "the cause" in error["message"]


@pytest.mark.parametrize("command", COMMANDS[:2], ids=" ".join)
def test_an_absent_service_is_status_3_with_address_and_remedy(run, command: tuple[str, ...]) -> None:
    done = run(*command, "--address", "127.0.0.1:1")
    assert done.exit_code == 3
    assert "127.0.0.1:1" in done.stderr
    assert "raydient serve" in done.stderr
    as_json = run(*command, "--address", "no:address", "--json")
    assert as_json.exit_code == 3
    error = json.loads(as_json.stdout)["error"]
    assert error["reason"] == "NO_SUCH_HOST"
    assert "]" not in error["message"]


def test_the_token_hint_appears_only_for_missing_tokens(run, service) -> None:
    for reason in ("TOKEN_MISSING", "TOKEN_INVALID"):
        service.fail("GetTrainingJob", grpc.StatusCode.UNAUTHENTICATED, "who are you", reason)
        assert "RAYDIENT_TOKEN" in run("get", "one").stderr
    service.fail("GetTrainingJob", grpc.StatusCode.PERMISSION_DENIED, "not that file", "FILE_OUTSIDE_DATA_ROOTS")
    assert run("get", "one").stderr == "not that file\n"


@pytest.mark.parametrize(("command", "method"), list(zip(COMMANDS, METHODS, strict=True)))
def test_json_parses_in_the_error_case(run, service, command: tuple[str, ...], method: str) -> None:
    service.fail(method, grpc.StatusCode.INTERNAL, "broken")
    done = run(*command, "--json")
    assert done.exit_code == 1
    assert "broken" in json.loads(done.stdout)["error"]["message"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_json_parses_in_the_success_case(run, service, command: tuple[str, ...]) -> None:
    service.add_job()
    done = run(*command, "--json")
    assert done.exit_code == 0
    assert isinstance(json.loads(done.stdout), dict)
    assert done.stderr == ""


def test_json_of_nothing(run) -> None:
    assert json.loads(run("list", "--json").stdout) == {"training_jobs": []}
    assert json.loads(run("dataset", "list", "--json").stdout) == {"datasets": []}


def test_wrong_usage_is_status_2(run) -> None:
    for command in (
        ["get"],
        ["no-such-command"],
        ["list", "--state", "TIRED"],
        ["list", "--label", "x"],
        ["scale", "a"],
        ["update", "a"],
        ["update", "a", "training.max_steps"],
        ["update", "a", "training.max_steps="],
    ):
        done = run(*command, "--json")
        assert done.exit_code == 2
        assert json.loads(done.stdout)["error"]["reason"] == "USAGE"
        assert "Usage:" in done.stderr


def test_json_has_the_names_of_the_proto_and_numbers_as_numbers(run, service) -> None:
    job = service.add_job()
    job.spec.dataset.uri = "datasets/x"
    job.progress.step, job.progress.steps, job.progress.restarts["worker"] = 2**40, 2**41, 3
    job = json.loads(run("get", "one", "--json").stdout)
    assert job["name"] == "jobs/one"
    assert job["state"] == "TRAINING_JOB_STATE_RUNNING"
    assert job["queue_position"] == 0
    assert job["create_time"] == "2027-01-15T08:00:00Z"
    assert job["spec"]["dataset"]["uri"] == "datasets/x"
    assert job["progress"]["step"] == 2**40
    assert job["progress"]["restarts"] == {"worker": 3}


def test_get_shows_the_state_of_a_job(run, service) -> None:
    job = service.add_job(state_reason="WORKER_LOST", state_message="worker 1 is gone", digest="abc")
    job.progress.step, job.progress.steps, job.progress.epoch, job.progress.epochs = 30, 120, 1, 4
    job.progress.samples, job.progress.samples_per_second, job.progress.loss = 3000, 100.0, 0.125
    job.progress.workers_alive, job.progress.workers_wanted = 1, 2
    job.progress.restarts["worker"] = 1
    job.progress.staleness.buckets.extend([2, 3, 8])
    job.progress.staleness.sum = 11
    job.progress.gradient_health.step = 25
    layers = job.progress.gradient_health.layers
    layers.add(layer="dense_1", gradient_norm=0.0625, update_ratio=0.00125, non_finite_values=0, dead_units_ratio=0.25)
    layers.add(layer="dense_2", gradient_norm=float("nan"), non_finite_values=3)
    job.last_epoch.metrics.add(name="loss", split="train", value=0.25)
    job.last_epoch.metrics.add(name="loss", split="test", value=0.5)
    job.last_epoch.metrics.add(name="accuracy", split="test", value=0.9625)
    shown = dict(line.strip().split("  ", 1) for line in run("get", "one").stdout.splitlines())
    shown = {name.strip(): value.strip() for name, value in shown.items()}
    assert shown == {
        "name": "jobs/one",
        "state": "RUNNING",
        "why": "WORKER_LOST: worker 1 is gone",
        "step": "30 of 120 (25 %)",
        "epoch": "1 of 4",
        "time left": "0:01:30",
        "loss": "train 0.25, test 0.5",
        "loss of step": "0.125",
        "samples/s": "100",
        "workers": "1 of 2",
        "restarts": "1 worker",
        "staleness": "mean 1.38 steps",
        "layers": "at step 25",
        "dense_1": "gradient 0.0625, update ratio 0.00125, dead units 25 %",
        "dense_2": "gradient nan, values not finite 3",
        "last epoch": "train loss 0.2500, test loss 0.5000, test accuracy 96.25 %",
        "digest": "abc",
        "created": "2027-01-15 08:00:00 UTC",
    }
    job.end_time.FromSeconds(1_800_000_060)
    ended = run("get", "one").stdout
    assert "time left" not in ended
    assert "workers" not in ended


def test_list_shows_jobs_in_columns(run, service) -> None:
    for number in range(3):
        service.add_job(f"jobs/{number}", state="QUEUED")
    lines = run("list", "--limit", "2", "--state", "queued").stdout.splitlines()
    assert re.split("  +", lines[0]) == ["NAME", "STATE", "EPOCH", "LOSS", "TEST LOSS", "CREATED", "DISPLAY NAME"]
    assert [line.split()[:2] for line in lines[1:]] == [["jobs/0", "QUEUED"], ["jobs/1", "QUEUED"]]


def test_list_shows_losses_of_the_last_epoch_and_not_of_a_step(run, service) -> None:
    job = service.add_job("jobs/1", state="RUNNING")
    job.progress.epoch, job.progress.epochs, job.progress.loss = 1, 4, 0.125
    assert "0.125" not in run("list").stdout
    job.last_epoch.metrics.add(name="price_loss", split="train", value=7.0)
    job.last_epoch.metrics.add(name="loss", split="train", value=0.25)
    job.last_epoch.metrics.add(name="loss", split="test", value=0.5)
    assert run("list").stdout.splitlines()[1].split()[:5] == ["jobs/1", "RUNNING", "1/4", "0.25", "0.5"]


EVIL = "red \x1b[31m \x1b]0;title\x07\njobs/forged"


def test_jobs_are_sorted_by_a_metric(run, client, service) -> None:
    def add(name: str, **values: float) -> None:
        metrics = [Metric(name=metric, split="test", epoch=1, value=value) for metric, value in values.items()]
        service.add_job(name, last_epoch=EpochEnded(epoch=1, metrics=metrics))

    add("jobs/1", accuracy=0.5, loss=2.0)
    add("jobs/2")
    add("jobs/3", accuracy=0.75, loss=1.0, macro_f1=0.5)
    add("jobs/4", accuracy=0.25, loss=3.0)

    def names(*arguments: str) -> list[str]:
        return [line.split()[0] for line in run("list", "--metric", *arguments).stdout.splitlines()[1:]]

    assert names("test_accuracy") == ["jobs/1", "jobs/2", "jobs/3", "jobs/4"]
    assert names("test_accuracy", "--sort") == ["jobs/3", "jobs/1", "jobs/4", "jobs/2"]
    assert names("test_loss", "--sort", "--limit", "2") == ["jobs/3", "jobs/1"]
    assert names("test_macro_f1", "--sort") == ["jobs/3", "jobs/1", "jobs/2", "jobs/4"]
    lines = run("list", "--metric", "test_accuracy", "--sort").stdout.splitlines()
    assert lines[0].split()[:4] == ["NAME", "STATE", "EPOCH", "test_accuracy"]
    assert lines[1].split()[2:4] == ["75.00", "%"]
    printed = json.loads(run("list", "--metric", "test_loss", "--sort", "--json").stdout)["training_jobs"]
    assert [job["name"] for job in printed] == ["jobs/3", "jobs/1", "jobs/4", "jobs/2"]
    assert [job.name for job in client.list(best="test_loss")[:2]] == ["jobs/3", "jobs/1"]
    with pytest.raises(
        ValueError, match="no job has a metric 'auc'; there are: test_accuracy, test_loss, test_macro_f1"
    ):
        len(client.list(best="auc"))
    done = run("list", "--metric", "auc", "--sort", "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["reason"]) == (2, "USAGE")
    assert run("list", "--metric", "auc").exit_code == 2
    assert run("list", "--sort").exit_code == 2


@pytest.mark.parametrize("command", [("list",), ("get", "1"), ("list", "--json"), ("get", "1", "--json")])
def test_names_from_outside_cannot_control_the_terminal(run, service, command: tuple[str, ...]) -> None:
    job = service.add_job("jobs/1", state="FAILED")
    job.spec.display_name = job.state_message = EVIL
    job.spec.labels[EVIL] = EVIL
    shown = run(*command).stdout
    assert all(line.isprintable() for line in shown.split("\n"))
    assert not any(line.startswith("jobs/forged") for line in shown.splitlines())
    assert "--json" not in command or json.loads(shown)


@pytest.mark.parametrize("command", [("cancel", "one"), ("delete", "one"), ("dataset", "delete", "x")])
def test_destructive_commands_fail_rather_than_hang(run, service, command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.exit_code == 2
    assert "--yes" in done.stderr
    assert service.calls == []


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 130), ("", 130)])
def test_destructive_commands_ask_for_confirmation_on_a_terminal(
    run, service, monkeypatch, answer: str, status: int
) -> None:
    monkeypatch.setattr("raydient.client.cli.options.is_terminal", lambda: True)
    service.add_job(state="SUCCEEDED")
    assert run("delete", "one", input=answer).exit_code == status
    assert ("jobs/one" in service.jobs) == bool(status)


@pytest.mark.parametrize(
    "command",
    [("pause", "one"), ("resume", "one"), ("scale", "one", "--workers", "3")],
)
def test_an_unsupported_call_has_the_message_of_the_server(run, service, command: tuple[str, ...]) -> None:
    service.add_job()
    done = run(*command)
    assert done.exit_code == 1
    assert done.stderr == "Method not implemented!\n"


def test_datasets(run, service, job_yaml: Path) -> None:
    name = run("dataset", "upload", job_yaml, "-q").stdout.strip()
    assert name in run("dataset", "list").stdout
    assert json.loads(run("dataset", "get", name, "--json").stdout)["file_name"] == "points.yaml"
    assert run("dataset", "delete", name, "--yes").exit_code == 0
    assert run("dataset", "get", name).exit_code == 4


def test_download(run, service, tmp_path: Path) -> None:
    service.add_job()
    done = run("download", "one", "-o", tmp_path / "m.safetensors", "--json")
    assert (tmp_path / "m.safetensors").read_bytes() == service.model
    assert json.loads(done.stdout)["sha256"] == service.model_sha256
    assert run("download", "one", "-o", tmp_path / "m.pickle").exit_code == 2
    assert run("download", "one", "-o", tmp_path / "no" / "m.npz").exit_code == 2


def test_an_internal_error_shows_its_traceback_only_with_debug(run, service, monkeypatch) -> None:
    monkeypatch.setattr("raydient.client.client.Client.get", lambda *_: 1 / 0)
    done = run("get", "one")
    assert done.exit_code == 1
    assert "internal error: ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in run("get", "one", "--debug").stderr


def test_an_error_of_a_library_is_internal_though_it_has_errors(run, service, monkeypatch) -> None:
    monkeypatch.setattr("raydient.client.client.Client.get", lambda *_: TypeAdapter(int).validate_python("x"))
    done = run("get", "one", "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["reason"]) == (1, "INTERNAL")


HEAVY = ["ray", "numpy", "grpc", "google.protobuf", "pydantic", "yaml", "rich"]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["version"], ["version", "--json"], ["train", "--help"], ["list", "-h"]]
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys; from raydient.client.cli import program\n"
        f"try: program({arguments!r})\n"
        "except SystemExit as end: assert not end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stderr == "[]\n"
    assert done.stdout


def test_an_unreadable_job_is_listed_with_its_problem(run, service) -> None:
    service.add_job("jobs/one")
    job = service.jobs["jobs/one"]
    job.ClearField("create_time")
    job.spec.CopyFrom(TrainingJobSpec(display_name="digits"))
    job.state_reason, job.state_message = "UNREADABLE", "cannot read it: spec: broken"
    assert "digits UNREADABLE: cannot read it: spec: broken" in run("list").stdout
    assert "UNREADABLE: cannot read it: spec: broken" in run("get", "one").stdout
    assert json.loads(run("list", "--json").stdout)["training_jobs"][0]["state_reason"] == "UNREADABLE"


def test_a_database_is_rebuilt(run, tmp_path: Path) -> None:
    from raydient.server.jobs.description import Description, write_description
    from raydient.server.jobs.records import Job
    from raydient.spec.reading import open_job_file

    example = Path(__file__).parents[2] / "examples" / "digits.yaml"
    state = tmp_path / "state"
    (state / "jobs" / "bare").mkdir(parents=True)
    job = Job("one", open_job_file(example).spec, datetime.now(UTC))
    write_description(state / "jobs" / "one", Description(job))
    done = run("rebuild", "--state", state)
    assert done.exit_code == 1, "one of two folders says nothing"
    assert done.stdout.splitlines()[1].split() == ["jobs/one", "PAUSED"]
    assert done.stderr == f"{state}/jobs/bare is left alone: it has no job.json\n"
    again = run("rebuild", "--state", state, "--json")
    assert again.exit_code == 2
    assert "is not empty" in json.loads(again.stdout)["error"]["message"]


def test_version_is_an_option_too(run) -> None:
    assert run("--version").stdout == run("version").stdout


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("sumbit", "did you mean submit?"), ("ls", "did you mean list?"), ("quux", "known commands: train, ")],
)
def test_an_unknown_command_gets_a_suggestion(run, typed: str, meant: str) -> None:
    done = run(typed, "one")
    assert done.exit_code == 2
    assert f"there is no command '{typed}'; {meant}" in done.stderr


@pytest.mark.parametrize("module", ["click", "raydient.client.cli.failures", "raydient.client.cli.version"])
def test_ctrl_c_during_imports_shows_no_traceback(module: str) -> None:
    program = (
        "import os, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from raydient.client.entry import main\n"
        "sys.argv = ['raydient', 'version']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
