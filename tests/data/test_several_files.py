"""One table in several files, which a path names by wildcards, or which are listed."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydient.spec.dataset import Dataset
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Output
from raydient.spec.patterns import are_files, data_path, files_of
from raydient.workers.data import limits, load

PARTS = {
    "part-1.csv": "a,b,y\n1,2,no\n3,4,yes\n",
    "part-10.csv": "y,b,a\nno,6,5\n",
    "part-2.csv": "b,y,a\n8,yes,TRUE\n",
}
WHOLE = "a,b,y\n1,2,no\n3,4,yes\n5,6,no\nTRUE,8,yes\n"
LOSS = {"softmax_cross_entropy": {"categories": True}}


def read(folder: Path, uri: str | list[str], loss=LOSS, **settings):
    """Load the files of a folder."""
    spec = Dataset.model_validate({"uri": uri, "split": {"test": 0.0}, **settings})
    data = data_path(folder / name for name in spec.training_uris.values())
    return load(spec, data, [Output(layer="out", label="label", loss=loss)], 1)


def errors(folder: Path, uri: str | list[str], **settings) -> list[tuple[str, str]]:
    """Return path and message of each error."""
    with pytest.raises(InvalidSpec) as caught:
        read(folder, uri, **settings)
    return [(error.path, error.message) for error in caught.value.errors]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with PARTS, and with files that their pattern does not name."""
    for name, content in {**PARTS, "whole.csv": WHOLE, ".part-0.csv": "x", "part-3.text": "x"}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "part-4.csv").mkdir()
    return tmp_path


def test_files_are_sorted_by_name(folder):
    assert [file.name for file in files_of(folder / "part-*.csv")] == list(PARTS)
    assert [file.name for file in files_of(folder / "part-[12].csv")] == ["part-1.csv", "part-2.csv"]
    assert files_of(folder / "none-*.csv") == []
    assert [are_files(folder / name) for name in ("part-?.csv", "whole.csv", "no*", "a.csv", "no/*")] == [1, 1, 0, 0, 0]


def test_a_file_whose_name_has_a_wildcard_is_that_file(folder):
    (folder / "part-[1].csv").write_text(WHOLE)
    assert read(folder, "part-[1].csv").train.rows == 4


def test_the_data_are_those_of_one_file(folder):
    expected, data = read(folder, "whole.csv"), read(folder, "part-*.csv")
    for name, array in expected.arrays().items():
        assert data.arrays()[name].tobytes() == array.tobytes()
    assert repr((data.input, data.target)) == repr((expected.input, expected.target))
    for name, content in PARTS.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    assert read(folder, "part-*.csv.gz").train.x.tobytes() == expected.train.x.tobytes()


def test_a_list_has_an_order_of_its_own(folder):
    (folder / "part-2.csv.gz").write_bytes(gzip.compress(PARTS["part-2.csv"].encode()))
    data = read(folder, ["part-2.csv.gz", "part-1*.csv"], features=["a"])
    assert data.train.x.ravel().tolist() == [1, 1, 3, 5]


@pytest.mark.parametrize(
    ("uris", "message"),
    [
        (["part-1.csv", "part-*.csv"], "'part-1.csv' is named twice, so its rows would be read twice: name it once"),
        (["part-1.csv", "link.csv"], "'link.csv' is named twice, so its rows would be read twice: name it once"),
        (["part-1.csv", "a.parquet"], "'a.parquet': the file is PARQUET, 'part-1.csv' is CSV: use one format"),
        (["part-1.csv", "part-3.text"], "'part-3.text': the file's suffix is '.text'; those of data files are "),
        (["part-1.csv", "none-*.csv"], "the file is missing: none has a name like 'none-*.csv'"),
        (["part-1.csv", "absent.csv"], "'absent.csv': there is no such file"),
    ],
)
def test_lists_that_are_refused(folder, uris, message):
    (folder / "link.csv").symlink_to(folder / "part-1.csv")
    ((path, text),) = errors(folder, uris)
    assert (path, text[: len(message)]) == ("dataset.uri", message)


