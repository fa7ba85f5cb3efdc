"""Data larger than the memory lie in files, with the same bits; the twin has room in memory."""

import io
import os
from errno import ENOSPC

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydient.spec.dataset import LABEL, Dataset
from raydient.spec.network import Output
from raydient.workers.data import limits, load, rows
from raydient.workers.data.blocks import blocks

ROWS = 3_000
SETTINGS = {
    "impute": "median",
    "standardize": True,
    "columns": {
        "a": {"clip": {"min": 0.5}, "log": True},
        "b": {"impute": "most_frequent", "indicator": True, "scale": "min_max"},
        "c": {"impute": "mean", "scale": "none"},
    },
    "split": {"test": 0.25},
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch, tmp_path):
    """Files begin at some bytes, in a folder of their own."""
    monkeypatch.setattr(limits, "LEAST_FILE_BYTES", 64)
    monkeypatch.setattr("raydient.workers.data.blocks.BLOCK_VALUES", 700)
    monkeypatch.setattr(rows, "_COPIED_ROWS", 100)
    monkeypatch.setattr("raydient.workers.data.csv_blocks.BLOCK_BYTES", 5_000)
    monkeypatch.setattr("raydient.workers.data.arrow_file.BATCH_ROWS", 500)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))


@pytest.fixture
def table() -> pa.Table:
    draw = np.random.default_rng(5)
    columns = {name: draw.standard_normal(ROWS).round(3) for name in "abcd"}
    for name in "abc":
        columns[name][draw.random(ROWS) < 0.1] = np.nan
    columns["y"] = draw.integers(0, 3, ROWS)
    return pa.table(columns)


def content(table: pa.Table, suffix: str) -> bytes | dict:
    if suffix == ".parquet":
        file = io.BytesIO()
        pq.write_table(table, file, row_group_size=1_000)
        return file.getvalue()
    if suffix == ".npz":
        x = np.stack([table[name].to_numpy() for name in "abcd"], axis=1)
        return {"x": x, "y": table["y"].to_numpy()}
    return table.to_pandas().to_csv(index=False).encode()


def share_of_memory(monkeypatch, size: int) -> None:
    monkeypatch.setattr(limits, "available_bytes", lambda: 10**9)
    monkeypatch.setattr(limits, "NUMBERS_SHARE", size / 10**9)


@pytest.mark.parametrize("memory", [0, 40_000, 110_000, 170_000], ids=lambda size: f"{size}_bytes")
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_the_same_bits_in_files_as_in_memory(load_file, table, monkeypatch, tmp_path, suffix, memory):
    settings = {"impute": "median", "standardize": True} if suffix == ".npz" else SETTINGS
    file = content(table, suffix)
    name = f"data{suffix}"
    within = load_file(file, name=name, **settings)
    assert within.folder is None
    share_of_memory(monkeypatch, memory)
    large = load_file(file, name=name, **settings)
    assert large.folder == tmp_path / "scratch"
    assert large.arrays().keys() == within.arrays().keys()
    for key, array in within.arrays().items():
        assert np.array_equal(array, large.arrays()[key]), key
        assert array.dtype == large.arrays()[key].dtype
    assert os.listdir(tmp_path / "scratch") == []


def test_several_files_continue_in_a_file(load_file, table, monkeypatch, tmp_path):
    for number in range(3):
        part = table.slice(number * 1_000, 1_000)
        (tmp_path / f"part-{number}.csv").write_bytes(content(part, ".csv"))
    whole = load_file(content(table, ".csv"), **SETTINGS)
    share_of_memory(monkeypatch, 40_000)
    spec = Dataset.model_validate({"uri": "part-*.csv", **SETTINGS})
    output = Output(layer="out", label=LABEL, loss="softmax_cross_entropy")
    joined = load(spec, tmp_path / spec.uri, [output], 1)
    assert joined.folder is not None
    assert np.array_equal(joined.train.x, whole.train.x)


@pytest.mark.parametrize("where", ["the raw values", "the prepared values"])
def test_a_full_disk_is_named(load_file, errors_of, table, monkeypatch, tmp_path, where):
    share_of_memory(monkeypatch, 0)

    def full(*_, **__):
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    if where == "the raw values":
        monkeypatch.setattr(rows, "TemporaryFile", full)
    else:
        monkeypatch.setattr(os, "posix_fallocate", full)
    ((path, message),) = errors_of(content(table, ".csv"), **SETTINGS)
    assert path == "dataset.uri"
    assert message == (
        f"its data do not fit 953.7 MiB of free memory, and {tmp_path / 'scratch'} has no room for them: "
        "No space left on device; free some room, name fewer columns or arrays, or let TMPDIR name a folder that has "
        "more"
    )
    monkeypatch.undo()
    assert load_file(content(table, ".csv"), **SETTINGS).train.rows == 2_250  # an identical retry works


@pytest.mark.parametrize(("count", "shape"), [(0, (3,)), (1, ()), (1_000, (7,)), (10, (30, 40))])
def test_blocks_divide_all_rows(count, shape):
    covered = [row for block in blocks(count, shape) for row in range(count)[block]]
    assert covered == list(range(count))
