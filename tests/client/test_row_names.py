"""Rows of local files that were uploaded as one: errors name the file and its own row."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydient.client.row_names import naming_rows
from raydient.spec.dataset import Dataset
from raydient.spec.errors import FieldError, InvalidSpec

IMAGE = {"pixels": {"columns": "image", "image": {"height": 2, "width": 2}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two CSV files, of three and two rows, two Parquet files, two of text, and a folder of texts."""
    (tmp_path / "a.csv").write_text('x,y\n1,"a\nb"\n\n2,b\n3,c\n')
    (tmp_path / "b.csv").write_text("x,y\n4,d\n\n5,e\n")
    for name in ("a", "b"):
        pq.write_table(pa.table({"x": [1, 2, 3]}), tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}.txt").write_text("one\n\nthree\n")
        (tmp_path / "texts" / name).mkdir(parents=True)
        (tmp_path / "texts" / name / "0.txt").write_text("a text")
    return tmp_path


def message(folder: Path, text: str, path: str = "dataset.label", **settings: Any) -> str:
    """The message of an error of the service about a job with these settings."""
    with pytest.raises(InvalidSpec) as caught, naming_rows(Dataset.model_validate(settings), folder):
        raise InvalidSpec([FieldError(path, text)])
    [error] = caught.value.errors
    assert error.path == path
    return error.message


@pytest.mark.parametrize(
    ("uri", "row", "name"),
    [
        ("*.csv", 1, "row 1 (line 2) of 'a.csv'"),
        ("*.csv", 3, "row 3 (line 6) of 'a.csv'"),
        ("*.csv", 4, "row 1 (line 2) of 'b.csv'"),
        (["b.csv", "a.csv"], 2, "row 2 (line 4) of 'b.csv'"),
        (["b.csv", "a.csv"], 5, "row 3 (line 6) of 'a.csv'"),
        ("*.parquet", 5, "row 2 of 'b.parquet'"),
        ("*.txt", 6, "row 3 of 'b.txt'"),
        ("texts", 2, "'b/0.txt'"),
        ("a.csv", 2, "row 2"),
        ("*.csv", "4 (line 8)", "row 1 (line 2) of 'b.csv'"),
        ("*.csv", 6, "row 6"),
    ],
)
def test_a_row_has_the_name_of_its_file(folder: Path, uri: str | list[str], row: int | str, name: str) -> None:
    inputs = {"words": {"columns": "text", "text": {"tokens": "word", "length": 3}}} if "texts" in uri else {}
    text = message(folder, f"'y': 'x' in row {row} is no number, nor is row 1", uri=uri, inputs=inputs)
    assert text.startswith(f"'y': 'x' in {name} is no number, nor is ")


def test_held_out_files_have_rows_of_their_own(folder: Path) -> None:
    (folder / "c.csv").write_text("x,y\n6,f\n")
    settings = {"uri": "c.csv", "validation": {"uri": ["b.csv", "a.csv"]}}
    assert message(folder, "row 4", "dataset.validation.uri", **settings) == "row 2 (line 5) of 'a.csv'"
    assert message(folder, "row 4", "dataset.label", **settings) == "row 4"


@pytest.mark.parametrize(
    "settings", [{"uri": ["a.csv", f"datasets/{'0' * 64}"]}, {"uri": "*.csv", "inputs": IMAGE, "label": "y"}]
)
def test_rows_that_the_files_do_not_have_in_this_order_keep_their_numbers(folder: Path, settings: Any) -> None:
    assert message(folder, "row 4", **settings) == "row 4"


def test_other_errors_are_as_they_were(folder: Path) -> None:
    assert message(folder, "row 4", "network.layers[0]", uri="*.csv") == "row 4"
    with pytest.raises(InvalidSpec) as caught, naming_rows(Dataset(uri="absent.csv"), folder):
        raise InvalidSpec([FieldError("dataset.label", "no rows")])
    assert [error.message for error in caught.value.errors] == ["no rows"]
