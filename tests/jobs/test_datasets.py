import errno
import hashlib
import resource
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from raydient.server.errors import (
    AlreadyExists,
    DataLoss,
    Exhausted,
    InvalidRequest,
    NotFound,
    NotPermitted,
)
from raydient.server.jobs.datasets import DatasetStore
from raydient.server.jobs.disk import Reserve
from raydient.server.jobs.headers import Header
from raydient.server.jobs.removals import Removals
from raydient.server.jobs.sources import Sources
from raydient.server.training.profiles import profiles_file
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.values import quoted

from .uploading import CONTENT, SHA256, Disk, torn, upload

JOBS = Path("jobs")


def test_a_stored_file_has_the_suffix_of_its_format(datasets, folder, now):
    dataset = upload(datasets)
    assert (dataset.id, dataset.name, dataset.size_bytes, dataset.created) == (SHA256, "digits.csv", 12, now)
    assert datasets.get(SHA256) == dataset
    assert datasets.path(SHA256) == folder / f"{SHA256}.csv"
    assert datasets.path(SHA256).read_bytes() == CONTENT


def test_the_same_content_is_stored_once_under_its_first_name(datasets, folder):
    first = upload(datasets)
    assert upload(datasets, name="again.csv") == first
    assert datasets.stored("third.csv", SHA256) == first
    assert datasets.stored("x.csv", "0" * 64) is None
    assert len(list(folder.iterdir())) == 1


def test_the_same_content_as_another_format_is_refused(datasets):
    upload(datasets)
    with pytest.raises(AlreadyExists, match=r"digits\.csv"):
        upload(datasets, name="digits.npz")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"sha256": "0" * 64}, "CHECKSUM_MISMATCH"), ({"size": 13}, "SIZE_MISMATCH"), ({"size": 6}, "SIZE_MISMATCH")],
)
def test_an_upload_with_unannounced_bytes_leaves_nothing(datasets, folder, wrong, reason):
    with pytest.raises(DataLoss) as caught:
        upload(datasets, **wrong)
    assert caught.value.reason == reason
    assert list(folder.iterdir()) == []
    assert datasets.page(9) == []


def test_other_partial_files_of_a_killed_server_are_removed_at_the_start(database, datasets, folder):
    incoming = datasets.receive("a.csv")
    incoming.write(CONTENT[:3])
    assert len(list(folder.iterdir())) == 1
    DatasetStore(database, folder)
    assert list(folder.iterdir()) == []
    incoming.close()


def full(*arguments, **keywords):
    raise OSError(errno.ENOSPC, "no space left")


@pytest.mark.parametrize(
    "call", ["datasets.os.fsync", "datasets.os.replace", "datasets.sync_folder", "partial.os.open"]
)
def test_a_full_disk_leaves_nothing(datasets, folder, monkeypatch, call):
    monkeypatch.setattr(f"raydient.server.jobs.{call}", full)
    with pytest.raises(Exhausted) as caught:
        upload(datasets)
    assert caught.value.reason == "STORE_FULL"
    assert list(folder.iterdir()) == []
    assert datasets.page(9) == []


def test_a_file_that_cannot_be_written_leaves_nothing(datasets, folder):
    """A limit on the size of files stands in for a disk that becomes full while a file is written."""
    content = b"x" * (1 << 20)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    torn = datasets.begin(Header("a.csv", len(content), hashlib.sha256(content).hexdigest()))
    torn.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            torn.write(content)
        with suppress(OSError):  # the buffer cannot be written either
            torn.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(folder.iterdir()) == []


def test_a_failed_insert_leaves_no_file(database, datasets, folder, monkeypatch):
    write = database.write

    def refuse_rows(work, *more):
        def insert(connection):
            result = work(connection)
            if connection.exec_driver_sql("SELECT count(*) FROM datasets").scalar():
                raise Exhausted("full")
            return result

        return write(insert, *more)

    monkeypatch.setattr(database, "write", refuse_rows)
    with pytest.raises(Exhausted):
        upload(datasets)
    assert list(folder.iterdir()) == []


