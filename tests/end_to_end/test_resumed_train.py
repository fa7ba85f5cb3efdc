"""`raydient train` that is killed, interrupted or hung up goes on to the same weights with `--resume`."""

import json
import os
import signal
import subprocess
import sys

import pytest

from .serving import descendants, ending


@pytest.fixture
def directory(tmp_path, spec):
    """A folder with a job file; the environment keeps runs beside it."""
    (tmp_path / "job.yaml").write_text(json.dumps(spec(2, checkpoint_seconds=0.0, epochs=150)))
    return tmp_path


def command(directory, *arguments, **options):
    environment = {**os.environ, "XDG_STATE_HOME": str(directory / "state"), "NO_COLOR": "1"}
    line = [sys.executable, "-m", "raydient.client.cli", "train", *arguments]
    return subprocess.Popen(line, cwd=directory, env=environment, text=True, stderr=subprocess.PIPE,
                            stdout=subprocess.PIPE, **options)  # fmt: skip


def finish(process):
    """Wait for a process; returns its standard output, standard error and status."""
    output, errors = process.communicate(timeout=120)
    return output, errors, process.returncode


def interrupted_at_epoch(process, epoch, signal_):
    """Send a signal when an epoch is complete; returns the output from then on and the status."""
    for line in process.stderr:
        if line.startswith("epoch") and int(line.split()[1].partition("/")[0]) >= epoch:
            process.send_signal(signal_)
            break
    return finish(process)


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_it_goes_on_to_the_same_weights(directory, job, undisturbed, signal_):
    process = command(directory, "job.yaml")
    members = []
    for line in process.stderr:
        if line.startswith("epoch"):
            members = descendants(process.pid)
            break
    assert len(members) >= 3
    with ending(members):
        _, errors, status = interrupted_at_epoch(process, 20, signal_)
    [run] = json.loads(finish(command(directory, "--list", "--json"))[0])["runs"]
    assert (run["state"], run["step"] > 0) == ("interrupted", True)
    if signal_ is signal.SIGKILL:
        assert status == -signal.SIGKILL
    else:
        assert status == 130
        assert f"Go on: raydient train --resume {run['name']}" in errors
    output, errors, status = finish(command(directory, "--resume", run["name"], "--json"))
    assert (status, json.loads(output)["digest"]) == (0, undisturbed(job(2, epochs=150)))
    assert f"goes on from the checkpoint of step {run['step']}" in errors
    assert json.loads(finish(command(directory, "--list", "--json"))[0]) == {"runs": []}


@pytest.mark.ray
def test_sigterm_asks_for_a_checkpoint_on_ray_too(directory, spec):
    # Training must not end before the signal arrives.
    (directory / "job.yaml").write_text(json.dumps(spec(2, checkpoint_seconds=1000.0, epochs=100_000)))
    _, errors, status = interrupted_at_epoch(command(directory, "job.yaml", "--cluster", "ray"), 20, signal.SIGTERM)
    assert status == 130
    [run] = json.loads(finish(command(directory, "--list", "--json"))[0])["runs"]
    assert (run["state"], run["step"] > 0) == ("interrupted", True)
    assert f"Go on: raydient train --resume {run['name']}" in errors


def test_it_trains_with_standard_error_closed(directory, job, undisturbed):
    line = [sys.executable, "-m", "raydient.client.cli", "train", "job.yaml", "--json"]
    environment = {**os.environ, "XDG_STATE_HOME": str(directory / "state")}
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", *line]
    done = subprocess.run(
        closed, cwd=directory, env=environment, stdout=subprocess.PIPE, text=True, check=False, timeout=120
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["digest"] == undisturbed(job(2, epochs=150))


@pytest.mark.parametrize("suffix", ["safetensors", "onnx", "npz"])
def test_models_obey_the_umask(directory, suffix):
    done = command(directory, "job.yaml", "-o", f"m.{suffix}", umask=0o077)
    assert finish(done)[2] == 0
    assert (directory / f"m.{suffix}").stat().st_mode & 0o777 == 0o600


def test_a_reader_of_its_progress_that_goes_away_does_not_end_it(directory):
    process = command(directory, "job.yaml", "--json")
    process.stderr.readline()
    process.stderr.close()
    output = process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert json.loads(output)["outcome"] == "succeeded"
