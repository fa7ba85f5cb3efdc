"""The contract of the job store, on every kind of database."""

import json
import threading
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from raydient.server.errors import AlreadyExists, Conflict, NotAllowed, NotFound, Unavailable
from raydient.server.jobs import lifecycle
from raydient.server.jobs.records import JobEvent, JobFilter, MetricPoint, StateChanged
from raydient.server.jobs.removals import Removals
from raydient.server.jobs.schema import metadata
from raydient.server.jobs.states import State
from raydient.server.jobs.store import JobStore
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Finished, Notice, Outcome, Progress, Started
from raydient.steps.measurements import GradientHealth, LayerHealth, Measurements

PROGRESS = Progress(
    *(3, 100, 1, 10, 384, 99.5, 2, 2),
    Measurements(
        *(float("inf"), 0.1, {"forward": 0.5}, (1, 2, 3), 0.25, {"push": 7}),
        GradientHealth(3, (LayerHealth("dense_1", float("inf"), 0.001, 2, 0.25), LayerHealth("relu"))),
    ),
    {"worker": 1},
)
EPOCH = EpochEnded(1, 10, 0.5, {"train": {"loss": 0.25}, "test": {"loss": 0.5, "accuracy": 0.75}})


@pytest.fixture
def play(store, now):
    """Applies reports to a stored job, from its start on."""

    def play(job, *reports):
        job = store.update(job.id, lambda job: lifecycle.start(job, now))
        for number, report in enumerate((Started(0, 2), *reports), 1):
            job = store.update(job.id, lambda job, n=number, r=report: lifecycle.report(job, job.run, n, r, now))
        return job

    return play


def test_a_stored_job_is_read_unchanged(store, make_job, play):
    job = play(store.add(make_job(request="r", labels={"team": "a"})), PROGRESS, EPOCH)
    job = store.update(job.id, lambda job: lifecycle.attach(job, 1, "secret"))
    assert store.get(job.id) == job
    assert (job.number, job.attachment, job.progress, job.last_epoch) == (1, "secret", PROGRESS, EPOCH)


STORED_PROGRESS = (
    '{"step":3,"steps":100,"epoch":1,"epochs":10,"samples":384,"samples_per_second":99.5,"learning_rate":0.1,'
    '"loss":Infinity,"workers_alive":2,"workers_wanted":2,"restarts":{"worker":1},"phase_seconds":{"forward":0.5},'
    '"step_seconds_buckets":[1,2,3],"step_seconds_sum":0.25,"exchange_bytes":{"push":7},"workers_minimum":1,'
    '"gradient_health":{"step":3,"layers":[{"layer":"dense_1","gradient_norm":Infinity,"update_ratio":0.001,'
    '"non_finite_values":2,"dead_units_ratio":0.25},{"layer":"relu","gradient_norm":null,"update_ratio":null,'
    '"non_finite_values":null,"dead_units_ratio":null}]}}'
)
"""PROGRESS in the column of a job, as the first version has written it."""


def test_the_form_of_a_stored_progress_only_grows(store, database, make_job, play):
    job = store.add(make_job())
    table = metadata.tables["jobs"]
    database.write(lambda connection: connection.execute(update(table).values(progress=STORED_PROGRESS)))
    assert JobStore(database).get(job.id).progress == PROGRESS
    play(job, PROGRESS)
    (stored,) = database.read(lambda connection: connection.execute(select(table.c.progress)).scalars().all())
    counts = dict.fromkeys(("clipped_steps", "skipped_steps", "rollbacks", "saved_bytes"), 0)
    later = {"refused": {}, "clip_factor": None, "staleness": None, **counts}
    assert json.loads(stored) == json.loads(STORED_PROGRESS) | later


