"""Kept data sets on another node: fetched there once, by data shards, and again only as far as they are damaged."""

import fcntl
import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from raydient.steps.manifest import Manifest
from raydient.steps.places import arranged
from raydient.workers.data import PreparedSets, limits, prepared

ARRAYS = {
    "train/x/a": np.arange(700, dtype=np.float32).reshape(70, 10),
    "train/y/out": np.arange(70, dtype=np.int32),
    "test/x/a": np.ones((3, 10), np.float32),
    "test/y/out": np.zeros(3, np.int32),
}
SHARD_BYTES = 500


class Coordinator:
    """The node that has the set: its manifest, and the data shards that it was asked for."""

    def __init__(self):
        places, size = arranged({name: (array.dtype.str, array.shape) for name, array in ARRAYS.items()})
        self.content = np.zeros(size, np.uint8)
        for name, place in places.items():
            self.content[place.offset : place.offset + place.size] = np.frombuffer(ARRAYS[name], np.uint8)
        parts = [self.content[start : start + SHARD_BYTES] for start in range(0, size, SHARD_BYTES)]
        checksums = [hashlib.sha256(part).hexdigest() for part in parts]
        self.manifest = Manifest("5e" * 32, size, places, SHARD_BYTES, checksums, {})
        self.asked = []

    def fetch(self, lacking):
        for shard in lacking:
            self.asked.append(shard)
            yield self.content[self.manifest.bytes_of(shard)].copy()

    @property
    def all_shards(self):
        return list(range(len(self.manifest.checksums)))


@pytest.fixture
def coordinator():
    return Coordinator()


@pytest.fixture
def node(tmp_path, coordinator):
    """Completes the set in the cache of a node, and compares the arrays; returns the data shards that were fetched."""

    class Node:
        folder, entry = tmp_path / "node", tmp_path / "node" / coordinator.manifest.key

        def complete(self, most_bytes=10**6):
            coordinator.asked.clear()
            arrays = PreparedSets(self.folder, most_bytes).complete(coordinator.manifest, coordinator.fetch)
            assert arrays.keys() == ARRAYS.keys()
            for name, array in ARRAYS.items():
                assert np.array_equal(arrays[name], array)
            return list(coordinator.asked)

    return Node()


def test_a_set_is_fetched_once(node, coordinator):
    assert node.complete() == coordinator.all_shards
    assert len(coordinator.all_shards) > 5
    assert node.complete() == []
    assert [path.name for path in node.folder.iterdir()] == [coordinator.manifest.key]
    assert (node.entry / "rows").read_bytes() == coordinator.content.tobytes()


def test_no_worker_waits_for_another_one_that_compares_checksums(node, coordinator, monkeypatch):
    node.complete()
    monkeypatch.setattr(fcntl, "flock", lambda file, operation: pytest.fail("waits"))
    assert node.complete() == []


@pytest.mark.parametrize("seed", range(5))
def test_damaged_data_shards_are_fetched_again(node, coordinator, seed):
    node.complete()
    draw, rows = np.random.default_rng(seed), bytearray((node.entry / "rows").read_bytes())
    bad = sorted(draw.choice(len(coordinator.all_shards), draw.integers(1, 4), replace=False).tolist())
    for shard in bad:
        part = coordinator.manifest.bytes_of(shard)
        rows[part.start + int(draw.integers(part.stop - part.start))] ^= 1 << int(draw.integers(8))
    (node.entry / "rows").write_bytes(rows)
    assert node.complete() == bad
    assert node.complete() == []


@pytest.mark.parametrize("size", [0, 700, 10_000])
def test_a_file_of_another_size_is_mended(node, coordinator, size):
    node.complete()
    os.truncate(node.entry / "rows", size)
    expected = [n for n in coordinator.all_shards if coordinator.manifest.bytes_of(n).stop > size]
    assert node.complete() == expected
    assert node.complete() == []


@pytest.mark.parametrize("damage", [b"", b"no manifest", None])
def test_the_manifest_is_written_again(node, damage):
    node.complete()
    manifest = node.entry / "manifest"
    expected = manifest.read_bytes()
    if damage is None:
        manifest.unlink()
    else:
        manifest.write_bytes(damage)
    assert node.complete() == []
    assert manifest.read_bytes() == expected


