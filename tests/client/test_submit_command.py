"""`raydient submit` and `raydient watch`."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest


def test_submit_prints_the_name_and_the_next_commands(run, service, job_yaml: Path) -> None:
    done = run("submit", job_yaml)
    assert (done.exit_code, done.stdout) == (0, "jobs/0\n")
    assert "raydient watch jobs/0 --address 127.0.0.1:" in done.stderr
    quiet = run("submit", job_yaml, "-q")
    assert (quiet.stdout, quiet.stderr) == ("jobs/1\n", "")
    assert json.loads(run("submit", job_yaml, "--json").stdout)["name"] == "jobs/2"
    checked = run("submit", job_yaml, "--validate-only")
    assert (checked.exit_code, checked.stdout, len(service.jobs)) == (0, "", 3)
    assert len(service.uploads) == 1


def test_submit_warns_about_an_activation_that_the_loss_applies(run, service, job_yaml: Path) -> None:
    text = job_yaml.read_text().replace("units: 1", "units: 2, activation: softmax")
    job_yaml.write_text(re.sub("loss: .*", "loss: softmax_cross_entropy", text))
    done = run("submit", job_yaml, "-q")
    assert (done.exit_code, done.stdout) == (0, "jobs/0\n")
    assert done.stderr.startswith("warning: network.layers[0].dense.activation: softmax before softmax_cross_entropy: ")


def test_submit_reports_every_error_with_file_and_line(run, service, job_yaml: Path) -> None:
    job_yaml.write_text(job_yaml.read_text().replace("units: 1", "units: 0").replace("display_name", "displayname"))
    done = run("submit", job_yaml)
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        f"{job_yaml}:1: displayname: unknown key; did you mean display_name?",
        f"{job_yaml}:6: network.layers[0].dense.units: 0 is too small: it must be at least 1",
    ]
    violations = json.loads(run("submit", job_yaml, "--json").stdout)["error"]["violations"]
    assert [(v["path"], v["line"]) for v in violations] == [("displayname", 1), ("network.layers[0].dense.units", 6)]
    assert service.calls == []


def test_errors_of_the_server_are_reported_with_file_and_line(run, service, job_yaml: Path) -> None:
    service.fail("CreateTrainingJob", grpc.StatusCode.INVALID_ARGUMENT, spec__dataset__uri="has no column y")
    done = run("submit", job_yaml)
    assert (done.exit_code, done.stderr) == (2, f"{job_yaml}:3: dataset.uri: has no column y\n")


def test_a_missing_file_is_status_2(run, tmp_path: Path) -> None:
    done = run("submit", tmp_path / "no.yaml")
    assert (done.exit_code, done.stderr) == (2, f"{tmp_path / 'no.yaml'}: cannot be read: No such file or directory\n")


@pytest.mark.parametrize(("end", "status"), [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELLED", 1)])
def test_the_exit_status_of_watch_follows_the_end_of_the_job(run, service, end: str, status: int) -> None:
    service.add_job()
    service.add_events(end=end, message="at last")
    done = run("watch", "one")
    assert (done.exit_code, done.stdout) == (status, "")
    assert done.stderr.splitlines() == [
        "RUNNING",
        "epoch 1/2  test accuracy 50.00 %  0.00 s",
        "epoch 2/2  test accuracy 100.00 %  0.00 s",
        f"{end}: at last",
    ]
    assert "\r" not in done.stderr


def test_watch_prints_one_object_per_line(run, service) -> None:
    service.add_job()
    service.add_events()
    done = run("watch", "one", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["sequence"] for event in events] == [1, 1, 2, 2, 3, 4]
    assert events[-1]["state_changed"]["state"] == "TRAINING_JOB_STATE_SUCCEEDED"
    assert done.stderr == ""


def test_submit_and_watch(run, service, job_yaml: Path) -> None:
    service.add_job("jobs/0")
    service.add_job("jobs/1")
    service.add_events("jobs/1", end="FAILED")
    service.jobs.pop("jobs/0")
    done = run("submit", job_yaml, "--watch")
    assert (done.exit_code, done.stdout) == (1, "jobs/1\n")
    assert done.stderr.splitlines()[-1] == "FAILED"


def test_ctrl_c_detaches_and_leaves_the_job_running(service, address: str) -> None:
    service.add_job()
    service.add_events(end="")
    service.held.set()
    command = [sys.executable, "-m", "raydient.client.cli", "watch", "one", "--address", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 2/2"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines() == [
        "",
        "detached; jobs/one goes on",
        f"  attach: raydient watch jobs/one --address {address}",
        f"  cancel: raydient cancel jobs/one --address {address}",
    ]
    assert "CancelTrainingJob" not in service.calls