def test_events_are_stored_in_order_without_gaps_and_without_progress(store, make_job, play, now):
    news = [PROGRESS, EPOCH, CheckpointTaken(10, 0.5, 99), Notice("R", "m"), PROGRESS, Finished(Outcome.SUCCEEDED, 10)]
    job = play(store.add(make_job()), *news)
    events = store.events(job.id, 0, 100)
    assert [event.sequence for event in events] == list(range(1, job.sequence + 1))
    assert [type(event.payload) for event in events] == [
        *[StateChanged] * 3,
        EpochEnded,
        CheckpointTaken,
        Notice,
        StateChanged,
    ]
    assert events[3] == JobEvent(job.id, 4, now, EPOCH)
    assert events[-1].final
    assert store.events(job.id, 2, 3) == events[2:5]


def test_every_change_is_published_once_in_order(store, changes, make_job, play):
    job = play(store.add(make_job()), PROGRESS, EPOCH)
    store.update(job.id, lambda job: None)
    assert [change.after.revision for change in changes] == [1, 2, 3, 4, 5]
    assert [change.before for change in changes[1:]] == [change.after for change in changes[:-1]]
    assert [event.sequence for change in changes for event in change.events] == [1, 2, 3, 3, 4]


def test_a_repeated_epoch_changes_nothing(store, make_job, play):
    job = play(store.add(make_job()), EPOCH, replace(EPOCH, step=11), replace(EPOCH, epoch=2))
    points = store.points(job.id, 100)
    assert points[:3] == [
        MetricPoint(1, "test", "accuracy", 10, 0.75),
        MetricPoint(1, "test", "loss", 10, 0.5),
        MetricPoint(1, "train", "loss", 10, 0.25),
    ]
    assert len(points) == 6
    assert store.points(job.id, 2, (1, "test", "loss")) == points[2:4]


def test_extreme_and_infinite_values_are_stored_exactly(store, make_job, play):
    values = {"a": float("inf"), "b": float("-inf"), "c": 5e-324, "d": 1.7976931348623157e308}
    epoch = EpochEnded(2**31 - 1, 2**62, 0.5, {"train": values})
    job = play(store.add(make_job()), epoch)
    assert store.get(job.id).last_epoch == epoch
    assert {point.name: point.value for point in store.points(job.id, 9)} == values


def test_a_failed_update_changes_nothing(store, changes, make_job, now):
    job = store.add(make_job())
    with pytest.raises(NotAllowed):
        store.update(job.id, lambda job: lifecycle.move(job, State.SUCCEEDED, now))
    with pytest.raises(ZeroDivisionError):
        store.update(job.id, lambda job: 1 / 0)
    assert store.get(job.id) == job
    assert len(changes) == 1


def test_a_change_from_an_outdated_record_is_refused(store, make_job, now):
    old = store.add(make_job())
    new = store.update(old.id, lambda job: lifecycle.start(job, now))
    with pytest.raises(Conflict):
        store.update(old.id, lambda job: lifecycle.cancel(old, now))
    assert store.get(old.id) == new
    assert len(store.events(old.id, 0, 9)) == 2


def test_only_one_of_many_concurrent_moves_succeeds(store, make_job, now):
    job = store.add(make_job())
    won = []

    def take():
        try:
            store.update(job.id, lambda job: lifecycle.start(job, now))
        except NotAllowed:
            return
        won.append(1)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [1]
    assert store.get(job.id).run == 1


def test_the_same_request_makes_one_job_and_another_body_is_refused(store, changes, make_job):
    first = store.add(make_job(request="r"))
    assert store.add(make_job(request="r")) == first
    assert store.by_request(make_job(request="r")) == first
    for call in (store.add, store.by_request):
        with pytest.raises(AlreadyExists, match=f"jobs/{first.id}") as caught:
            call(make_job(request="r", fingerprint="g"))
        assert caught.value.reason == "REQUEST_ID_REUSED"
    assert store.by_request(make_job(request="other")) is None
    assert store.by_request(make_job()) is None
    assert store.ids() == {first.id}
    assert len(changes) == 1


