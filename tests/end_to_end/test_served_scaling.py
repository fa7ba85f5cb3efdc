"""Scaling, pausing and resuming through the real service: processes, progress and final weights."""

import signal
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raydient.client import NotAllowed, RequestRefused

from .serving import descendants, members, notices, serving, wait_for_notices, wait_for_step, wait_until

ENDLESS = {"epochs": 100_000}


def workers(server):
    """Return the processes of workers below the server."""
    return {*members(server.pid, ["worker"])}


def test_scaling_through_the_service_leaves_the_others_alone(spec, job, undisturbed, tmp_path):
    long = {"epochs": 300}
    with serving(tmp_path / "state", "--slots", "4") as (server, client):
        running = client.submit(spec(2, 1000.0, **long))
        wait_for_step(running, 50)
        first = workers(server)
        assert running.scale(4).resource.workers.max == 4
        wait_until(running, lambda progress: progress.workers_alive == 4)
        assert workers(server) > first, "who was there is there still"
        running.scale(1)
        wait_for_notices(running, "WORKER_LEFT", 3)
        left = workers(server)
        assert len(left) == 1
        assert left < first
        with urlopen(server.metrics) as answer:
            families = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
        shown = {s.labels["state"]: s.value for s in families["raydient_job_workers"].samples}
        assert (shown["alive"], shown["wanted"], shown["minimum"]) == (1, 1, 1)
        running.scale(2)
        assert running.wait().digest == undisturbed(job(2, **long))
        reasons = notices(running)
        assert [reasons.count(r) for r in ("SCALED", "WORKER_JOINED", "WORKER_LEFT", "WORKER_LOST")] == [3, 3, 3, 0]


def test_a_range_starts_with_what_there_is_and_grows_when_room_appears(spec, tmp_path):
    with serving(tmp_path / "state", "--slots", "4") as (_, client):
        first, second = client.submit(spec(3, **ENDLESS)), client.submit(spec({"min": 1, "max": 3}, **ENDLESS))
        wait_for_step(second, 10)
        assert second.refresh().resource.progress.workers_alive == 1
        first.cancel()
        wait_until(second, lambda progress: progress.workers_alive == 3)
        with pytest.raises(RequestRefused, match="5 is more than the cluster can hold: 4 workers"):
            second.scale(5)


def test_a_paused_job_holds_nothing_and_goes_on_to_the_same_weights(spec, job, undisturbed, tmp_path):
    long, state = {"epochs": 300}, tmp_path / "state"
    with serving(state, "--slots", "2") as (server, client):
        running, queued = client.submit(spec(2, 1000.0, **long)), client.submit(spec(2, epochs=1))
        with pytest.raises(NotAllowed, match="is QUEUED: only a RUNNING job can be paused"):
            queued.pause()
        wait_for_step(running, 100)
        processes = members(server.pid)
        assert len(processes) == 4, "coordinator, parameter server, two workers"
        paused = running.pause()
        assert paused.pause().resource.state_reason in ("PAUSING", "PAUSED_BY_USER"), "harmless when repeated"
        assert queued.wait().state == "SUCCEEDED", "its slots are free"
        assert running.refresh().state == "PAUSED"
        assert not {*processes} & {*descendants(server.pid)}, "every process of it is gone"
        server.send_signal(signal.SIGKILL)
        server.wait()
    with serving(state, "--slots", "2") as (_, client):
        again = client.get(running.name)
        assert again.state == "PAUSED", "what was accepted is not forgotten"
        again.scale(1)
        assert again.resume().resource.state_reason == "RESUMED_BY_USER"
        assert again.wait().digest == undisturbed(job(2, **long))
        assert "RESUMED" in notices(again)
        assert again.history().curve("loss", "test")[0] == list(range(1, 301))


def test_a_pause_that_was_accepted_survives_a_kill_of_the_server(spec, tmp_path):
    state = tmp_path / "state"
    with serving(state) as (server, client):
        running = client.submit(spec(2, **ENDLESS))
        wait_for_step(running, 50)
        running.pause()
        server.kill()
        server.wait()
    with serving(state) as (_, client):
        assert client.get(running.name).state == "PAUSED"
