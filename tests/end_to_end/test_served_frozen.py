"""Stopped coordinators (SIGSTOP) under a real service."""

import os
import signal

import pytest

from raydient.client import JobNotSucceeded
from raydient.server.training.holding import identity, read_holder

from .serving import messages, notices, serving, wait_for_step

LONG = {"epochs": 250}
"""1,500 steps: some seconds."""


def freeze(state, job):
    """Stop the coordinator of a job; returns its process id and identity."""
    holder = read_holder(state / "jobs" / job.name.removeprefix("jobs/"))
    assert identity(holder.pid) == holder.identity
    os.kill(holder.pid, signal.SIGSTOP)
    return holder


def gone(holder):
    return identity(holder.pid) != holder.identity


def test_a_frozen_coordinator_is_ended_and_the_job_goes_on(spec, job, undisturbed, tmp_path):
    with serving(tmp_path / "state") as (_, client):
        running = client.submit(spec(2, **LONG))
        wait_for_step(running, 100)
        frozen = freeze(tmp_path / "state", running)
        assert running.wait().digest == undisturbed(job(2, **LONG))
        assert gone(frozen)
        assert "RESUMED" in notices(running)


def test_a_job_with_a_frozen_coordinator_is_cancelled(spec, tmp_path):
    with serving(tmp_path / "state") as (_, client):
        running = client.submit(spec(2, epochs=100_000))
        wait_for_step(running, 10)
        frozen = freeze(tmp_path / "state", running)
        running.cancel()
        with pytest.raises(JobNotSucceeded) as ended:
            running.wait()
        assert ended.value.state == "CANCELLED"
        assert gone(frozen)


def test_a_job_with_a_frozen_coordinator_is_paused(spec, job, undisturbed, tmp_path):
    with serving(tmp_path / "state") as (_, client):
        running = client.submit(spec(2, **LONG))
        wait_for_step(running, 100)
        frozen = freeze(tmp_path / "state", running)
        running.pause()
        wait_for_state(running, "PAUSED")
        assert gone(frozen)
        running.resume()
        assert running.wait().digest == undisturbed(job(2, **LONG))


def test_a_job_with_a_frozen_coordinator_is_scaled(spec, job, undisturbed, tmp_path):
    with serving(tmp_path / "state") as (_, client):
        running = client.submit(spec(2, **LONG))
        wait_for_step(running, 100)
        frozen = freeze(tmp_path / "state", running)
        running.scale(1)
        assert running.wait().digest == undisturbed(job(2, **LONG))
        assert gone(frozen)
        assert running.refresh().resource.progress.workers_wanted == 1


@pytest.mark.parametrize("service", ["killed", "stopped"])
def test_the_next_service_ends_a_frozen_coordinator_and_goes_on(spec, job, undisturbed, tmp_path, service):
    with serving(tmp_path / "state") as (server, client):
        running = client.submit(spec(2, **LONG))
        wait_for_step(running, 100)
        frozen = freeze(tmp_path / "state", running)
        server.send_signal(signal.SIGKILL if service == "killed" else signal.SIGTERM)
        server.wait(timeout=30)
    with serving(tmp_path / "state") as (_, client):
        assert client.get(running.name).wait().digest == undisturbed(job(2, **LONG))
    assert gone(frozen)


def wait_for_state(job, state):
    for event in messages(job):
        if event.WhichOneof("event") == "state_changed" and job.refresh().state == state:
            return
    pytest.fail(f"the job ended without being {state}")
