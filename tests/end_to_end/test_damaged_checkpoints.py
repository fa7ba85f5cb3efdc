"""Damaged checkpoints: the next good one is used, and the damage is reported."""

from urllib.request import urlopen

from raydient.server.training.reports import Notice, Outcome, Progress, Started

from .conftest import execute
from .serving import kill_all, notices, serving, wait_for_step

LONG = {"epochs": 120}


class Stop(Exception):
    """Ends a run from inside."""


def stop_at(step):
    def hear(report):
        if isinstance(report, Progress) and report.step >= step:
            raise Stop

    return hear


def stopped_run(job, local, directory):
    """Run a job until it is stopped; return its checkpoints, the newest last."""
    try:
        execute(job(2, checkpoint_seconds=0.0, epochs=150), local, directory, stop_at(200))
    except Stop:
        return sorted((directory / "checkpoints").glob("step-*"))
    raise AssertionError("it ended too soon")


def reasons(reports):
    return [report.reason for report in reports if isinstance(report, Notice)]


def test_a_manifest_with_another_round_is_not_used(job, local, undisturbed, tmp_path):
    before, newest = stopped_run(job, local, tmp_path)[-2:]
    manifest = newest / "manifest.json"
    text = manifest.read_text()
    number = text.partition('"round": ')[2].partition(",")[0]
    manifest.write_text(text.replace(f'"round": {number}', f'"round": {int(number) - 1}'))
    reports = []
    finished = execute(job(2, epochs=150), local, tmp_path, reports.append)
    assert reasons(reports)[:2] == ["CHECKPOINT_DAMAGED", "RESUMED"]
    assert next(r.step for r in reports if isinstance(r, Started)) == int(before.name.removeprefix("step-"))
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, undisturbed(job(2, epochs=150)))
    assert newest.with_name(f"{newest.name}.damaged-1").is_dir()


def test_without_a_good_one_training_starts_over(job, local, undisturbed, tmp_path):
    for checkpoint in stopped_run(job, local, tmp_path):
        (checkpoint / "weights.safetensors").unlink()
    (tmp_path / "checkpoints" / "step-12.bak").touch()
    reports = []
    finished = execute(job(2, epochs=150), local, tmp_path, reports.append)
    assert reasons(reports)[:3] == ["CHECKPOINT_DAMAGED", "CHECKPOINT_DAMAGED", "STARTED_OVER"]
    assert finished.digest == undisturbed(job(2, epochs=150))


def test_the_service_reports_the_damage_everywhere(spec, job, undisturbed, tmp_path):
    state = tmp_path / "state"
    with serving(state) as (server, client):
        running = client.submit(spec(2, **LONG))
        wait_for_step(running, 200)
        kill_all(server)
    checkpoints = [*(state / "jobs").glob("*/checkpoints/step-*")]
    for checkpoint in checkpoints:
        (checkpoint / "optimizer.safetensors").write_bytes(b"")
    with serving(state) as (server, client):
        again = client.get(running.name)
        assert again.wait().digest == undisturbed(job(2, **LONG))
        assert again.resource.checkpoints.damaged == len(checkpoints) >= 2
        assert {"CHECKPOINT_DAMAGED", "STARTED_OVER", "FALLEN_BACK"} <= {*notices(again)}
        with urlopen(server.metrics) as answer:
            label, total = running.name.removeprefix("jobs/"), float(len(checkpoints))
            assert f'raydient_job_damaged_checkpoints_total{{training_job="{label}"}} {total}' in answer.read().decode()
