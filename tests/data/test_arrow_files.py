"""Parquet and Arrow files: the same data as in a CSV file, and one clear error for what cannot be read."""

import io
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from raydient.workers.data import limits, parquet_file
from raydient.workers.data.faults import CATEGORIES

KINDS = "only numbers, booleans and texts are read"
TABLE = pa.table(
    {
        "whole": pa.array([3, 1, 2, 5, 9, 7], pa.int32()),
        "part": pa.array([0.1, 1e-300, -7.25, 3.5, 2 / 3, 1e17]),
        "flag": pa.array([True, False, False, True, True, False]),
        "gap": pa.array([1.5, None, 2.5, None, 4.0, 0.1]),
        "digits": pa.array([" 1", "2.5", "-3", "4e2", "TRUE", "0"]),
        "city": pa.array(["Köln", "Bonn", "Bonn", "Köln", "Ulm", "Ulm"]).dictionary_encode(),
        "y": pa.array(["no", "yes", "yes", "no", "no", "yes"]),
    }
)
INPUTS = {
    "numbers": ["part", "whole", "flag", "gap", "digits"],
    "places": {"columns": "city", "categories": True},
}


def content(table: pa.Table, suffix: str) -> bytes:
    """Return the bytes of a table as a file with this suffix."""
    file = io.BytesIO()
    match suffix:
        case ".parquet":
            pq.write_table(table, file, row_group_size=4)
        case ".arrow":
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table, max_chunksize=4)
        case ".feather":
            feather.write_feather(table, file, compression="lz4", chunksize=4)
        case _:
            pa_csv.write_csv(table, file)
    return file.getvalue()


@pytest.fixture(params=[".parquet", ".arrow", ".feather"])
def suffix(request) -> str:
    """Suffix of a file of typed columns."""
    return request.param


@pytest.fixture
def load_table(load_file, suffix):
    """As `load_file`, of a table that is written with the suffix."""
    return lambda table, *args, **settings: load_file(content(table, suffix), *args, name=f"data{suffix}", **settings)


@pytest.fixture
def table_errors(errors_of, suffix):
    """As `errors_of`, of a table that is written with the suffix."""
    return lambda table, *args, **settings: errors_of(content(table, suffix), *args, name=f"data{suffix}", **settings)


def test_the_data_are_those_of_a_csv_file_to_the_bit(load_file, load_table):
    settings = {"inputs": INPUTS, "impute": "mean", "standardize": True, "split": {"test": 0.3}}
    expected = load_file(content(TABLE, ".csv"), **settings)
    data = load_table(TABLE, **settings)
    for name, array in expected.arrays().items():
        assert data.arrays()[name].tobytes() == array.tobytes()
        assert data.arrays()[name].dtype == array.dtype
    assert repr(data.inputs) == repr(expected.inputs)
    assert data.targets == expected.targets


@pytest.mark.parametrize(
    ("values", "loss", "expected"),
    [
        (pa.array([2, 0, 1], pa.uint8()), "softmax_cross_entropy", [2, 0, 1]),
        (pa.array([2.5, 0, 1], pa.float32()), "mean_squared_error", [2.5, 0, 1]),
        (pa.array([True, False, True]), "binary_cross_entropy", [1, 0, 1]),
        (pa.array(["10", "9", "10"]), "mean_squared_error", [10, 9, 10]),
        (pa.array([2**60, 5, 2**60 + 1]), {"softmax_cross_entropy": {"categories": True}}, [1, 0, 2]),
        (pa.array([10, 9, 10]).dictionary_encode(), {"softmax_cross_entropy": {"categories": True}}, [1, 0, 1]),
    ],
)
def test_labels_keep_their_type(load_table, values, loss, expected):
    data = load_table(pa.table({"a": [1.0, 2.0, 3.0], "y": values}), loss)
    assert data.train.y.ravel().tolist() == expected


def test_categories_may_be_numbers(load_table):
    table = pa.table({"a": [30, 4, 4], "b": [True, False, True], "c": pa.array([1.5, 2, 2]), "y": [0, 1, 0]})
    inputs = {name: {"columns": name, "categories": True} for name in "abc"}
    assert [one.vocabulary for one in load_table(table, inputs=inputs).inputs.values()] == [
        ("30", "4"),
        ("False", "True"),
        ("1.5", "2"),
    ]


def test_bad_values_are_named_with_their_rows(table_errors):
    table = pa.table(
        {
            "empty": [1.0, None, 2.0, 3.0, 4.0, None],
            "nan": [1.0, 2.0, 3.0, 4.0, 5.0, float("nan")],
            "inf": pa.array([1.0, 2.0, float("inf"), 4.0, 5.0, 6.0], pa.float32()),
            "word": ["1", "2", "3", "4", "5", "six"],
            "y": ["a", "b", "a", "", None, "b"],
        }
    )
    fills = "; `impute: median` fills such values, in dataset.columns for {!r}, in dataset for all"
    assert table_errors(table) == [
        ("dataset.features", "column 'empty': row 2 has no value (2 such rows)" + fills.format("empty")),
        ("dataset.features", "column 'nan': 'nan' in row 6 stands for a missing value" + fills.format("nan")),
        ("dataset.features", "column 'inf': 'inf' in row 3 is not finite"),
        ("dataset.features", f"column 'word': 'six' in row 6 is not a number{CATEGORIES}"),
        ("dataset.label", "column 'y': row 4 has no value (2 such rows)"),
    ]


