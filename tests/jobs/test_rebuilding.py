"""A lost database is rebuilt from the folders of jobs and datasets."""

import hashlib
import json
import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from raydient.server.errors import StartError
from raydient.server.jobs.database import Database
from raydient.server.jobs.datasets import DatasetStore
from raydient.server.jobs.description import Description, write_description
from raydient.server.jobs.directory import StateDirectory
from raydient.server.jobs.disk import Reserve
from raydient.server.jobs.rebuilding import rebuild
from raydient.server.jobs.records import Job, MetricPoint
from raydient.server.jobs.sqlite import SQLite, open_database
from raydient.server.jobs.states import State
from raydient.server.jobs.store import JobStore
from raydient.server.training.checkpoints import Checkpoints
from raydient.server.training.history import HISTORY_FILE, History
from raydient.server.training.reports import EpochEnded
from raydient.steps.layout import Layout
from raydient.steps.schedule import Schedule
from raydient.workers.network import Model, Preprocessing, Target, save_model

CONTENT = b"x,y\n1,0\n2,1\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
EPOCHS = [EpochEnded(n, 3 * n, 0.5, {"train": {"loss": 1 / n}}) for n in (1, 2)]
LAYOUT = Layout.of([("a.kernel", (2, 3))])


def checkpoint(folder, step, history=()):
    weights = np.full(LAYOUT.size, step, np.float32)
    position = {"round": step, "step": step, "epoch": len(history), "epoch_sums": [], "numerics": {}}
    with closing(History(folder / HISTORY_FILE)) as record:
        for epoch in history:
            record.append(epoch)
    schedule = Schedule(train_rows=3, test_rows=0, epochs=9, batch_size=1, microbatches=1)
    checkpoints = Checkpoints(folder / "checkpoints", job=folder.name, layout=LAYOUT, state={}, schedule=schedule)
    checkpoints.save({"weights": weights}, position, metadata={"digest": LAYOUT.digest(weights)}, keep=2)


def model(folder, spec):
    trained = Model.plain(
        spec.network, Preprocessing((2,), ("a", "b"), is_table=True), np.ones(9, np.float32), Target("y", ())
    )
    save_model(folder / "model.safetensors", trained)
    return trained.digest


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def make(state, make_spec, now):
    """Returns a function that adds a job's folder with its description to the state directory, and returns the job."""

    def make(name, age=0, file_names=(), request="", **parts):
        job = Job(name, make_spec(**parts), now.replace(hour=23 - age), request, "f")
        (state / "jobs").mkdir(parents=True, exist_ok=True)
        write_description(state / "jobs" / name, Description(job, dict(file_names)))
        return job

    return make


@pytest.fixture
def opened(state):
    """Returns a function that opens the rebuilt database."""
    databases = []

    def opened():
        directory = StateDirectory(state)
        databases.append(open_database(directory))
        directory.close()
        return databases[-1]

    yield opened
    for database in databases:
        database.close()


def test_an_uploaded_model_is_restored_with_its_name(state, make, opened):
    content = b"weights"
    id_ = hashlib.sha256(content).hexdigest()
    make("one", file_names={f"datasets/{id_}": "digits.safetensors"}, uri="/data/a.csv")
    (state / "datasets").mkdir()
    (state / "datasets" / f"{id_}.safetensors").write_bytes(content)
    rebuilt = rebuild(state)
    assert (rebuilt.datasets, rebuilt.problems) == ([id_], [])
    stored = DatasetStore(opened(), state / "datasets").get(id_)
    assert (stored.name, stored.is_model) == ("digits.safetensors", True)


def test_jobs_and_datasets_are_restored(state, make, opened):
    uri = f"datasets/{SHA256}"
    names = {uri: "digits.csv"}
    done = make("done", 3, names, "r", uri=uri, labels={"team": "a"}, display_name="digits")
    half, new = make("half", 2, names, uri=uri), make("new", 1, uri="/data/a.csv")
    (state / "datasets").mkdir()
    (state / "datasets" / f"{SHA256}.csv").write_bytes(CONTENT)
    digest = model(state / "jobs" / "done", done.spec)
    os.utime(state / "jobs" / "done" / "model.safetensors", (1_700_000_000, 1_700_000_000))
    checkpoint(state / "jobs" / "done", 6, EPOCHS)
    checkpoint(state / "jobs" / "half", 3, EPOCHS[:1])
    files = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}

    rebuilt = rebuild(state)

    assert rebuilt.problems == []
    assert [job.id for job in rebuilt.jobs] == ["done", "half", "new"]
    assert {path: path.read_bytes() for path in files} == files
    store = JobStore(opened())
    assert store.page(9) == rebuilt.jobs[::-1]
    assert replace(store.get("done"), sequence=0, revision=0) == replace(
        done,
        number=1,
        state=State.SUCCEEDED,
        reason="REBUILT",
        message="its database was lost",
        ended=datetime.fromtimestamp(1_700_000_000, UTC),
        digest=digest,
        top_step=6,
        checkpoint_step=6,
        last_epoch=EPOCHS[-1],
    )
    assert store.points("done", 9) == [MetricPoint(n, "train", "loss", 3 * n, 1 / n) for n in (1, 2)]
    assert store.events("done", 0, 9)[-1].payload.digest == digest
    assert (store.get("half").state, store.get("half").checkpoint_step) == (State.PAUSED, 3)
    assert store.get("half").message == "its database was lost; `resume` goes on from step 3"
    assert (store.get("new").state, store.get("new").created) == (State.PAUSED, new.created)
    assert store.by_request(done).id == "done"
    dataset = DatasetStore(opened(), state / "datasets").get(SHA256)
    assert (dataset.name, dataset.size_bytes) == ("digits.csv", len(CONTENT))
    assert half.spec == store.get("half").spec