GIB = 1 << 30


@pytest.mark.parametrize(
    ("total", "reserve"), [(1000 * GIB, 20 * GIB), (40 * GIB, GIB), (5 * GIB, GIB // 2), (GIB, GIB // 10)]
)
def test_uploads_leave_a_reserve_free(datasets, folder, monkeypatch, total, reserve):
    Disk(monkeypatch, total, free=reserve + 11)
    Reserve().check(folder, 11)
    with pytest.raises(Exhausted) as caught:
        Reserve().check(folder, 12)
    assert caught.value.reason == "STORE_FULL"
    assert caught.value.metadata == {"free_bytes": str(reserve + 11), "reserve_bytes": str(reserve)}
    assert f"{reserve + 11} bytes of the server's disk are free" in str(caught.value)


def test_the_reserve_is_checked_before_and_during_an_upload(database, folder, monkeypatch):
    disk = Disk(monkeypatch, 1000, free=112)
    datasets = DatasetStore(database, folder, reserve=Reserve(100))
    with pytest.raises(Exhausted):
        upload(datasets, size=13)
    broken = torn(datasets, CONTENT[:5])
    disk.free = 105  # something else fills the disk
    with pytest.raises(Exhausted):
        broken.write(CONTENT[5:])
    broken.close()
    assert list(folder.iterdir()) == []


def test_the_profile_of_a_dataset_is_deleted_with_it(datasets, folder):
    stored = upload(datasets)
    profiles_file(datasets.path(stored.id)).write_text("{}")
    assert datasets.unknown_files() == []
    datasets.delete(stored.id)
    assert list(folder.iterdir()) == []


def test_a_compressed_file_keeps_both_suffixes(datasets, folder):
    stored = upload(datasets, name="digits.CSV.gz")
    assert datasets.path(stored.id) == folder / f"{stored.id}.csv.gz"
    profiles_file(datasets.path(stored.id)).write_text("{}")
    assert datasets.unknown_files() == []
    datasets.delete(stored.id)
    assert list(folder.iterdir()) == []


def test_files_that_the_database_does_not_know_are_left_alone(database, datasets, folder):
    known = upload(datasets)
    unknown = [folder / f"{'0' * 64}.csv", folder / "notes.txt"]
    for file in unknown:
        file.write_text("not yours")
    again = DatasetStore(database, folder)
    assert again.unknown_files() == unknown
    Removals(database, folder.parent).complete()
    assert {file.name for file in folder.iterdir()} == {f"{known.id}.csv", *(file.name for file in unknown)}


@pytest.mark.parametrize("when", ["before the file is named", "before the row is there", "before the file is removed"])
def test_an_interrupted_upload_or_deletion_is_completed_at_the_start(database, datasets, folder, monkeypatch, when):
    """Neither half of an upload nor half of a deletion remains."""

    class Killed(BaseException):
        pass

    def killed(*arguments):
        raise Killed

    if when == "before the file is removed":
        known = upload(datasets)
        monkeypatch.setattr(Removals, "carry_out", killed)
        with pytest.raises(Killed):
            datasets.delete(known.id)
    else:
        call = "os.replace" if when == "before the file is named" else "sync_folder"
        monkeypatch.setattr(f"raydient.server.jobs.datasets.{call}", killed)
        with pytest.raises(Killed):
            upload(datasets)
    monkeypatch.undo()
    Removals(database, folder.parent).complete()
    DatasetStore(database, folder)
    assert list(folder.iterdir()) == []
    assert datasets.page(9) == []
    assert upload(datasets).id == SHA256
    Removals(database, folder.parent).complete()
    assert datasets.path(SHA256).read_bytes() == CONTENT


def test_two_uploads_of_the_same_content_at_once(datasets, folder):
    results = []
    threads = [threading.Thread(target=lambda: results.append(upload(datasets))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert len(set(results)) == 1
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    "name",
    ["", "a/b.csv", "/a.csv", "..", "a.txt", "a", "a\0.csv", "a\n.csv", "é" * 126 + ".csv", "a-images-idx3-ubyte"],
)
def test_a_bad_file_name_is_refused(datasets, name):
    with pytest.raises(InvalidRequest) as caught:
        datasets.begin(Header(name, 1, SHA256))
    assert [error.path for error in caught.value.errors] == ["header.file_name"]


def test_an_invalid_header_lists_every_violation(datasets):
    with pytest.raises(InvalidRequest) as caught:
        datasets.begin(Header("a.txt", 0, SHA256.upper(), offset=-1))
    fields = ["file_name", "size_bytes", "sha256", "offset"]
    assert [error.path for error in caught.value.errors] == [f"header.{field}" for field in fields]
    assert caught.value.reason == "INVALID_HEADER"


def test_lists_newest_first_and_deletes(datasets, folder):
    stored = [upload(datasets, bytes([65 + n]) * 9) for n in range(4)]
    assert datasets.page(9) == stored[::-1]
    assert datasets.page(2, before=stored[3].number) == [stored[2], stored[1]]
    datasets.delete(stored[0].id)
    with pytest.raises(NotFound):
        datasets.get(stored[0].id)
    with pytest.raises(NotFound):
        datasets.delete(stored[0].id)
    assert len(list(folder.iterdir())) == 3


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    (root / "inside.csv").write_bytes(CONTENT)
    (tmp_path / "outside.csv").write_bytes(CONTENT)
    (tmp_path / "data-beside").mkdir()
    (tmp_path / "data-beside" / "a.csv").write_bytes(CONTENT)
    (root / "link-out.csv").symlink_to(tmp_path / "outside.csv")
    (root / "link-in.csv").symlink_to(root / "inside.csv")
    (root / "loop.csv").symlink_to(root / "loop.csv")
    return root


def test_finds_uploads_and_files_below_a_root(datasets, root, tmp_path):
    (tmp_path / "alias").symlink_to(root)
    sources = Sources(datasets, [tmp_path / "alias"], JOBS)
    upload(datasets)
    assert sources.find(f"datasets/{SHA256}") == datasets.path(SHA256)
    for name in ("inside.csv", "link-in.csv", "x/../inside.csv"):
        assert sources.find(str(root / name)) == root / "inside.csv"


@pytest.mark.parametrize(
    "path", ["link-out.csv", "../outside.csv", "../data-beside/a.csv", "../absent.csv", "..", "/etc/passwd", "loop.csv"]
)
def test_files_outside_the_roots_are_refused_whether_they_exist_or_not(datasets, root, path):
    uri = str(root / path)
    with pytest.raises((NotPermitted, InvalidSpec)) as caught:
        Sources(datasets, [root], JOBS).find(uri)
    if path != "loop.csv":
        assert caught.value.reason == "FILE_OUTSIDE_DATA_ROOTS"
        assert "dataset.uri" in str(caught.value)
        assert "upload" in str(caught.value)
    with pytest.raises(NotPermitted):
        Sources(datasets, [], JOBS).find(str(root / "inside.csv"))


@pytest.mark.parametrize("uri", ["digits.csv", "./a.csv", "s3://bucket/a.csv", "file:///etc/passwd", "/a\0b", "absent"])
def test_a_uri_that_is_no_server_path_is_refused_with_a_remedy(datasets, root, uri):
    with pytest.raises(InvalidSpec, match="upload") as caught:
        Sources(datasets, [root], JOBS).find(uri)
    assert [error.path for error in caught.value.errors] == ["dataset.uri"]


def test_every_file_of_a_pattern_is_below_a_root(datasets, root):
    sources = Sources(datasets, [root], JOBS)
    assert sources.find(str(root / "in*.csv")) == root / "in*.csv"
    assert sources.find(str(root / "*-in.csv")) == root / "*-in.csv"  # a link to another file below the root
    (root / "link-nowhere.csv").symlink_to(root.parent / "absent.csv")
    for pattern in ("link-out*", "*.csv", "link-no*", "../*.csv", "../*/a.csv", "../absent-*.csv", "loop*"):
        with pytest.raises(NotPermitted, match="outside the server's data roots"):
            sources.find(str(root / pattern))
    for pattern in ("absent-*.csv", "*/inside.csv"):
        with pytest.raises(InvalidSpec, match="there is no file"):
            sources.find(str(root / pattern))


def test_labels_beside_images_are_below_a_root(datasets, root):
    images, labels = root / "a-images-idx3-ubyte", root / "a-labels-idx1-ubyte"
    images.touch()
    labels.touch()
    assert Sources(datasets, [root], JOBS).find(str(images)) == images
    labels.unlink()
    labels.symlink_to(root.parent / "outside.csv")
    with pytest.raises(NotPermitted, match="outside the server's data roots"):
        Sources(datasets, [root], JOBS).find(str(images))


def test_absent_files_below_a_root_and_folders(datasets, root):
    for path in (root / "absent.csv", root, root / ("a" * 300), root / "/".join("a" * 3000)):
        with pytest.raises(InvalidSpec, match="there is no file"):
            Sources(datasets, [root], JOBS).find(str(path))


@pytest.mark.parametrize("name", ["none", "", "../raydient.db", SHA256 + "/..", "%2e%2e/raydient.db"])
def test_an_id_is_never_a_path(datasets, name):
    with pytest.raises(NotFound) as caught:
        Sources(datasets, [], JOBS).find(f"datasets/{name}")
    assert caught.value.reason == "DATASET_NOT_FOUND"


def test_errors_have_the_names_that_files_had_before_their_upload(datasets, make_spec):
    stored = [upload(datasets, bytes([65 + n]) * 9, f"part-{n}.csv") for n in range(2)]
    datasets.delete(stored[1].id)
    gone = f"{stored[1].id}.csv"
    problem = f"{quoted(f'{stored[0].id}.csv')}: 'x' in row 1 of {quoted(gone)}"
    dataset = make_spec(uri=[f"datasets/{one.id}" for one in stored]).dataset
    named = Sources(datasets, [], JOBS).with_names(InvalidSpec([FieldError("dataset.label", problem, 7)]), dataset)
    assert named.errors == (FieldError("dataset.label", f"'part-0.csv': 'x' in row 1 of {quoted(gone)}", 7),)


def test_a_model_is_stored_and_is_a_start_and_no_data(datasets, folder, make_spec):
    sources = Sources(datasets, [], JOBS)
    model, data = upload(datasets, b"weights", "digits.safetensors"), upload(datasets)

    def found(uri, start):
        return sources.find_all(make_spec(uri=f"datasets/{uri}").with_initial_weights(start))

    assert found(data.id, f"datasets/{model.id}") == (datasets.path(data.id), None, folder / f"{model.id}.safetensors")
    assert found(data.id, "jobs/one")[2] == JOBS / "one" / "model.safetensors"
    assert found(data.id, "/etc/one.safetensors")[2] is None
    with pytest.raises(InvalidSpec) as refused:
        found(model.id, f"datasets/{data.id}")
    uri, start = refused.value.errors
    assert (uri.path, start.path) == ("dataset.uri", "training.initial_weights")
    assert f"datasets/{model.id} is a model, 'digits.safetensors', and no data: upload" in uri.message
    assert f"datasets/{data.id} is a file of data, 'digits.csv', and not of a model: name" in start.message
    for absent in ("0" * 64, "../raydient.db", ""):
        with pytest.raises(NotFound):
            found(data.id, f"datasets/{absent}")
    with pytest.raises(InvalidRequest, match=r"none of \.csv"):
        datasets.receive("digits.safetensors")
    with pytest.raises(AlreadyExists):
        datasets.stored("digits.csv", model.id)
