"""The disk of the machine and the simulated one do the same; only the simulated one loses power."""

import errno
import random

import pytest

from raydient.files import LOCAL, remove_leftovers, write_durably, write_new
from tests.simulation.disk import SimulatedDisk, Stopped


@pytest.fixture(params=["local", "simulated"])
def disk(request):
    return LOCAL if request.param == "local" else SimulatedDisk()


@pytest.fixture
def folder(disk, tmp_path):
    disk.make_folder(tmp_path / "job")
    return tmp_path / "job"


def content(disk, path):
    with disk.open_plain(path) as file:
        return file.read()


def test_a_written_file_is_read(disk, folder):
    write_new(folder / "new", b"1", disk)
    write_durably(folder / "durable", b"before", disk)
    write_durably(folder / "durable", b"after", disk)
    assert sorted(disk.names(folder)) == ["durable", "new"]
    assert (content(disk, folder / "new"), content(disk, folder / "durable")) == (b"1", b"after")
    with pytest.raises(FileExistsError):
        disk.create(folder / "new")


def test_a_record_is_written_in_place(disk, folder):
    with disk.open_record(folder / "record") as file:
        file.write(b"abcdef")
        file.seek(2)
        file.write(b"C")
        file.truncate(4)
        disk.sync(file)
    with disk.open_record(folder / "record") as file:
        assert file.read() == b"abCd"


def test_entries_are_renamed_and_removed(disk, folder):
    disk.make_folder(folder / "a" / "deep")
    write_new(folder / "a" / "file", b"1", disk)
    disk.rename(folder / "a", folder / "b")
    assert not disk.exists(folder / "a")
    assert disk.is_folder(folder / "b")
    assert disk.open_plain(folder / "b" / "deep") is None
    disk.remove(folder / "b" / "file")
    assert disk.names(folder / "b") == ["deep"]
    disk.remove_tree(folder / "b")
    disk.sync_folder(folder)
    assert disk.names(folder) == []


def test_an_absent_entry_is_an_error(disk, folder):
    for call in (disk.names, disk.open_plain, disk.remove):
        with pytest.raises(FileNotFoundError):
            call(folder / "absent")
    with pytest.raises(FileNotFoundError):
        disk.rename(folder / "absent", folder / "other")


def test_leftovers_are_removed(disk, folder):
    write_new(folder / ".raydient-01.part", b"1", disk)
    write_new(folder / "kept", b"1", disk)
    remove_leftovers(folder, disk)
    assert disk.names(folder) == ["kept"]


@pytest.fixture
def simulated(tmp_path):
    """A simulated disk whose `tmp_path` is durable."""
    disk = SimulatedDisk()
    disk.make_folder(tmp_path)
    for path in tmp_path.parents:
        disk.sync_folder(path)
    return disk


def test_a_crash_loses_what_is_not_synced(simulated, tmp_path):
    write_durably(tmp_path / "durable", b"1", simulated)
    write_new(tmp_path / "unnamed", b"1", simulated)
    with simulated.open_record(tmp_path / "durable") as file:
        file.write(b"22")
    simulated.crash()
    assert simulated.names(tmp_path) == ["durable"]
    assert content(simulated, tmp_path / "durable") == b"1"


def test_the_end_of_a_process_loses_nothing(simulated, tmp_path):
    with simulated.open_record(tmp_path / "file") as file:
        file.write(b"1")
        simulated.kill()
        with pytest.raises(Stopped):
            file.write(b"2")
    assert content(simulated, tmp_path / "file") == b"1"


def test_a_full_disk_refuses_what_does_not_fit(simulated, tmp_path):
    simulated.capacity = 3
    with pytest.raises(OSError, match="No space") as caught:
        write_new(tmp_path / "file", b"12345", simulated)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("seed", [None, *range(5)])
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, seed):
    """The machine stops at each operation in turn."""
    for point in range(100):
        disk = SimulatedDisk()
        disk.make_folder(tmp_path)
        for path in tmp_path.parents:
            disk.sync_folder(path)
        write_durably(tmp_path / "file", b"before", disk)
        disk.faults = stop_at(point)
        try:
            write_durably(tmp_path / "file", b"after it", disk)
        except Stopped:
            disk.crash(random.Random(seed) if seed is not None else None)
            disk.faults = stop_at(1000)
            assert content(disk, tmp_path / "file") in (b"before", b"after it")
        else:
            break
    disk.faults = stop_at(1000)
    disk.crash()
    assert content(disk, tmp_path / "file") == b"after it"
    assert point > 4


def stop_at(point):
    """Return faults that stop the process before the operation with this number."""
    count = iter(range(10_000))

    def faults(operation, path):
        if next(count) == point:
            raise Stopped

    return faults
