"""Remote files of jobs become stored datasets: below a prefix, once for each content, whole or not at all."""

import gzip
import hashlib
import threading

import fsspec
import pytest

from raydient.client.text_packing import pack_texts
from raydient.server.calls import Call
from raydient.server.errors import Abandoned, Exhausted, NotPermitted
from raydient.server.jobs.datasets import DatasetStore
from raydient.server.jobs.disk import Reserve
from raydient.server.jobs.remote import RemoteData
from raydient.spec.dataset import Dataset
from raydient.spec.errors import InvalidSpec

ONE, TWO = b"x,y\n1,0\n2,1\n", b"x,y\n3,0\n"


def name_of(content):
    return f"datasets/{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def memory():
    """The file system in memory, with two parts of a table."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pipe({"/bucket/data/part-1.csv": ONE, "/bucket/data/part-2.csv": TWO})
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def stored(datasets, make_spec):
    """Returns a function that replaces the remote files of a job; `pauses` has its pauses."""
    pauses = []
    data = RemoteData(datasets, ["memory://bucket/data"], pauses.append)

    def stored(*uris, call=None, **parts):
        uri, *further = uris
        spec = make_spec(dataset={"uri": uri, "further_uris": further, **parts})
        return data.stored(spec, call or Call()).dataset

    stored.pauses = pauses
    return stored


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_each_file_becomes_a_dataset(stored, memory, datasets, folder):
    local = f"datasets/{'0' * 64}"
    memory.pipe("/bucket/data/own.csv", own := b"x,y\n5,1\n")
    dataset = stored("memory://bucket/data/part-*.csv", local, validation={"uri": "memory://bucket/data/own.csv"})
    assert [*dataset.training_uris.values()] == [name_of(ONE), name_of(TWO), local]
    assert [*dataset.validation_uris.values()] == [name_of(own)]
    assert [one.name for one in datasets.page(9)] == ["own.csv", "part-2.csv", "part-1.csv"]
    assert left(folder) == sorted(name_of(content).removeprefix("datasets/") + ".csv" for content in (ONE, TWO, own))
    assert stored(local).uri == local


def test_a_file_is_read_once_for_each_content(stored, memory, datasets, monkeypatch):
    opened = []
    monkeypatch.setattr(memory.__class__, "_open", _counting(memory.__class__._open, opened))
    url = "memory://bucket/data/part-1.csv"
    assert stored(url).uri == stored(url).uri == name_of(ONE)
    assert len(opened) == 1
    memory.pipe("/bucket/data/part-1.csv", TWO)
    assert stored(url).uri == name_of(TWO)
    datasets.delete(name_of(TWO).removeprefix("datasets/"))
    assert stored(url).uri == name_of(TWO)
    assert len(opened) == 3


def _counting(function, calls):
    def counted(self, path, mode="rb", **options):
        if "r" in mode:
            calls.append(path)
        return function(self, path, mode, **options)

    return counted


@pytest.mark.parametrize(
    "url", ["memory://bucket/database/a.csv", "memory://bucket/a.csv", "s3://bucket/data/a.csv", "https://h/a.csv"]
)
def test_files_below_no_prefix_are_refused_before_any_is_read(stored, memory, folder, url):
    for uris in ((url,), ("memory://bucket/data/part-1.csv", url)):
        with pytest.raises(NotPermitted, match="`--data-url`") as caught:
            stored(*uris)
        assert caught.value.reason == "URL_NOT_ALLOWED"
        assert caught.value.metadata == {"field": "dataset.uri" if len(uris) == 1 else "dataset.uri[1]"}
    assert left(folder) == []


def test_no_prefix_allows_nothing(datasets, make_spec):
    with pytest.raises(NotPermitted):
        RemoteData(datasets).stored(make_spec("memory://bucket/data/part-1.csv"), Call())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "there is no such file"),
        ("empty.csv", b"", "the file is empty"),
        ("a.text", b"a", "ends in none of .csv"),
        ("a-images-idx3-ubyte", b"a", "convert local files of this form"),
        ("a.txt", b"", "the file is empty"),
        ("a.txt", b"a\n\xff", "the file is not UTF-8 text in line 2"),
        ("a.txt.gz", b"a", "the file cannot be read"),
        ("part-3.csv", ONE, "has the content of memory://bucket/data/part-1.csv, whose rows would be read twice"),
    ],
)
def test_files_that_are_refused(stored, memory, folder, name, content, message):
    if content is not None:
        memory.pipe(f"/bucket/data/{name}", content)
    with pytest.raises(InvalidSpec) as caught:
        stored("memory://bucket/data/part-1.csv", f"memory://bucket/data/{name}")
    (error,) = caught.value.errors
    assert error.path == "dataset.uri[1]"
    assert message in error.message
    assert left(folder) == [name_of(ONE).removeprefix("datasets/") + ".csv"]


@pytest.mark.parametrize("form", [{}, {"encoding": "utf-16", "decimal": ",", "delimiter": "\t"}])
def test_text_files_become_the_tables_that_a_client_uploads(stored, memory, datasets, folder, tmp_path, form):
    texts = {"no.txt": 'bad, "very"\n\nNA\n1,5', "yes.txt.gz": "Grüße\r\n"}
    expected = []
    for name, text in texts.items():
        content = text.encode(form.get("encoding", "utf-8"))
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        memory.pipe(f"/bucket/data/{name}", (tmp_path / name).read_bytes())
        dataset = Dataset.model_validate({"uri": "x", "csv": form})
        packed = pack_texts(tmp_path / name, dataset.csv.dialect, "dataset.uri", tmp_path)
        expected.append(name_of(packed.read_bytes()))
    dataset = stored(*(f"memory://bucket/data/{name}" for name in texts), csv=form)
    assert [*dataset.training_uris.values()] == expected
    assert {one.name for one in datasets.page(9)} == {"no.csv", "yes.csv"}
    if form:
        other = stored("memory://bucket/data/no.txt", csv={**form, "delimiter": ";"})
        assert other.uri not in expected, "another dialect is another table"


def test_held_out_data_with_the_content_of_the_training_data_are_refused(stored, memory):
    memory.pipe("/bucket/data/v.csv", ONE)
    with pytest.raises(InvalidSpec, match="is the file of the training data"):
        stored("memory://bucket/data/part-1.csv", validation={"uri": "memory://bucket/data/v.csv"})


def test_a_file_that_goes_on_changing_leaves_nothing_and_a_retry_works(stored, memory, folder, monkeypatch):
    def changing(self, path, mode="rb", **options):
        opened = plain(self, path, mode, **options)
        if "r" in mode:
            memory.store[path].modified = memory.store[path].modified.replace(year=1999 - len(stored.pauses))
            memory.store[path].created = memory.store[path].modified
        return opened

    plain = memory.__class__._open
    with monkeypatch.context() as patch:
        patch.setattr(memory.__class__, "_open", changing)
        with pytest.raises(InvalidSpec, match="it changed while it was read, 4 times"):
            stored("memory://bucket/data/part-1.csv")
    assert len(stored.pauses) == 3
    assert left(folder) == []
    assert stored("memory://bucket/data/part-1.csv").uri == name_of(ONE)


def test_an_abandoned_call_and_a_full_disk_leave_nothing(stored, memory, database, folder, now, make_spec):
    call = Call()
    call.abandon()
    with pytest.raises(Abandoned):
        stored("memory://bucket/data/part-1.csv", call=call)
    assert left(folder) == []
    full = RemoteData(DatasetStore(database, folder, lambda: now, Reserve(1 << 60)), ["memory://bucket"])
    with pytest.raises(Exhausted):
        full.stored(make_spec("memory://bucket/data/part-1.csv"), Call())
    assert left(folder) == []
    assert stored("memory://bucket/data/part-1.csv").uri == name_of(ONE)


class AbandonedCall(Call):
    """A call that is abandoned after a number of checks."""

    def __init__(self, checks):
        super().__init__()
        self._checks = checks

    def check(self):
        if not self._checks:
            self.abandon()
        self._checks -= 1
        super().check()


@pytest.mark.parametrize("checks", range(5))
def test_a_call_is_abandoned_between_files_that_are_known(stored, memory, checks):
    """It is checked before the listing, before each file of it, and before each file is taken."""
    stored("memory://bucket/data/part-*.csv")
    with pytest.raises(Abandoned):
        stored("memory://bucket/data/part-*.csv", call=AbandonedCall(checks))


def test_two_calls_share_one_download(stored, memory, monkeypatch):
    opened, begun, may_go_on = [], threading.Event(), threading.Event()
    counted = _counting(memory.__class__._open, opened)

    def slow(self, path, mode="rb", **options):
        begun.set()
        assert may_go_on.wait(10)
        return counted(self, path, mode, **options)

    monkeypatch.setattr(memory.__class__, "_open", slow)
    results = []
    calls = [
        threading.Thread(target=lambda: results.append(stored("memory://bucket/data/part-1.csv").uri)) for _ in range(2)
    ]
    for thread in calls:
        thread.start()
    assert begun.wait(10)
    abandoned = Call()
    abandoned.abandon()
    with pytest.raises(Abandoned):
        stored("memory://bucket/data/part-1.csv", call=abandoned)
    may_go_on.set()
    for thread in calls:
        thread.join()
    assert (results, len(opened)) == ([name_of(ONE)] * 2, 1)
