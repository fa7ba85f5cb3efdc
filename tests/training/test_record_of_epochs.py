"""The record of epochs returns the epochs that were added, whether they are in memory or in the file."""

import os
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.server.training import history
from raydient.server.training.history import BLOCK, RECENT, UNWRITTEN, History, read_history
from raydient.server.training.reports import EpochEnded
from tests.simulation.disk import SimulatedDisk


def epoch(number, seconds=0.25):
    return EpochEnded(number, 3 * number, seconds, {"train": {"loss": 1 / number}, "test": {"loss": 0.5}})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "job" / "history.log"


@pytest.fixture
def small(monkeypatch):
    """Few epochs in memory and in a block, so that short examples reach everything."""
    monkeypatch.setattr(history, "BLOCK", 3)
    monkeypatch.setattr(history, "RECENT", 5)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 9)),
        st.tuples(st.just("read"), st.integers(0, 60), st.integers(1, 12)),
        st.tuples(st.just("go on from"), st.integers(0, 40)),
        st.tuples(st.sampled_from(["sync", "reopen"])),
    ),
    max_size=30,
)


@pytest.mark.usefixtures("small")
@settings(max_examples=150)
@given(actions=actions)
def test_the_record_is_a_list(tmp_path_factory, actions):
    """The naive twin keeps every epoch in a list."""
    path, added = tmp_path_factory.mktemp("record") / "history.log", []
    record = History(path)
    try:
        for turn, (name, *numbers) in enumerate(actions):
            if name == "append":
                for _ in range(numbers[0]):
                    added.append(epoch(len(added) + 1, turn))
                    record.append(added[-1])
                record.append(added[0])  # an epoch that it has already
            elif name == "go on from":
                record.go_on_from(numbers[0])
                del added[numbers[0] :]
            elif name == "read":
                after, limit = numbers
                assert record.read(after, limit) == added[after : after + limit]
            elif name == "sync":
                record.sync()
                assert list(read_history(path)) == added
            else:
                record.close()
                record = History(path)
            assert record.last == len(added)
        assert record.read(0, 1000) == added
    finally:
        record.close()


def test_memory_is_bounded_whatever_the_number_of_epochs(path):
    with closing(History(path)) as record:
        for number in range(1, 20 * RECENT + 1):
            record.append(epoch(number))
        assert len(record._recent) <= RECENT
        assert len(record._index) == 20 * RECENT // BLOCK
        assert [one.epoch for one in record.read(0, 2)] == [1, 2]
        assert [one.epoch for one in record.read(10_000, BLOCK)] == list(range(10_001, 10_001 + BLOCK))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
def test_a_torn_file_keeps_its_whole_lines_and_goes_on(path, kept):
    with closing(History(path)) as record:
        for number in range(1, 101):
            record.append(epoch(number))
    os.truncate(path, int(path.stat().st_size * kept))
    whole = path.read_bytes().count(b"\n")
    with closing(History(path)) as record:
        assert (record.last, record.damaged) == (whole, 0)
        for number in range(1, 103):
            record.append(epoch(number))
        assert [one.epoch for one in record.read(0, 200)] == list(range(1, 103))
    assert list(read_history(path)) == [epoch(number) for number in range(1, 103)]


@settings(max_examples=200)
@given(place=st.floats(0, 0.999), byte=st.integers(0, 255))
def test_a_damaged_byte_costs_at_most_two_epochs_and_never_gives_a_wrong_one(tmp_path_factory, place, byte):
    path = tmp_path_factory.mktemp("record") / "history.log"
    with closing(History(path)) as record:
        for number in range(1, 21):
            record.append(epoch(number))
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] = byte
    path.write_bytes(data)
    with closing(History(path)) as record:
        epochs = record.read(0, 100)
    assert len(epochs) >= 18
    assert all(one == epoch(one.epoch) for one in epochs)
    assert [one.epoch for one in epochs] == sorted({one.epoch for one in epochs})


def test_the_newest_epoch_is_not_a_damaged_line(path):
    with closing(History(path)) as record:
        assert record.newest() is None
        record.append(epoch(1))
        record.append(epoch(2))
        record.sync()
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with closing(History(path)) as record:
        assert (record.damaged, record.newest()) == (1, epoch(2))
        assert record.read(-1, 5) == [epoch(2)]
        record.go_on_from(0)
        assert record.newest() is None


def test_a_full_disk_costs_nothing_until_memory_is_full(path):
    disk = SimulatedDisk()
    with closing(History(path, disk=disk)) as record:
        disk.capacity = 0
        for number in range(1, 2 * BLOCK + 1):
            record.append(epoch(number))
        with pytest.raises(OSError, match="No space"):
            record.sync()
        assert [one.epoch for one in record.read(0, 1000)] == list(range(1, 2 * BLOCK + 1))
        disk.capacity = 1 << 30
        record.sync()
        with closing(History(path, disk=disk)) as other:
            assert len(other.read(0, 1000)) == 2 * BLOCK
        disk.capacity = 0
        for number in range(2 * BLOCK + 1, 2 * UNWRITTEN):
            record.append(epoch(number))
        assert len(record._recent) == UNWRITTEN
        disk.capacity = 1 << 30
