"""A row that this version cannot read is shown, can be deleted, and does not disturb other jobs."""

import pytest

from raydient.server.errors import AlreadyExists, NotAllowed, NotFound, Unreadable
from raydient.server.jobs import lifecycle
from raydient.server.jobs.records import JobFilter, UnreadableJob
from raydient.server.jobs.rows import read_spec
from raydient.server.jobs.states import State
from raydient.server.jobs.store import JobStore
from raydient.server.training.reports import Notice

DAMAGES = {
    "a state of another version": ("state", "hibernating", "state: 'hibernating' is not a valid State"),
    "a specification of another version": ("spec", '{"network": {"qubits": 3}}', "spec: dataset: "),
    "damaged JSON in the specification": ("spec", '{"network": {', "spec: Expecting property name"),
    "a specification that is no object": ("spec", "[]", "spec: "),
    "no text": ("spec", b"\xff\x00", "spec: "),
    "damaged JSON in the progress": ("progress", '{"step": 3', "progress: "),
    "a progress of another version": ("progress", '{"step": "many"}', "progress: "),
    "an epoch of another version": ("last_epoch", '{"epoch": 3, "qubits": 2}', "last_epoch: "),
    "an epoch that is no object": ("last_epoch", "[]", "last_epoch: "),
    "no time": ("created", "yesterday", "created: it is no time"),
    "a time beyond all years": ("created", 1 << 62, "created: it is no time"),
}


@pytest.fixture
def damage(database):
    """Writes into a column of a job's row behind the store's back."""

    def damage(job, column, value):
        statement = f"UPDATE jobs SET {column} = ? WHERE id = ?"
        database.write(lambda connection: connection.exec_driver_sql(statement, (value, job.id)))

    return damage


@pytest.mark.parametrize("name", DAMAGES)
def test_an_unreadable_job_is_listed_with_its_problem_beside_the_others(database, store, make_job, damage, name):
    before, job, after = (store.add(make_job(display_name="digits", labels={"n": str(n)})) for n in range(3))
    column, value, problem = DAMAGES[name]
    damage(job, column, value)
    store = JobStore(database)  # a server that has not read it before
    for listed in (store.page(9), store.summaries(9)):
        assert [one.id for one in listed] == [after.id, job.id, before.id]
        unreadable = listed[1]
        assert isinstance(unreadable, UnreadableJob)
        assert unreadable.problem.startswith(problem)
        assert "\n" not in unreadable.problem
        assert (unreadable.number, unreadable.display_name, unreadable.dataset) == (
            job.number,
            "digits",
            "datasets/none",
        )
        assert unreadable.state is (State.FAILED if column == "state" else State.QUEUED)
        assert unreadable.created == (None if column == "created" else job.created)
    assert store.page(9)[::2] == [after, before]
    assert store.find(job.id) == store.page(9)[1]


@pytest.mark.parametrize("name", DAMAGES)
def test_an_unreadable_job_can_only_be_deleted(store, changes, make_job, damage, now, name):
    job, other = store.add(make_job(request="r")), store.add(make_job())
    column, value, problem = DAMAGES[name]
    damage(job, column, value)
    for call in (store.get, lambda job_id: store.update(job_id, lambda job: lifecycle.cancel(job, now))):
        with pytest.raises(Unreadable, match=f"cannot read jobs/{job.id}: {problem[:6]}") as caught:
            call(job.id)
        assert (caught.value.reason, isinstance(caught.value, NotAllowed)) == ("JOB_UNREADABLE", True)
    counts = store.counts()
    assert sum(counts.values()) == 2
    assert counts[State.QUEUED] == (1 if column == "state" else 2)
    unreadable = store.find(job.id)
    store.delete(job.id)
    assert (changes[-1].before, changes[-1].after) == (unreadable, None)
    with pytest.raises(NotFound):
        store.find(job.id)
    assert store.page(9) == [other]


def test_a_state_filter_matches_the_shown_states(store, make_job, damage):
    jobs = [store.add(make_job()) for _ in range(3)]
    damage(jobs[0], "state", "hibernating")
    damage(jobs[1], "spec", "{")
    for states, expected in (({State.FAILED}, [jobs[0]]), ({State.QUEUED}, [jobs[2], jobs[1]]), ({State.PAUSED}, [])):
        where = JobFilter(frozenset(states))
        assert [job.id for job in store.page(9, where=where)] == [job.id for job in expected]
        assert {job.state for job in store.page(9, where=where)} <= states


