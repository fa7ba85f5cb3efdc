"""Data larger than the memory train to the same bits."""

import shutil
from contextlib import closing

import pytest

from raydient.server.clusters.local import LocalCluster
from raydient.server.training.preparation import prepare
from raydient.server.training.shared_data import SharedData
from raydient.workers.data import limits, shards

from .conftest import execute


@pytest.mark.parametrize("transport", ["shared-memory", "tcp"])
def test_samples_in_files_give_the_same_bits(job, data, local, expected, tmp_path, monkeypatch, transport):
    within = job(2, epochs=2)
    monkeypatch.setattr(limits, "LEAST_FILE_BYTES", 1024)
    monkeypatch.setattr(limits, "NUMBERS_SHARE", 0.0)
    large = prepare(within.spec, data, folder=tmp_path)
    assert (within.dataset.folder, large.dataset.folder) == (None, tmp_path)
    assert execute(large, local, tmp_path / "job", transport=transport).digest == expected(within)


@pytest.mark.parametrize("removed", [False, True])
def test_a_kept_set_gives_the_same_bits(job, data, local, expected, tmp_path, monkeypatch, removed):
    within = job(2, epochs=2)
    monkeypatch.setattr(limits, "LEAST_FILE_BYTES", 1024)
    monkeypatch.setattr(limits, "NUMBERS_SHARE", 0.0)
    monkeypatch.setenv("RAYDIENT_CACHE_GIB", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    prepare(within.spec, data)
    kept = prepare(within.spec, data)
    assert kept.dataset.kept.path.is_relative_to(tmp_path / "cache")
    if removed:  # to make room for another set
        shutil.rmtree(tmp_path / "cache")
    assert execute(kept, local, tmp_path / "job").digest == expected(within)


class OtherNode(LocalCluster):
    """A cluster whose coordinator is on another node than its members: these reach it over TCP."""

    node = "first"


def test_another_node_fetches_a_kept_set_once(job, data, expected, tmp_path, monkeypatch):
    within, fetched, shard = job(2, epochs=1), [], SharedData.shard

    def counted(shared, number):
        fetched.append(number)
        return shard(shared, number)

    monkeypatch.setattr(SharedData, "shard", counted)
    monkeypatch.setattr(shards, "SHARD_BYTES", 8192)
    monkeypatch.setattr(limits, "LEAST_FILE_BYTES", 1024)
    monkeypatch.setattr(limits, "NUMBERS_SHARE", 0.0)
    monkeypatch.setenv("RAYDIENT_CACHE_GIB", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first"))
    kept = prepare(within.spec, data)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))  # that of the members
    with closing(OtherNode(4)) as cluster:
        assert execute(kept, cluster, tmp_path / "job").digest == expected(within)
        assert fetched == list(range(8))  # by one of two workers
        (rows,) = (tmp_path / "second").rglob("rows")
        content = bytearray(rows.read_bytes())
        content[3 * 8192] ^= 1
        rows.write_bytes(content)
        assert execute(kept, cluster, tmp_path / "again").digest == expected(within)
    assert fetched == [*range(8), 3]
    assert rows.read_bytes() == kept.dataset.kept.path.read_bytes()
