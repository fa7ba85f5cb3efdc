"""Files appear whole or not at all, with the permissions that the umask leaves."""

import os

import pytest

from raydient import files
from raydient.files import remove_leftovers, replacing, write_durably, write_new


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_is_obeyed(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_durably(tmp_path / "durable", b"1")
        write_new(tmp_path / "new", b"1")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / ("x" * 255)
    write_durably(path, b"before")

    def fail():
        with replacing(path) as file:
            file.write(b"half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert [(file, file.read_bytes()) for file in tmp_path.iterdir()] == [(path, b"before")]
    write_durably(path, b"after")
    assert path.read_bytes() == b"after"


def test_the_content_is_flushed_before_the_name_is_there(tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    fsync = os.fsync

    def watch(descriptor):
        seen.append((os.fstat(descriptor).st_size, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", watch)
    write_durably(path, b"content")
    (size, visible), (_, visible_at_the_end) = seen
    assert (size, visible, visible_at_the_end) == (7, False, True)


def test_a_new_file_replaces_nothing(tmp_path):
    write_new(tmp_path / "file", b"1")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "file", b"2")


def test_what_a_killed_process_left_is_removed(tmp_path):
    for name in (".raydient-0123.part", ".raydient", "model.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / ".raydient-folder.part").mkdir()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".raydient",
        ".raydient-folder.part",
        "model.safetensors",
    ]
    remove_leftovers(tmp_path / "absent")