def test_files_that_cannot_be_rebuilt_are_reported_and_left(state, make, opened):
    jobs, datasets = state / "jobs", state / "datasets"
    torn = make("torn", uri="/data/a.csv")
    (jobs / "torn" / "model.safetensors").write_bytes(b"torn")
    make("without-data", uri=f"datasets/{SHA256}")
    (jobs / "old" / "checkpoints").mkdir(parents=True)
    datasets.mkdir()
    (datasets / f"{'0' * 64}.csv").write_bytes(CONTENT)
    (datasets / "notes.txt").write_text("notes")
    before = sorted(state.rglob("*"))
    rebuilt = rebuild(state)
    problems = sorted(rebuilt.problems)
    assert len(problems) == 5
    assert f"{datasets}/{'0' * 64}.csv is left alone: its content has the SHA-256 {SHA256}" in problems
    assert f"{datasets}/notes.txt is left alone: it is not a file of a dataset" in problems
    assert f"{jobs}/old is left alone: it has no job.json" in problems
    assert f"{jobs}/without-data trains on datasets/{SHA256}, which is missing" in problems
    assert any(p.startswith(f"{jobs}/torn/model.safetensors cannot be used, the job is PAUSED") for p in problems)
    assert {*state.rglob("*")} >= {*before}
    assert JobStore(opened()).get("torn").spec == torn.spec


def test_a_checkpoint_with_a_damaged_manifest_is_ignored(state, make, opened):
    make("one")
    checkpoint(state / "jobs" / "one", 3, EPOCHS[:1])
    checkpoint(state / "jobs" / "one", 6, EPOCHS)
    newest = state / "jobs" / "one" / "checkpoints" / "step-000000006" / "manifest.json"
    newest.write_bytes(newest.read_bytes()[:40])
    rebuild(state)
    assert JobStore(opened()).get("one").checkpoint_step == 3


LOSSES = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "that has never stored anything": lambda path: Database(SQLite(path)).close(),
    "empty beside a log": lambda path: (path.write_bytes(b""), path.with_name("raydient.db-wal").write_bytes(b"x")),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_database_is_refused_with_the_remedy_and_rebuilt(state, make, loss):
    make("one"), make("two")
    (state / "datasets").mkdir()
    (state / "datasets" / f"{SHA256}.csv").write_bytes(CONTENT)
    LOSSES[loss](state / "raydient.db")
    before = sorted(path.name for path in state.iterdir())
    directory = StateDirectory(state)
    with pytest.raises(StartError) as caught:
        open_database(directory)
    text = str(caught.value)
    assert f"{state} holds 2 jobs and 1 dataset, but its database raydient.db " in text
    assert text.endswith(f"restore the database from a backup, or run `raydient rebuild --state {state}`")
    assert sorted(path.name for path in state.iterdir()) == sorted({*before, "lock"})
    with pytest.raises(StartError, match="another raydient serve uses"):
        rebuild(state)
    directory.close()
    assert len(rebuild(state).jobs) == 2
    directory = StateDirectory(state)
    database = open_database(directory)
    assert JobStore(database).ids() == {"one", "two"}
    database.close()
    directory.close()
    with pytest.raises(StartError, match="is not empty"):
        rebuild(state)


def test_a_database_with_only_deleted_jobs_is_not_lost(state, make, make_job):
    make("unknown")
    database = Database(SQLite(state / "raydient.db"))
    store = JobStore(database)
    store.restore(replace(make_job(), state=State.FAILED), [])
    store.delete("job1")
    database.close()
    directory = StateDirectory(state)
    open_database(directory).close()
    directory.close()


def test_a_damaged_database_is_not_overwritten(state, make):
    make("one")
    (state / "raydient.db").write_bytes(b"damaged" * 1000)
    with pytest.raises(StartError, match="move it aside first"):
        rebuild(state)
    (state / "raydient.db").rename(state / "aside")
    assert [job.id for job in rebuild(state).jobs] == ["one"]


def test_a_killed_rebuild_is_started_again(state, make):
    make("one")
    half = Database(SQLite(state / "raydient.rebuilding"))
    JobStore(half).restore(make("two"), [])
    half.close()
    assert [job.id for job in rebuild(state).jobs] == ["one", "two"]
    assert not list(state.glob("raydient.rebuilding*"))


def test_an_empty_directory_cannot_be_rebuilt(tmp_path, state):
    with pytest.raises(StartError, match="there is no state directory"):
        rebuild(state)
    assert not state.exists()
    StateDirectory(state).close()
    with pytest.raises(StartError, match="holds neither jobs nor datasets"):
        rebuild(state)


def test_a_description_of_another_format_is_reported(state, make):
    make("one")
    path = state / "jobs" / "one" / "job.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "raydient-job/2"}))
    [problem] = rebuild(state).problems
    assert "has the format 'raydient-job/2'" in problem


def test_an_upload_after_rebuilding_is_the_same_dataset(state, make, opened):
    make("one")
    (state / "datasets").mkdir()
    (state / "datasets" / f"{SHA256}.csv").write_bytes(CONTENT)
    rebuild(state)
    datasets = DatasetStore(opened(), state / "datasets", reserve=Reserve(0))
    assert datasets.stored("digits.csv", SHA256).id == SHA256