def test_a_label_without_errors_is_still_checked(table_errors):
    table = pa.table({"a": [1.0, None, 2.0], "y": [0, 1, -1]})
    assert [path for path, _ in table_errors(table)] == ["dataset.features", "dataset.label"]


@pytest.mark.parametrize(
    ("values", "type_", "words"),
    [
        (pa.array([[1], [2]]), "list<", KINDS),
        (pa.array([{"b": 1}, {"b": 2}]), "struct<", KINDS),
        (pa.array([0, 1], pa.timestamp("us")), "timestamp[us]", "no number: `date: {parts: [year, month, day]}`"),
        (pa.array([0, 1], pa.date32()), "date32", "no number: `date: {parts: [year, month, day]}`"),
        (pa.array([1, 2], pa.decimal128(5, 2)), "decimal128(5, 2)", KINDS),
        (pa.array([b"a", b"b"]), "binary", KINDS),
    ],
)
def test_other_types_are_refused_where_they_are_used(table_errors, load_table, values, type_, words):
    table = pa.table({"good": [1.0, 2.0], "odd": values, "y": [0, 1]})
    ((path, message),) = table_errors(table)
    assert path == "dataset.features"
    assert message.startswith(f"column 'odd' has the type {type_}")
    assert words in message
    assert load_table(table, features=["good"]).train.x.shape == (2, 1)


@pytest.mark.parametrize("schema", [pa.schema([]), pa.schema({"a": pa.int8(), "y": pa.int8()})])
def test_a_table_without_rows_is_refused(table_errors, schema):
    assert table_errors(schema.empty_table())


def test_names_are_found_as_in_a_csv_file(table_errors, load_table):
    twice = pa.table([[1, 2], [3, 4], [0, 1]], ["a", "a", "y"])
    assert "more than one column named 'a'" in table_errors(twice)[0][1]
    assert "did you mean 'age'" in table_errors(pa.table({"age": [1], "y": [0]}), features=["agee"])[0][1]
    assert load_table(pa.table({"0": [1, 2], "1": [0, 1]}), label="1").input.columns == ("0",)
    dotted = pa.table({"a": [1, 2], "a.b": [3, 4], "y": [0, 1]})
    assert load_table(dotted, features=["a"]).train.x.ravel().tolist() == [1, 2]


def test_long_texts_and_texts_that_are_not_utf8_are_refused(table_errors):
    long = pa.array(["x" * 5000, "b"] * 3).dictionary_encode()
    broken = pa.array([b"\xff", b"b"] * 3).view(pa.string())
    numbers = [1.0, 2.0] * 3
    assert table_errors(pa.table({"a": numbers, "y": long}))[0][1].endswith("longer than 4096 bytes (3 such rows)")
    assert "is not UTF-8 text" in table_errors(pa.table({"a": numbers, "y": broken}))[0][1]


def test_a_file_of_another_kind_or_without_its_end_is_refused(errors_of, suffix):
    whole = content(TABLE, suffix)
    for damaged in (b"a,y\n1,0\n", b"", whole[: len(whole) // 2], whole[:-9], b"ARROW1\0\0" + bytes(40)):
        ((path, message),) = errors_of(damaged, name=f"data{suffix}")
        assert path == "dataset.uri"
        assert "that can be read: " in message
        assert message.isprintable()


def test_a_text_that_repeats_is_unpacked_once(errors_of):
    """A file of some kilobytes whose labels would take 2 GiB."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2000, np.int32)), ["x" * 2**20])
    file, usual = io.BytesIO(), pa.default_memory_pool()
    pq.write_table(pa.table({"a": np.arange(2000.0), "y": text}), file)
    pa.set_memory_pool(pool := pa.proxy_memory_pool(usual))
    try:
        ((path, message),) = errors_of(file.getvalue(), name="data.parquet")
    finally:
        pa.set_memory_pool(usual)
    assert path == "dataset.label"
    assert message.endswith("is longer than 4096 bytes (2000 such rows)")
    assert pool.max_memory() < 2**27


def test_declared_rows_are_compared_with_memory_and_disk_before_they_are_unpacked(tmp_path, errors_of, monkeypatch):
    """10^8 equal values in a file of some kilobytes."""
    monkeypatch.setattr(limits, "available_bytes", lambda: 2**28)
    monkeypatch.setattr(limits, "disk_usage", lambda _: SimpleNamespace(free=2**28))
    monkeypatch.setattr(parquet_file.pq.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("it was unpacked"))
    group = pa.table({"a": np.zeros(5_000_000), "y": np.zeros(5_000_000, np.int8)})
    file = io.BytesIO()
    with pq.ParquetWriter(file, group.schema) as writer:
        for _ in range(4):
            writer.write_table(group)
    ((path, message),) = errors_of(file.getvalue(), name="data.parquet")
    assert path == "dataset.uri"
    assert "its data do not fit 256.0 MiB of free memory, and " in message
    assert "has no room for them: No space left on device; free some room" in message
