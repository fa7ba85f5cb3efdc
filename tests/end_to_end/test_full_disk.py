"""A disk that is full for a while: training goes on, and checkpoints are tried again."""

import os
import resource

import pytest

from raydient.server.training import checkpoints, coordinator
from raydient.server.training.reports import CheckpointTaken, Notice, Outcome, Progress
from raydient.wire import control

from .conftest import execute
from .serving import members, messages, serving


class Disk:
    """Replaces the function that writes the files of checkpoints; writes fail while `full` is true of it."""

    def __init__(self, monkeypatch, full):
        self.failures, self._write, self._full = 0, checkpoints.write_new, full
        monkeypatch.setattr(checkpoints, "write_new", self)

    def __call__(self, path, content, disk):
        if self._full(self):
            self.failures += 1
            raise OSError(28, "No space left on device")
        self._write(path, content, disk)


def problems(reports):
    return [r.message for r in reports if isinstance(r, Notice) and r.reason == "CHECKPOINT_FAILED"]


def test_training_goes_on_and_the_checkpoint_is_tried_again(job, local, undisturbed, tmp_path, monkeypatch):
    # Five attempts take a fraction of what the epochs do, so that a checkpoint is taken before training ends.
    monkeypatch.setattr("raydient.server.training.saving.RETRY_SECONDS", 0.01)
    disk = Disk(monkeypatch, lambda disk: disk.failures < 5)
    reports = []
    finished = execute(job(2, checkpoint_seconds=0.05, epochs=300), local, tmp_path, reports.append)
    assert len(problems(reports)) == disk.failures == 5
    assert "No space left on device; training goes on" in problems(reports)[0]
    first = next(i for i, r in enumerate(reports) if isinstance(r, CheckpointTaken))
    assert any(isinstance(r, Progress) for r in reports[:first]), "training went on meanwhile"
    assert reports[first].step < finished.step, "a checkpoint was taken before the end"
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, undisturbed(job(2, epochs=300)))


def test_the_final_checkpoint_waits_for_room(job, local, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr("raydient.server.training.saving.HELD_RETRY_SECONDS", (0.05, 0.1))
    Disk(monkeypatch, lambda disk: disk.failures < 5)
    reports = []
    finished = execute(job(2), local, tmp_path, reports.append)
    assert len(problems(reports)) == 5
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, undisturbed(job(2)))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [f"step-{finished.step:09d}"]


@pytest.mark.parametrize("saved_before", [False, True])
def test_a_job_that_gave_up_goes_on_from_its_checkpoint(job, local, undisturbed, tmp_path, monkeypatch, saved_before):
    prepared = job(2, checkpoint_seconds=0.0 if saved_before else 1000.0, epochs=150)
    monkeypatch.setattr(coordinator, "COMPLETE_SECONDS", 0.5)
    saved = tmp_path / "checkpoints" / f"step-{prepared.schedule.steps:09d}"
    with monkeypatch.context() as patched:
        Disk(patched, lambda disk: (saved.parent / f".partial-{saved.name}").exists())
        finished = execute(prepared, local, tmp_path)
    assert (finished.outcome, finished.reason, finished.digest) == (Outcome.FAILED, "STORAGE", "")
    assert not (tmp_path / "model.safetensors").exists()
    reports = []
    again = execute(prepared, local, tmp_path, reports.append)
    assert [r.reason for r in reports if isinstance(r, Notice)][:1] == (["RESUMED"] if saved_before else [])
    assert (again.outcome, again.digest) == (Outcome.SUCCEEDED, undisturbed(job(2, epochs=150)))


def test_a_pause_without_room_ends_at_the_checkpoint_before(job, local, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(coordinator, "PAUSED_SECONDS", 0.5)
    reports, orders, full = [], [], []

    def hear(report):
        reports.append(report)
        if isinstance(report, Progress) and report.step >= 200 and not full:
            full.append(True)
            orders.append(control.Command(control.Order.PAUSE))

    prepared = job(2, checkpoint_seconds=0.0, epochs=150)
    with monkeypatch.context() as patched:
        Disk(patched, lambda disk: bool(full))
        finished = execute(prepared, local, tmp_path, hear, orders=orders)
    taken = [r.step for r in reports if isinstance(r, CheckpointTaken)]
    assert (finished.outcome, finished.step) == (Outcome.PAUSED, taken[-1])
    assert f"it goes on from the checkpoint of step {taken[-1]}" in finished.message
    assert execute(prepared, local, tmp_path).digest == undisturbed(job(2, epochs=150))


def limit_files(pid, size_bytes):
    """Limit the size of every file that a process writes from now on: a full disk for one process."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size_bytes is None else size_bytes, hard))


def coordinator_of(server):
    """Return the process id of the only coordinator."""
    [pid] = members(server.pid, ["coordinator"])
    return pid


def until(events, holds):
    """Return the next of these events for which a condition holds."""
    return next(event for event in events if holds(event))


def test_a_service_reports_a_full_disk_and_the_job_survives(spec, tmp_path):
    with serving(tmp_path / "state") as (server, client):
        job = client.submit(spec(2, checkpoint_seconds=0.0, epochs=100_000))
        events = messages(job)
        until(events, lambda event: event.progress.step >= 100)
        pid = coordinator_of(server)
        limit_files(pid, 0)
        until(events, lambda event: event.notice.reason == "CHECKPOINT_FAILED")
        summary = job.refresh().resource.checkpoints
        assert (job.state, summary.failed >= 1) == ("RUNNING", True)
        assert "could not be written: File too large; training goes on" in summary.problem
        limit_files(pid, None)
        taken = until(events, lambda event: event.WhichOneof("event") == "checkpoint_taken").checkpoint_taken
        summary = job.refresh().resource.checkpoints
        assert (job.state, summary.problem) == ("RUNNING", "")
        assert summary.step >= taken.step > 0

        limit_files(pid, 0)
        job.pause()
        until(events, lambda event: event.state_changed.reason == "PAUSED_BY_USER")
        assert "could not be written: File too large" in job.refresh().resource.state_message
        job.resume()
        resumed = until(events, lambda event: event.notice.reason == "RESUMED")
        assert "goes on from the checkpoint of step" in resumed.notice.message
        job.cancel()


def test_leftovers_of_killed_writers_are_removed_by_the_next_run(job, local, tmp_path):
    partial = tmp_path / "checkpoints" / ".partial-step-000000003"
    partial.mkdir(parents=True)
    (partial / "weights.safetensors").write_bytes(b"half")
    (tmp_path / ".raydient-0123456789abcdef.part").write_bytes(b"half a model")
    finished = execute(job(2), local, tmp_path)
    assert finished.outcome is Outcome.SUCCEEDED
    assert sorted(os.listdir(tmp_path)) == ["checkpoints", "history.log", "logs", "model.safetensors"]
    assert os.listdir(tmp_path / "checkpoints") == [f"step-{finished.step:09d}"]
