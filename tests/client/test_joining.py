"""Files of a table that are joined for an upload: one file with the same data."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from raydient.client.joining import join
from raydient.spec.csv_text import PLAIN, Dialect
from raydient.spec.dataset import Dataset
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Output
from raydient.workers.data import load


def arrays(folder: Path, path: Path, **settings: object) -> dict[str, bytes]:
    """The arrays of a file or pattern, as bytes."""
    spec = Dataset.model_validate({"uri": "data", "split": {"test": 0.3}, **settings})
    output = Output.model_validate({"layer": "out", "label": "label", "loss": "softmax_cross_entropy"})
    data = load(spec, path, [output], 1).arrays()
    return {name: array.tobytes() for name, array in data.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for the joined file."""
    (tmp_path / "joined").mkdir()
    return tmp_path / "joined"


@pytest.mark.parametrize(
    ("dialect", "suffix"),
    [({}, ".csv"), ({"decimal": ",", "encoding": "utf-16"}, ".csv"), ({"encoding": "latin-1"}, ".csv.gz")],
)
def test_text_files(tmp_path: Path, folder: Path, dialect: dict[str, str], suffix: str) -> None:
    for number in range(3):
        content = f'\n"gr\u00f6\u00dfe;\n1";y\n{number},5;"a\n{number}"\n\n7;b'.replace(
            ",", dialect.get("decimal", ".")
        )
        raw = content.encode(dialect.get("encoding", "utf-8-sig"))
        (tmp_path / f"part-{number}{suffix}").write_bytes(gzip.compress(raw) if suffix.endswith("gz") else raw)
    pattern = tmp_path / f"part-*{suffix}"
    joined = join(pattern, Dialect(**dialect), "dataset.uri", folder)
    assert joined == folder / "part-*.csv"
    assert arrays(tmp_path, joined, csv=dialect) == arrays(tmp_path, pattern, csv=dialect)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_typed_files(tmp_path: Path, folder: Path, suffix: str) -> None:
    for number in range(3):
        table = pa.table(
            {"a": np.arange(5.0) + number, "y": pa.array([f"{number}", "y"] * 2 + ["z"]).dictionary_encode()}
        )
        write = pq.write_table if suffix == ".parquet" else feather.write_feather
        write(table, tmp_path / f"{number}{suffix}")
    pattern = tmp_path / f"*{suffix}"
    joined = join(pattern, PLAIN, "dataset.uri", folder)
    assert joined == folder / "*.arrow"
    assert arrays(tmp_path, joined) == arrays(tmp_path, pattern)


def test_files_that_cannot_be_joined_are_named(tmp_path: Path, folder: Path) -> None:
    for name, content in (("1.csv", b"a,y\n1,2\n"), ("2.csv", b"a,z\n"), ("3.csv.gz", b"a,y"), ("4.npz", b"PK")):
        (tmp_path / name).write_bytes(content)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "5.parquet")
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "6.parquet")
    (tmp_path / "7.parquet").write_bytes(b"PAR1")
    for pattern, words in (
        ("[12].csv", "'2.csv': its columns are not those of '1.csv'"),
        ("?.csv.gz", "'3.csv.gz': the file cannot be read: "),
        ("*.npz", "only tables are read from several files"),
        ("[56].parquet", "'6.parquet': its columns are not those of '5.parquet'"),
        ("[57].parquet", "'7.parquet': the file cannot be read: "),
        (("1.csv", "5.parquet"), "'5.parquet': its format is not that of '1.csv'"),
    ):
        data = tmp_path / pattern if isinstance(pattern, str) else tuple(tmp_path / name for name in pattern)
        with pytest.raises(InvalidSpec) as caught:
            join(data, PLAIN, "dataset.uri", folder)
        assert words in str(caught.value)
