"""Data larger than the memory train to the same bits."""

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
