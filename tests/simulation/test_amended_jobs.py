"""A job that is amended while it trains has the bits of one that goes on from that step with the new values."""

import json
from contextlib import closing
from dataclasses import asdict

import pytest

from raydient.server.training.checkpoint_files import good_manifests
from raydient.server.training.initial_weights import MODEL_FILE
from raydient.server.training.reports import Amended, Notice
from raydient.steps.amendments import Amendment
from raydient.wire.frames import Kind

from .invariants import JOB, message_of
from .job import DIRECTORY, Job
from .twin import Twin, small_pieces, tiny_twin

SETTINGS = {
    "training.optimizer.adam.learning_rate": 0.5,
    "training.clipping.global_norm.limit": 0.01,
    "training.epochs": 4,
}


def run(servers, settings, at_event, fault=lambda job: None, **model):
    """Run a job with two workers that is amended at an event; the fault follows at once."""
    job, waiting = Job(1, tiny_twin("adam", servers, **model).amendable(), workers=2), [settings]

    def look():
        if waiting and job.world.events >= at_event:
            job.amend(waiting.pop())
            fault(job)

    job.world.after.append(look)
    with closing(job):
        job.run(limit=20_000)
    return job


def in_force(job):
    return [report.amendment for report in job.reports if isinstance(report, Amended)]


@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("settings", [SETTINGS, {"training.max_steps": 8}, {"training.epochs": 5}], ids=str)
@small_pieces()
def test_the_rest_has_the_bits_of_a_naive_loop_that_changes_there(servers, settings):
    job = run(servers, settings, 120)
    (amendment,) = in_force(job)
    assert 0 < amendment.step < job.twin.prepared.schedule.steps
    twin = Twin(job.twin.prepared)
    twin.amend(Amendment(1, settings, amendment.round, amendment.step))
    plain = tiny_twin("adam", servers)
    assert job.finished.digest == twin.digest != plain.digest
    assert job.finished.step == twin.schedule.steps
    assert twin.weights[amendment.step] == plain.weights[amendment.step]


@small_pieces()
def test_an_amendment_that_comes_before_the_first_step_holds_from_there_on():
    job = run(1, SETTINGS, 1)
    assert [(amendment.round, amendment.step) for amendment in in_force(job)] == [(0, 0)]


@small_pieces()
def test_checkpoints_and_the_model_have_the_amendments():
    job = run(1, SETTINGS, 120)
    (amendment,) = in_force(job)
    _, manifest, _ = next(good_manifests(DIRECTORY / "checkpoints", JOB, job.disk))
    assert list(manifest.amendments) == [amendment]
    with job.disk.open_plain(DIRECTORY / MODEL_FILE) as model:
        data = model.read()
    size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + size])["__metadata__"]
    assert json.loads(metadata["amendments"]) == [asdict(amendment)]


@pytest.mark.parametrize("victim", ["coordinator", "server 0"])
@small_pieces()
def test_an_amendment_survives_a_process_that_ends_before_it_takes_effect(victim):
    def end(job):
        (process,) = [process for process in job.world.living() if process.name == victim]
        job.invariants.undisturbed = False
        process.end()

    job = run(1, SETTINGS, 200, end)
    (amendment,) = in_force(job)
    assert amendment.settings == SETTINGS


@small_pieces()
def test_a_server_whose_coordinator_has_ended_decides_for_itself_alone():
    decisions = []

    def strand(job):
        """Suspend the server when the amendment arrives, and wake it when another server of the job has decided it."""
        (server,) = [process for process in job.world.living() if process.name == "server 0"]
        job.invariants.undisturbed, decides = False, job.invariants.decides
        job.invariants.decides = lambda name: decisions.append((name, decides(name))) or decisions[-1][1]

        def look(end, frame):
            if frame.header.kind is Kind.CONTROL and message_of(frame)["type"] == "Amend" and end.peer.owner is server:
                server.freeze()
                job.world.partition("coordinator", server.name, 100.0)
                job.disk.user.end()

        job.world.observers.append(look)
        job.world.after.append(lambda: server.thaw() if in_force(job) and server.frozen else None)

    job = run(1, SETTINGS, 200, strand)
    assert decisions == [("server 1", True), ("server 0", False)]
    (amendment,) = in_force(job)
    assert amendment.step < job.finished.step


@small_pieces()
def test_an_end_that_has_passed_becomes_the_end_of_the_epoch_or_of_the_step():
    job = run(1, {"training.epochs": 1}, 150)
    (amendment,) = in_force(job)
    assert amendment.settings == {"training.epochs": 2}
    assert amendment.step > job.twin.prepared.schedule.steps_per_epoch


@small_pieces()
def test_a_job_that_watches_no_metric_may_get_a_safeguard():
    settings = {
        "training.consistency": {"asynchronous": {"safeguard": {"loss_factor": 1.001}}},
        "training.optimizer.adam.learning_rate": 50.0,
        "training.epochs": 6,
    }
    job = run(1, settings, 120, consistency="asynchronous")
    assert [amendment.settings for amendment in in_force(job)] == [settings]
    assert "SAFEGUARD_ACTED" in {report.reason for report in job.reports if isinstance(report, Notice)}
