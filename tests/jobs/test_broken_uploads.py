"""Uploads that break: what is kept and how long, and how the next upload goes on."""

import os
import time
from pathlib import Path

import pytest

from raydient.server.errors import DataLoss, Exhausted, InvalidRequest, OutOfRange
from raydient.server.jobs.datasets import DatasetStore
from raydient.server.jobs.disk import Reserve
from raydient.server.jobs.headers import Header

from .uploading import CONTENT, SHA256, Disk, torn, upload


def test_an_upload_that_is_not_finished_leaves_nothing(datasets, folder):
    torn(datasets, CONTENT[:3]).close()
    assert list(folder.iterdir()) == []
    assert datasets.kept_bytes(SHA256, 12) == 0


def test_an_upload_goes_on_behind_the_bytes_that_are_kept(datasets, folder):
    broken = torn(datasets, CONTENT[:5])
    assert datasets.kept_bytes(SHA256, 12) == 0, "it is in progress"
    for _ in range(2):
        broken.suspend()
        broken.close()
        assert datasets.kept_bytes(SHA256, 12) == 5
        assert (datasets.page(9), datasets.unknown_files()) == ([], [])
        with pytest.raises(OutOfRange) as caught:
            upload(datasets, offset=4)
        assert caught.value.reason == "OFFSET_MISMATCH"
        broken = datasets.begin(Header("a.csv", 12, SHA256, offset=5))
        broken.open()
    broken.write(CONTENT[5:])
    assert broken.finish().id == SHA256
    broken.close()
    assert datasets.path(SHA256).read_bytes() == CONTENT
    assert [file.name for file in folder.iterdir()] == [f"{SHA256}.csv"]


def test_kept_bytes_are_of_one_caller_and_one_content(datasets, folder):
    torn(datasets, CONTENT[:5], caller="one").suspend()
    for other in ((SHA256, 12), (SHA256, 12, "two"), (SHA256, 13, "one"), ("0" * 64, 12, "one")):
        assert datasets.kept_bytes(*other) == 0
    assert len(list(folder.iterdir())) == 1
    for size, sha256 in ((0, SHA256), (12, "")):
        with pytest.raises(InvalidRequest):
            datasets.kept_bytes(sha256, size)
    with pytest.raises(OutOfRange):
        upload(datasets, caller="two", offset=5)
    assert upload(datasets, caller="two").id == SHA256


def test_kept_bytes_of_another_file_are_refused_in_the_end(datasets, folder):
    broken = torn(datasets, b"other")
    broken.suspend()
    broken.close()
    with pytest.raises(DataLoss):
        upload(datasets, offset=5)
    assert list(folder.iterdir()) == []
    assert upload(datasets, offset=0).id == SHA256


def test_an_upload_may_begin_anew_although_bytes_are_kept(datasets):
    broken = torn(datasets, b"other")
    broken.suspend()
    broken.close()
    assert upload(datasets).id == SHA256
    assert datasets.path(SHA256).read_bytes() == CONTENT


def test_an_equal_upload_in_progress_is_left_alone(datasets, folder):
    first = torn(datasets, CONTENT[:5])
    with pytest.raises(OutOfRange):
        upload(datasets, offset=5)
    second = torn(datasets, CONTENT[:3])
    second.suspend()
    second.close()
    first.write(CONTENT[5:])
    first.finish()
    first.close()
    assert [file.name for file in folder.iterdir()] == [f"{SHA256}.csv"]


def test_bytes_of_a_broken_upload_are_kept_for_a_day(database, datasets, folder):
    broken = torn(datasets, CONTENT[:3])
    broken.suspend()
    broken.close()
    (file,) = folder.iterdir()
    assert DatasetStore(database, folder).kept_bytes(SHA256, 12) == 3, "another server may go on"
    yesterday = time.time() - 90_000
    os.utime(file, (yesterday, yesterday))
    assert datasets.kept_bytes(SHA256, 12) == 0
    assert list(folder.iterdir()) == []


def test_broken_uploads_give_way_to_others(database, folder, monkeypatch):
    disk = Disk(monkeypatch, 1000, free=200)
    datasets = DatasetStore(database, folder, reserve=Reserve(100))
    broken = torn(datasets, CONTENT[:5])
    broken.suspend()
    broken.close()
    unlink = Path.unlink

    def freeing(path, **options):
        disk.free += path.stat().st_size
        unlink(path, **options)

    disk.free = 107
    monkeypatch.setattr(Path, "unlink", freeing)
    datasets.check_room(12)
    assert list(folder.iterdir()) == []
    with pytest.raises(Exhausted):
        datasets.check_room(13)
