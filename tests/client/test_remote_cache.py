"""Remote files of jobs on this machine: kept by content, within a budget."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from raydient.client import load_model
from raydient.client.data_file import data_here, with_data
from raydient.client.remote_cache import RemoteCache
from raydient.spec.errors import InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.network import Network
from raydient.spec.patterns import DataPath, paths_of
from raydient.spec.validation import validate_job
from raydient.workers.data.remote import RemoteFiles
from raydient.workers.network import Model, Preprocessing, Target, save_model

URL = "memory://bucket/a.csv"


@pytest.fixture
def memory() -> Iterator[Any]:
    """The file system in memory, with one file."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pipe("/bucket/a.csv", b"x,y\n1,2\n")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def cache(tmp_path: Path) -> RemoteCache:
    """A cache for 20 bytes."""
    return RemoteCache(tmp_path / "cache", RemoteFiles(lambda url: True, lambda seconds: None), 20)


def names(folder: Path) -> list[str]:
    """Return the names of all files."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_is_downloaded_once_for_each_content(memory: Any, cache: RemoteCache, tmp_path: Path) -> None:
    (first,), (same,) = cache.local("dataset.uri", URL), cache.local("dataset.uri", URL)
    assert (first, first.name, first.read_bytes()) == (same, "a.csv", b"x,y\n1,2\n")
    memory.pipe("/bucket/a.csv", b"x,y\n3,4\n")
    (second,) = cache.local("dataset.uri", URL)
    assert (first.read_bytes(), second.read_bytes()) == (b"x,y\n1,2\n", b"x,y\n3,4\n")
    os.utime(first, (2, 2))
    os.utime(second, (1, 1))
    memory.pipe("/bucket/b.csv", b"123456")
    cache.local("dataset.uri", "memory://bucket/b.csv")
    assert [file.exists() for file in (first, second)] == [True, False]


def test_a_failed_download_leaves_nothing_and_a_retry_works(
    memory: Any, cache: RemoteCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    for name, age in ((".partial-old", 1), (".partial-new", None)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, age and (age, age))
    with monkeypatch.context() as patch:
        patch.setattr("raydient.client.remote_cache.os.replace", full)
        with pytest.raises(OSError, match="No space"):
            cache.local("dataset.uri", URL)
    assert names(folder) == [".partial-new"]
    cache.local("dataset.uri", URL)
    assert names(folder) == [".partial-new", "a.csv"]


def test_a_folder_that_other_users_may_write_to_is_not_used(memory: Any, cache: RemoteCache, tmp_path: Path) -> None:
    (file,) = cache.local("dataset.uri", URL)
    assert file.parent.parent.stat().st_mode & 0o777 == 0o700
    file.parent.parent.chmod(0o777)
    with pytest.raises(OSError, match="other users of this machine may write to it"):
        cache.local("dataset.uri", URL)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network that returns its column x, and whose label is y."""
    specification = Network.model_validate({"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"})
    preprocessing = Preprocessing((1,), ("x",), is_table=True)
    network = Model.plain(specification, preprocessing, np.array([1, 0], np.float32), Target("y"))
    save_model(tmp_path / "model.safetensors", network)
    return tmp_path / "model.safetensors"


def test_commands_take_samples_from_a_url(
    memory: Any, run: Any, service: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    memory.pipe({"/bucket/b.csv": b"x,y\n5,3\n", "/bucket/bad.csv": b"x,y\n5,3\nu,3\n"})
    assert run("predict", model, "memory://bucket/b.csv").stdout == "y\n5\n"
    assert load_model(model).predict("memory://bucket/b.csv").outputs.tolist() == [[5]]
    assert json.loads(run("evaluate", model, "memory://bucket/b.csv", "--json").stdout)["metrics"]["loss"] == 4
    evaluation = json.loads(run("report", model, "memory://bucket/b.csv", "--json").stdout)["evaluation"]
    assert (evaluation["data"], evaluation["metrics"]["loss"]) == ("b.csv", 4)
    assert run("dataset", "upload", "memory://bucket/b.csv", "-q").exit_code == 0
    assert service.uploads == [b"x,y\n5,3\n"]
    for command in ("predict", "evaluate", "report"):
        for url, problem in (
            ("memory://bucket/bad.csv", "memory://bucket/bad.csv: x, row 2 (line 3): 'u' is not a number"),
            ("memory://bucket/none.csv", "memory://bucket/none.csv: there is no such file"),
            ("memory://bucket/[ab].csv", "memory://bucket/[ab].csv: 2 files have such a name: name one"),
            ("memory://me:secret@bucket/b.csv", "the memory URL has a user name or a password"),
        ):
            done = run(command, model, url)
            assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
            assert done.stderr.startswith(problem), done.stderr


def job(**dataset: Any) -> JobSpec:
    """Return a job on these data."""
    network = {"layers": ["flatten"], "loss": "mean_squared_error"}
    return validate_job({"dataset": dataset, "network": network})


def test_a_job_on_this_machine_reads_remote_files(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    memory.pipe({"/bucket/c.csv": b"c", "/bucket/d.csv": b"d"})
    (tmp_path / "b.csv").write_text("b")

    def contents(data: DataPath | None) -> list[str]:
        return [path.read_text() for path in paths_of(data or ())]

    spec = job(uri=["b.csv", "memory://bucket/[cd].csv"], validation={"uri": URL})
    data, own = data_here(spec, tmp_path)
    assert (contents(data), contents(own)) == (["b", "c", "d"], ["x,y\n1,2\n"])
    assert (
        with_data(job(uri="b.csv"), [URL, tmp_path / "b.csv"], None, tmp_path).dataset.training_uris["dataset.uri[0]"]
        == URL
    )
    with pytest.raises(InvalidSpec) as caught:
        data_here(job(uri=["b.csv", "memory://bucket/z.csv"]), tmp_path)
    assert [str(error) for error in caught.value.errors] == [
        "dataset.uri[1]: memory://bucket/z.csv: there is no such file"
    ]
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    with pytest.raises(InvalidSpec, match="it cannot be kept on this machine: /proc/none"):
        data_here(job(uri=URL), tmp_path)