def test_a_column_that_a_later_file_lacks_is_named_with_the_file(folder):
    for number in range(10):
        (folder / f"day-{number}.csv").write_text(PARTS["part-1.csv"] if number < 9 else "a,y\n1,no\n")
    for uri in ("day-*.csv", [f"day-{number}.csv" for number in range(10)]):
        ((path, message),) = errors(folder, uri)
        assert (path, message) == ("dataset.features", "'day-9.csv': 'b' is not a column of the file; there are: a, y")


def test_held_out_data_may_be_a_list_too(folder):
    spec = Dataset.model_validate({"uri": "whole.csv", "validation": {"uri": ["part-1.csv", "part-2.csv"]}})
    own = data_path(folder / name for name in spec.validation_uris.values())
    output = Output(layer="out", label="label", loss=LOSS)
    assert load(spec, folder / "whole.csv", [output], 1, validation=own).test.x[:, 0].tolist() == [1, 3, 1]


def test_labels_may_be_texts_in_one_file_and_numbers_in_another(tmp_path):
    (tmp_path / "1.csv").write_text("a,y\n1,10\n2,9\n")
    (tmp_path / "2.csv").write_text("a,y\n1,x\n2,9\n")
    assert read(tmp_path, "*.csv", "softmax_cross_entropy").target.classes == ("10", "9", "x")
    for name, values in (("1", [1, 2]), ("2", [0.5, 2.0]), ("3", ["4", "5"])):
        pq.write_table(pa.table({"a": [1.0, 2.0], "y": values}), tmp_path / f"{name}.parquet")
    data = read(tmp_path, "[12].parquet", "mean_squared_error")
    assert data.train.y.ravel().tolist() == [1, 2, 0.5, 2]
    assert read(tmp_path, "?.parquet", "mean_squared_error").train.y.ravel().tolist() == [1, 2, 0.5, 2, 4, 5]


@pytest.mark.parametrize(
    ("content", "path", "message"),
    [
        ("a,y\n1,no\n", "dataset.features", "'b' is not a column of the file; there are: a, y"),
        ("a,b\n1,2\n", "dataset.label", "'y' is not a column of the file; there are: a, b"),
        ("a,b,c,y\n1,2,3,no\n", "dataset.features", "'part-1.csv' has no column 'c': name the columns to use in"),
        ("a,b,y\n1,2,no\n1,x,no\n", "dataset.features", "column 'b': 'x' in row 2 (line 3) is not a number"),
        ("a,b,y\n", "dataset.uri", "the file has a header but no rows"),
        ("", "dataset.uri", "the file is empty"),
    ],
)
def test_errors_name_the_file(folder, content, path, message):
    (folder / "part-11.csv").write_text(content)
    ((where, text),) = errors(folder, "part-*.csv")
    assert where == path
    assert text.startswith(f"'part-11.csv': {message}")


def test_columns_that_a_job_does_not_use_may_differ(folder):
    (folder / "part-3.csv").write_text("note,a,y\n?,7,no\n")
    assert read(folder, "part-*.csv", features=["a"]).train.x.ravel().tolist() == [1, 3, 5, 1, 7]
    named = errors(folder, "part-*.csv", features=["b"])
    assert named == [("dataset.features[0]", "'part-3.csv': 'b' is not a column of the file; there are: note, a, y")]


def test_bad_values_of_several_files_are_all_named(folder):
    (folder / "part-10.csv").write_text("a,b,y\n1,?,no\n")
    (folder / "part-2.csv").write_text("a,b,y\n!,1,no\n")
    names = [message.split(":")[0] for _, message in errors(folder, "part-*.csv")]
    assert names == ["'part-10.csv'", "'part-2.csv'"]


MEAN = "mean_squared_error"
BINARY = "binary_cross_entropy"
BY_COLUMN = {"test": 0.0, "method": {"column": {"name": "part", "train": ["p"], "test": ["t"]}}}
IN_ORDER = {"test": 0.3, "method": {"ordered": {"by": "part"}}}
BY_CLASS = {"test": 0.3, "method": {"stratified": {"by": "part"}}}


