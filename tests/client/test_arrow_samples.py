"""Samples in Parquet and Arrow files, for predictions."""

import builtins
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from raydient.client import samples
from raydient.client.columns import InvalidSamples, own_type
from raydient.client.errors import MissingExtra
from raydient.client.samples import read_samples

TABLE = pa.table(
    {
        "whole": pa.array([1, 2, None], pa.int64()),
        "part": pa.array([0.5, None, 2.0]),
        "city": pa.array(["Ulm", None, "Ulm"]).dictionary_encode(),
        "when": pa.array([0, 1, 2], pa.timestamp("s")),
        "": pa.array([7, 8, 9]),
    }
)


@pytest.fixture(params=["data.parquet", "data.arrow", "data.feather"])
def path(request, tmp_path: Path) -> Path:
    """Path of a file that does not exist yet."""
    return tmp_path / request.param


def write(table: pa.Table, path: Path, rows: int = 1000) -> Path:
    """Write a table in blocks of some rows."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows)
    elif path.suffix == ".feather":
        feather.write_feather(table, path, chunksize=rows)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=rows)
    return path


def test_columns_keep_their_values(path: Path) -> None:
    (part,) = read_samples(write(TABLE, path))
    assert list(part.arrays) == ["whole", "part", "city", "when"]
    assert part.arrays["whole"].tolist() == [1, 2, None]
    assert np.array_equal(part.arrays["part"], [0.5, np.nan, 2], equal_nan=True)
    assert part.arrays["city"].tolist() == ["Ulm", None, "Ulm"]
    assert own_type("whole", part.arrays["whole"], is_optional=True).tolist()[:2] == [1, 2]
    with pytest.raises(InvalidSamples, match=r"datetime64\[m?s\]; numbers or texts are needed"):
        own_type("when", part.arrays["when"])
    with pytest.raises(InvalidSamples, match="city, row 2: there is no value"):
        own_type("city", part.arrays["city"], part.where)


def test_a_file_is_read_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "PART_ROWS", 4)
    numbers = np.arange(11)
    parts = list(read_samples(write(pa.table({"a": numbers, "b": numbers}), path, rows=6), ["a"]))
    assert np.concatenate([part.arrays["a"] for part in parts]).tolist() == numbers.tolist()
    assert [part.first for part in parts] == np.cumsum([0, *(len(part.arrays["a"]) for part in parts[:-1])]).tolist()
    assert max(len(part.arrays["a"]) for part in parts) <= 4
    assert parts[1].where(0) == "row 5"
    assert "b" in parts[0].arrays


def test_a_table_without_rows_is_one_part(path: Path) -> None:
    (part,) = read_samples(write(TABLE.slice(0, 0), path))
    assert len(part.arrays["part"]) == 0


def test_batches_without_rows_are_left_out(tmp_path: Path) -> None:
    batch, path = pa.record_batch([pa.array([1.0, 2.0])], ["a"]), tmp_path / "data.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        for part in (batch[:0], batch, batch[:0], batch[1:]):
            writer.write_batch(part)
    assert [part.arrays["a"].tolist() for part in read_samples(path)] == [[1, 2], [2]]


@pytest.mark.parametrize("name", ["data.parquet", "data.arrow"])
def test_names_that_repeat_are_reported_where_they_are_read(tmp_path: Path, name: str) -> None:
    path = write(pa.table([[1], [2], [3]], ["a", "a", "b"]), tmp_path / name)
    (part,) = read_samples(path, ["b"])
    assert part.repeated == {"a"}
    assert part.arrays["b"].tolist() == [3]
    with pytest.raises(InvalidSamples, match="more than one column named 'a'"):
        part.arrays["a"]
    (empty,) = read_samples(write(pa.table([[1], [2], [3]], ["a", "a", "b"]).slice(1), path))
    assert (empty.repeated, empty.arrays["b"].tolist()) == ({"a"}, [])


def test_a_damaged_file_is_named(path: Path) -> None:
    whole = write(TABLE, path).read_bytes()
    for damaged in (b"a,b\n1,2\n", b"", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(InvalidSamples, match=f"{path.name}: not an? .* file that can be read: "):
            list(read_samples(path))


def test_without_pyarrow_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *args: object, **settings: object) -> object:
        if name == "pyarrow":
            raise ImportError(name)
        return usual(name, *args, **settings)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'raydient\[local\]'"):
        list(read_samples(path))
