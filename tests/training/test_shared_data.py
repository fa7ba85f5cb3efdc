"""The data of a run on their way to workers: mapped, whole, or by data shards."""

import shutil

import numpy as np
import pytest

from raydient.server.training.shared_data import SharedData
from raydient.wire import control
from raydient.wire.frames import ProtocolError
from raydient.workers.data import Dataset, MemorySource, PreparedSets, shards

ARRAYS = {
    "train/x/a": np.arange(60, dtype=np.float32).reshape(20, 3),
    "train/y/out": np.arange(20, dtype=np.int32),
    "test/x/a": np.ones((2, 3), np.float32),
    "test/y/out": np.zeros(2, np.int32),
}


@pytest.fixture
def dataset():
    source = MemorySource.of(ARRAYS)
    return Dataset(source.train, source.test, {}, {})


@pytest.fixture
def kept(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 100)
    return PreparedSets(tmp_path / "prepared", 10**6).keep("5e" * 32, dataset)


def assert_arrays(bundle):
    for name, array in ARRAYS.items():
        assert np.array_equal(bundle.arrays[name], array)


@pytest.mark.parametrize("is_local", [True, False])
def test_data_in_memory_travel_whole(dataset, is_local):
    manifest, bundle = SharedData(dataset).for_worker(is_local=is_local)
    assert manifest is None
    assert_arrays(bundle)


def test_a_worker_of_the_node_maps_the_kept_file(kept):
    manifest, bundle = SharedData(kept).for_worker(is_local=True)
    assert manifest is None
    assert_arrays(bundle)
    bundle.arrays["train/y/out"][0] = 99
    assert kept.train.y[0] == 99


def test_a_worker_of_another_node_gets_the_manifest_and_asks_for_data_shards(kept):
    shared = SharedData(kept)
    assert shared.for_worker(is_local=False) == (kept.kept.manifest, None)
    answers = [shared.shard(number) for number in range(len(kept.kept.manifest.checksums))]
    assert [message for message, _ in answers] == [control.DataShard(number) for number in range(len(answers))]
    content = b"".join(bundle.arrays[control.CONTENT].tobytes() for _, bundle in answers)
    assert content == kept.kept.path.read_bytes()


def test_a_set_that_was_removed_travels_whole(kept):
    shutil.rmtree(kept.kept.path.parent)
    manifest, bundle = SharedData(kept).for_worker(is_local=False)
    assert manifest is None
    assert_arrays(bundle)


@pytest.mark.parametrize("number", [-1, 10**6])
def test_a_data_shard_that_there_is_not_is_refused(kept, dataset, number):
    with pytest.raises(ProtocolError, match=f"data shard {number} was asked for, which there is not"):
        SharedData(kept).shard(number)
    with pytest.raises(ProtocolError, match="data shard 0 was asked for, which there is not"):
        SharedData(dataset).shard(0)