@pytest.mark.parametrize(
    ("loss", "row", "settings", "message"),
    [
        (MEAN, "7,x,1,p", {}, "'y': 'x' in row 3 of 'b.csv' is text, but a loss on numbers needs numbers"),
        (BINARY, "7,2,1,p", {}, "'y': 2 in row 3 of 'b.csv' is neither 0 nor 1"),
        (MEAN, "7,1,-1,p", {}, "-1.0 in row 3 of 'b.csv' is not a weight"),
        (MEAN, "7,1,x,p", {}, "'x' in row 3 of 'b.csv' is text, but a weight is a number"),
        (MEAN, "7,1,1,q", {"split": BY_COLUMN}, "'part': 'q' in row 3 of 'b.csv' names no part"),
        (MEAN, "7,1,1,p", {"split": IN_ORDER}, "'part': 'p' in row 1 of 'a.csv' is not"),
        (MEAN, "7,1,1,q", {"split": BY_CLASS}, "'part': row 3 of 'b.csv' is the only one of the class 'q'"),
        (MEAN, "1e39,1,1,p", {}, "column 'a': 1e+39 in row 3 of 'b.csv' is too large for float32"),
    ],
)
def test_a_row_that_the_readers_accept_is_named_with_its_file(tmp_path, loss, row, settings, message):
    (tmp_path / "a.csv").write_text("a,y,w,part\n1,0,1,p\n2,1,1,t\n")
    (tmp_path / "b.csv").write_text(f"a,y,w,part\n3,0,1,p\n4,1,1,t\n{row}\n")
    (tmp_path / "c.csv").write_text("a,y,w,part\n5,1,1,p\n")
    texts = [text for _, text in errors(tmp_path, "?.csv", loss=loss, features=["a"], sample_weight="w", **settings)]
    assert texts[0].startswith(message)
    assert len(texts) == 1


def test_rows_of_held_out_files_are_named_with_their_file(folder):
    spec = Dataset.model_validate({"uri": "whole.csv", "validation": {"uri": ["part-1.csv", "part-10.csv"]}})
    (folder / "part-10.csv").write_text("y,b,a\nno,6,5\nmaybe,1,1\n")
    own = data_path(folder / name for name in spec.validation_uris.values())
    with pytest.raises(InvalidSpec, match=r"'maybe' in row 2 of 'part-10.csv' does not occur in the training data"):
        load(spec, folder / "whole.csv", [Output(layer="out", label="label", loss=LOSS)], 1, validation=own)


def test_patterns_that_name_nothing_and_arrays_are_refused(folder):
    missing = [("dataset.uri", "the file is missing: none has a name like 'none-*.csv'")]
    assert errors(folder, "none-*.csv") == missing
    for name in ("1.npz", "2.npz"):
        np.savez(folder / name, x=np.zeros((2, 1)), y=np.zeros(2))
    assert "only tables are read from several files" in errors(folder, "*.npz")[0][1]


def test_a_file_that_cannot_be_read_is_named(folder):
    (folder / "part-3.csv.gz").write_bytes(b"a,b,y")
    (folder / "part-9.csv.gz").write_bytes(gzip.compress(WHOLE.encode())[:-9])
    (folder / "part-1.csv.gz").write_bytes(gzip.compress(WHOLE.encode()))
    ((path, message),) = errors(folder, "part-[13].csv.gz")
    assert (path, message.startswith("'part-3.csv.gz': the file cannot be read: ")) == ("dataset.uri", True)
    ((_, message),) = errors(folder, "part-[19].csv.gz")
    assert message.startswith("'part-9.csv.gz': the file cannot be read: ")
    (folder / "part-5.csv").symlink_to(folder / "absent")
    assert errors(folder, "part-*.csv") == [("dataset.uri", "'part-5.csv': there is no such file")]


def test_all_files_together_have_to_fit_the_memory(tmp_path, monkeypatch):
    rows = "a,y\n" + "".join(f"1,class {n}\n" for n in range(1000))
    for number in range(4):
        (tmp_path / f"{number}.csv").write_text(rows)
    monkeypatch.setattr(limits, "available_bytes", lambda: 450_000)
    assert read(tmp_path, "0.csv").train.rows == 1000
    ((path, message),) = errors(tmp_path, "*.csv")
    assert (path, "of memory" in message) == ("dataset.uri", True)