def test_lists_newest_first_by_pages_states_and_labels(store, make_job, now):
    jobs = [store.add(make_job(labels={"team": "ab"[n % 2], "n": str(n)})) for n in range(6)]
    jobs[4] = store.update(jobs[4].id, lambda job: lifecycle.cancel(job, now))
    assert store.page(10) == jobs[::-1]
    assert store.page(2, before=jobs[3].number) == [jobs[2], jobs[1]]
    assert store.page(10, where=JobFilter(labels={"team": "a"})) == [jobs[4], jobs[2], jobs[0]]
    assert store.page(10, where=JobFilter(labels={"team": "a", "n": "1"})) == []
    cancelled = frozenset({State.CANCELLED, State.FAILED})
    assert store.page(10, where=JobFilter(cancelled, {"team": "a"})) == [jobs[4]]
    assert store.unfinished() == [job for job in jobs if job is not jobs[4]]
    assert store.counts() == {**dict.fromkeys(State, 0), State.QUEUED: 5, State.CANCELLED: 1}


def test_only_an_ended_job_is_deleted_with_all_its_rows(store, changes, database, make_job, play):
    job = store.add(make_job(labels={"a": "b"}))
    with pytest.raises(NotAllowed) as caught:
        store.delete(job.id)
    assert caught.value.reason == "JOB_NOT_ENDED"
    ended = play(job, EPOCH, Finished(Outcome.FAILED, 3, reason="R", message="m"))
    store.delete(job.id)
    assert (changes[-1].before, changes[-1].after) == (ended, None)
    for call in (store.get, store.delete, lambda job_id: store.update(job_id, lambda job: None)):
        with pytest.raises(NotFound, match=f"jobs/{job.id}"):
            call(job.id)
    for name, table in metadata.tables.items():
        rows = database.read(lambda connection, t=table: connection.execute(t.select()).all())
        assert rows == ([(f"jobs/{job.id}",)] if name == "removals" else [])
    assert store.add(make_job()).number > ended.number


def test_a_job_survives_closing_and_reopening_the_database(store, database, reopen, make_job, play):
    job = play(store.add(make_job()), EPOCH)
    database.close()
    with pytest.raises(Unavailable):
        store.add(make_job())
    assert JobStore(reopen()).get(job.id) == job


def test_a_failing_listener_does_not_undo_a_change_or_stop_the_writer(database, make_job):
    def fail(change):
        raise ZeroDivisionError

    store = JobStore(database, fail)
    jobs = [store.add(make_job()), store.add(make_job())]
    assert store.page(9) == jobs[::-1]


def test_a_job_is_restored_in_its_state_with_its_curve(store, changes, make_job, now):
    epochs = [EPOCH, replace(EPOCH, epoch=2, step=20)]
    job = replace(make_job(labels={"a": "b"}), state=State.PAUSED, reason="REBUILT", last_epoch=epochs[-1])
    restored = store.restore(job, epochs)
    assert store.get(job.id) == restored == replace(job, number=1, sequence=3, revision=1)
    assert store.page(9, where=JobFilter(labels={"a": "b"})) == [restored]
    assert [event.payload for event in store.events(job.id, 0, 9)] == [*epochs, StateChanged(State.PAUSED, "REBUILT")]
    assert [point.epoch for point in store.points(job.id, 9)] == [1, 1, 1, 2, 2, 2]
    assert [change.before for change in changes] == [None]


def test_storing_a_job_withdraws_the_planned_removal_of_its_folder(store, database, tmp_path, make_job):
    removals, job = Removals(database, tmp_path), make_job()
    for name in (f"jobs/{job.id}", "jobs/never"):
        (tmp_path / name).mkdir(parents=True)
        removals.plan(name)
    store.add(job)
    removals.complete()
    assert [folder.name for folder in (tmp_path / "jobs").iterdir()] == [job.id]
