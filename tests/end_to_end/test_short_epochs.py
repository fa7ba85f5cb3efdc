"""A job whose epochs have one step each: reports keep up, and orders overtake waiting epochs."""

import signal

import pytest

from raydient.client import JobNotSucceeded
from raydient.server.training.history import HISTORY_FILE
from raydient.server.training.outbox import BATCH
from raydient.server.training.reports import EpochEnded, Notice
from raydient.v1 import training_job_pb2 as v1

from .conftest import execute
from .serving import messages, serving, wait_until

MANY = {"epochs": 1_000_000, "batch_size": 560, "microbatches": 1}
"""More epochs than any of these tests waits for."""


def epochs_of(job):
    """Return the numbers of the epochs that the service has stored."""
    return job.history().curve("loss", "train")[0]


def between(events, first, last):
    """Return the events between two changes of state."""
    states = [(n, e.state_changed.state) for n, e in enumerate(events) if e.WhichOneof("event") == "state_changed"]
    (begin,) = (n for n, state in states if state == first)
    (end,) = (n for n, state in states if state == last)
    return events[begin:end]


def test_orders_are_obeyed_before_many_more_epochs_are_stored(spec, tmp_path):
    state = tmp_path / "state"
    with serving(state) as (server, client):
        job = client.submit(spec(1, checkpoint_seconds=1000.0, **MANY))
        wait_until(job, lambda progress: progress.epoch >= 500)
        job.pause()
        while job.refresh().state != "PAUSED":
            assert job.state == "RUNNING"
        paused = job.refresh().resource.progress.epoch
        assert epochs_of(job) == list(range(1, paused + 1)), "the history of a paused job is complete"

        job.resume()
        wait_until(job, lambda progress: progress.epoch >= paused + 500)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
        log = server.stderr.read()
        assert "Traceback" not in log
        assert "lost" not in log
    with serving(state) as (server, client):
        job = client.get(job.name)
        interrupted = len(epochs_of(job))
        assert interrupted >= paused + 500
        wait_until(job, lambda progress: progress.epoch >= interrupted + 500)
        job.cancel()
        with pytest.raises(JobNotSucceeded):
            job.wait()
        events = list(messages(job))
        epochs = [e.epoch_ended.epoch for e in events if e.WhichOneof("event") == "epoch_ended"]
        assert epochs == list(range(1, len(epochs) + 1)), "each once, in order"
        since = between(events, v1.TRAINING_JOB_STATE_CANCELLING, v1.TRAINING_JOB_STATE_CANCELLED)
        late = sum(event.WhichOneof("event") == "epoch_ended" for event in since)
        assert late <= 4 * BATCH, "what waits is a batch or two"
        assert epochs_of(job)[: len(epochs)] == epochs


def test_a_damaged_record_is_reported_and_training_goes_on(job, local, tmp_path):
    prepared = job(1)
    digest = execute(prepared, local, tmp_path / "whole").digest
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / HISTORY_FILE).write_bytes(b"1 00000000 {}\n")
    reports = []
    assert execute(prepared, local, tmp_path / "damaged", reports.append).digest == digest
    assert next(r.reason for r in reports if isinstance(r, Notice)) == "HISTORY_DAMAGED"
    assert [r.epoch for r in reports if isinstance(r, EpochEnded)] == [1, 2, 3]