def test_a_server_starts_without_an_unreadable_job_and_logs_it(store, make_job, damage, caplog):
    job, other = store.add(make_job()), store.add(make_job())
    damage(job, "spec", "{")
    assert store.unfinished() == [other]
    assert f"jobs/{job.id} cannot be read and is left alone: spec: " in caplog.text


def test_an_equal_request_returns_the_unreadable_job(store, make_job, damage):
    job = store.add(make_job(request="r"))
    damage(job, "spec", "{")
    for call in (store.add, store.by_request):
        earlier = call(make_job(request="r"))
        assert (earlier.id, isinstance(earlier, UnreadableJob)) == (job.id, True)
        with pytest.raises(AlreadyExists):
            call(make_job(request="r", fingerprint="g"))
    assert store.ids() == {job.id}


def test_the_dataset_of_an_unreadable_job_is_in_use_until_the_job_is_deleted(store, make_job, damage, now):
    job, ended = store.add(make_job(uri="datasets/a")), store.add(make_job(uri="datasets/b"))
    store.update(ended.id, lambda job: lifecycle.cancel(job, now))
    damage(job, "spec", "{")
    assert store.user_of("datasets/a") == job.id
    assert store.user_of("datasets/b") is None
    store.delete(job.id)
    assert store.user_of("datasets/a") is None


def test_held_out_data_of_their_own_are_in_use_too(store, make_job):
    job = store.add(make_job(dataset={"uri": "datasets/a", "validation": {"uri": "datasets/b"}}))
    assert store.user_of("datasets/a") == store.user_of("datasets/b") == job.id
    assert store.user_of("") is None


def test_each_file_of_a_list_is_in_use(store, make_job):
    names = [f"datasets/{letter}" for letter in "abcd"]
    validation = {"uri": names[2], "further_uris": names[3:]}
    job = store.add(make_job(dataset={"uri": names[0], "further_uris": names[1:2], "validation": validation}))
    assert [store.user_of(name) for name in names] == [job.id] * 4
    assert store.user_of("datasets/") is None
    assert store.user_of("") is None


def test_an_unreadable_event_becomes_a_notice(store, database, make_job, now):
    job = store.add(make_job())
    store.update(job.id, lambda job: lifecycle.cancel(job, now))
    for sequence, kind, payload in ((1, "state", '{"state": "hibernating"}'), (2, "entangled", "{}")):
        statement = f"UPDATE events SET kind = '{kind}', payload = '{payload}' WHERE sequence = {sequence}"
        database.write(lambda connection, text=statement: connection.exec_driver_sql(text))
    events = store.events(job.id, 0, 9)
    assert [event.sequence for event in events] == [1, 2]
    assert [event.payload.reason for event in events] == ["EVENT_UNREADABLE"] * 2
    assert isinstance(events[0].payload, Notice)
    assert not any(event.final for event in events)


def test_a_summary_equals_its_job(store, make_job, now):
    jobs = [store.add(make_job(display_name=str(n), labels={"n": str(n)})) for n in range(3)]
    store.update(jobs[1].id, lambda job: lifecycle.scale(job, 1))
    store.update(jobs[0].id, lambda job: lifecycle.cancel(job, now))
    store.add(make_job(resources={"workers": {"min": 1, "max": 4}}))
    for _ in range(2):
        for job, summary in zip(store.page(9), store.summaries(9), strict=True):
            names = summary.__dataclass_fields__
            assert {name: getattr(summary, name) for name in names} == {name: getattr(job, name) for name in names}
    assert store.summaries(2, before=jobs[2].number) == store.summaries(9)[2:]


def test_summaries_read_each_specification_once(database, store, make_job, monkeypatch):
    store.add(make_job(display_name="one"))
    store.add(make_job(display_name="two"))
    read = []
    monkeypatch.setattr("raydient.server.jobs.store.read_spec", lambda text: read.append(text) or read_spec(text))
    store = JobStore(database)
    assert store.summaries(9) == store.summaries(9)
    assert len(read) == 2