def test_the_next_process_goes_on_where_one_ended(node, coordinator):
    def ending(lacking):
        yield from coordinator.fetch(lacking[:3])
        raise ConnectionError("the peer closed the connection")

    with pytest.raises(ConnectionError):
        PreparedSets(node.folder, 10**6).complete(coordinator.manifest, ending)
    assert not node.entry.exists()
    assert PreparedSets(node.folder, 10**6).find(coordinator.manifest.key) is None
    assert node.complete() == coordinator.all_shards[3:]
    assert [path.name for path in node.folder.iterdir()] == [coordinator.manifest.key]


def test_workers_of_a_node_fetch_a_set_once(node, coordinator, monkeypatch):
    """The second one waits while the first one fetches, and has nothing to fetch then."""
    begun, waits, fetched_by_second, lock = Event(), Event(), [], fcntl.flock

    def flock(file, operation):
        if operation == fcntl.LOCK_EX and begun.is_set():
            waits.set()
        lock(file, operation)

    def slowly(lacking):
        begun.set()
        assert waits.wait(30)
        yield from coordinator.fetch(lacking)

    def second(lacking):
        fetched_by_second.extend(lacking)
        return coordinator.fetch(lacking)

    def complete_second():
        assert begun.wait(30)
        return PreparedSets(node.folder, 10**6).complete(coordinator.manifest, second)

    monkeypatch.setattr(fcntl, "flock", flock)
    compared = []
    monkeypatch.setattr(prepared, "wrong_shards", lambda manifest, content: compared.append(manifest) or [])
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(complete_second)
        first = PreparedSets(node.folder, 10**6).complete(coordinator.manifest, slowly)
        other = waiting.result(30)
    assert fetched_by_second == []
    assert compared == []  # neither by the first one, whose file is new, nor by the second, which saw it filled
    assert all(np.array_equal(first[name], other[name]) for name in ARRAYS)


def test_a_wrong_data_shard_is_refused(node, coordinator):
    coordinator.content[SHARD_BYTES] ^= 1
    with pytest.raises(ValueError, match=r"data shard 1 of 5e5e.* has another checksum"):
        node.complete()
    coordinator.content[SHARD_BYTES] ^= 1
    assert node.complete() == coordinator.all_shards[1:]


@pytest.mark.parametrize("most_bytes", [0, 1000])
def test_a_node_without_room_fetches_each_time(node, coordinator, most_bytes):
    assert node.complete(most_bytes) == coordinator.all_shards
    assert node.complete(most_bytes) == coordinator.all_shards
    assert not node.folder.exists()


def test_a_folder_that_other_users_may_write_to_is_not_used(node, coordinator):
    node.complete()
    (node.entry / "rows").write_bytes(bytes(len(coordinator.content)))
    node.folder.chmod(0o770)
    assert node.complete() == coordinator.all_shards
    assert (node.entry / "rows").read_bytes() == bytes(len(coordinator.content))


def test_a_full_disk_keeps_nothing(node, coordinator, monkeypatch, tmp_path):
    def full(descriptor, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("raydient.workers.data.prepared.reserve", full)
    assert node.complete() == coordinator.all_shards
    assert not node.entry.exists()


def test_data_larger_than_the_memory_and_the_cache_lie_in_a_file(node, coordinator, monkeypatch, tmp_path):
    monkeypatch.setattr(limits, "LEAST_FILE_BYTES", 64)
    monkeypatch.setattr(limits, "NUMBERS_SHARE", 0.0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert node.complete(0) == coordinator.all_shards


def test_the_least_recently_used_sets_make_room(node, coordinator):
    old = node.folder / "old"
    node.folder.mkdir(mode=0o700)
    old.mkdir()
    (old / "rows").write_bytes(bytes(500))
    size = len(coordinator.content)
    assert node.complete(size + 400) == coordinator.all_shards
    assert not old.exists()
    assert node.complete(size + 400) == []


def test_a_set_that_is_removed_while_it_is_used_stays_mapped(node, coordinator):
    arrays = PreparedSets(node.folder, 10**6).complete(coordinator.manifest, coordinator.fetch)
    shutil.rmtree(node.folder)
    assert all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())
