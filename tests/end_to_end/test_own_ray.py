"""A service that starts a Ray whose processes are killed."""

import os
import signal

import pytest

from .serving import descendants, serving, wait_for_step

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]  # three starts of a Ray
LONG = {"epochs": 250}
"""1,500 steps: some seconds."""


def processes_of(server, name):
    """Return the ids of the processes below the server whose program has this name."""
    pids = []
    for pid in descendants(server.pid):
        with open(f"/proc/{pid}/comm") as file:
            if file.read().strip().startswith(name):
                pids.append(pid)
    return pids


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_another_ray_takes_the_place_of_one_that_died(spec, job, undisturbed, tmp_path, name):
    with serving(tmp_path / "state", "--cluster", "ray", "--slots", "2") as (server, client):
        running = client.submit(spec(2, **LONG))
        wait_for_step(running, 50)
        (pid,) = processes_of(server, name)
        os.kill(pid, signal.SIGKILL)
        assert running.wait().digest == undisturbed(job(2, **LONG))
        assert client.submit(spec(2)).wait().state == "SUCCEEDED"
