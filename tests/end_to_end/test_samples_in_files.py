"""Data larger than the memory train to the same bits."""

import shutil

import pytest

from raydient.server.training.preparation import prepare
from raydient.workers.data import limits

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
