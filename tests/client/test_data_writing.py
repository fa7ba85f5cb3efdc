"""Tables and arrays of every Python form become data files that training reads as the same values."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydient.client.columns import InvalidSamples
from raydient.client.data_writing import write_data
from raydient.spec.dataset import Dataset
from raydient.workers.data import Budget, csv_file, npz_file

TABLE = {"a": [1.5, -2.0], "town": ["Ulm", 'K"ö,\nln'], "y": [1, 0]}
CONTENT = 'a,town,y\n1.5,Ulm,1\n-2.0,"K""ö,\nln",0\n'


def of(**fields: object) -> Dataset:
    return Dataset.model_validate({"uri": "data", **fields})


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        pd.DataFrame(TABLE),
        pd.DataFrame(TABLE, index=[7, 7]),
        pd.DataFrame(TABLE).astype({"town": "category", "a": "Float64"}),
        pa.table(TABLE),
        pd.DataFrame(TABLE).to_dict("records"),
        np.array(list(zip(*TABLE.values(), strict=True)), [("a", "f8"), ("town", "U9"), ("y", "i4")]),
    ],
    ids=lambda data: type(data).__name__,
)
def test_a_table_is_a_csv_file(data: object, tmp_path: Path) -> None:
    path = write_data(data, of(), tmp_path)
    assert path.read_text() == CONTENT
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.csv"]


def test_missing_values_booleans_and_dates(tmp_path: Path) -> None:
    table = {
        "n": [None, 1.0, np.nan],
        "i": pd.array([1, None, 3], "Int64"),
        "b": [True, False, None],
        "c": np.array([True, False, True]),
        "t": np.array(["2026-01-02", "NaT", "2026-01-04T05:06"], "M8[s]"),
        "d": [date(2026, 1, 2), datetime(2026, 1, 3, 4, 5, tzinfo=UTC), pd.NaT],
        "s": ["x", None, "NA"],
        "f": np.array([0.1, 1e-45, np.nan], np.float32),
    }
    dataset = of(inputs={"i": {"columns": ["c"], "categories": True}, "j": ["n"]})
    assert write_data(table, dataset, tmp_path).read_text().splitlines() == [
        "n,i,b,c,t,d,s,f",
        ",1.0,1,True,2026-01-02T00:00:00,2026-01-02,x,0.10000000149011612",
        "1.0,,0,False,,2026-01-03T04:05:00+00:00,,1.401298464324817e-45",
        ",3.0,,True,2026-01-04T05:06:00,,NA,",
    ]


@pytest.mark.parametrize(
    "dialect", [{"decimal": ","}, {"delimiter": ";", "decimal": ",", "encoding": "utf-16"}, {"encoding": "latin-1"}]
)
def test_a_table_is_written_in_the_dialect_that_its_job_reads(tmp_path: Path, dialect: dict[str, str]) -> None:
    table = {"größe": [1.5, None, 1e-300], "code": ["1.5", "2,5", "a,b"], "y": [0.25, 1, 2]}
    inputs = {"n": ["größe"], "c": {"columns": ["code"], "categories": True}}
    dataset = of(inputs=inputs, impute="mean", csv=dialect)
    raw = csv_file.read([write_data(table, dataset, tmp_path)], dataset, (), Budget())
    assert np.array_equal(raw.inputs["n"].values[:, 0], [1.5, np.nan, 1e-300], equal_nan=True)
    assert raw.inputs["c"].values[:, 0].tolist() == table["code"]
    assert raw.labels["label"].tolist() == table["y"]


def test_a_name_that_the_encoding_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSamples, match="a name of the columns is not latin-1"):
        write_data({"\u4e2d": [1.0], "y": [0]}, of(csv={"encoding": "latin-1"}), tmp_path)


def test_booleans_keep_their_names_as_labels(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [True, False], "y": [True, False]})
    assert write_data(table, of(), tmp_path).read_text() == "a,y\n1,True\n0,False\n"
    assert write_data(table, of(label_columns=["y", "a"]), tmp_path).read_text() == "a,y\nTrue,True\nFalse,False\n"
    assert write_data(table, None, tmp_path).read_text() == "a,y\nTrue,True\nFalse,False\n"


NUMBERS = st.one_of(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5).map(np.array),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=5).map(
        lambda values: np.array(values, np.float32)
    ),
    st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=5).map(np.array),
    st.lists(st.booleans(), min_size=1, max_size=5).map(np.array),
)


@settings(derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=NUMBERS)
def test_numbers_are_read_to_the_bit(tmp_path: Path, column: np.ndarray) -> None:
    path = write_data({"a": column, "y": np.zeros(len(column))}, of(), tmp_path)
    raw = csv_file.read([path], of(), (), Budget()).inputs
    assert raw is not None
    assert raw["input"].values[:, 0].tobytes() == column.astype(np.float64).tobytes()


def test_arrays_are_an_npz_file(tmp_path: Path) -> None:
    x, y = np.arange(12, dtype=np.uint8).reshape(3, 2, 2), ["a", "b", "a"]
    for data, dataset in (
        ((x, y), of()),
        ({"x": x, "y": y}, of()),
        ((x, y), of(features=["file"], label="kind")),
        ((x.tolist(), pd.Series(y)), of()),
    ):
        path = write_data(data, dataset, tmp_path)
        raw = npz_file.read([path], dataset, (), Budget())
        assert raw.inputs is not None
        assert raw.inputs["input"].values.tolist() == x.tolist()
        assert raw.labels["label"] == y
    assert write_data((x, y), None, tmp_path).name == "data.npz"


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, np.ma.masked], ids=repr)
def test_missing_numbers_of_arrays_are_nan(tmp_path: Path, missing: object) -> None:
    expected = [[1, np.nan], [3, 4]]
    masked = np.ma.masked_array([[1, 2], [3, 4]], mask=[[False, True], [False, False]])
    for x in ([[1, missing], [3, 4]], [[True, missing], [3.0, 4]], masked, list(masked)):
        with np.load(write_data((x, [0, missing]), of(), tmp_path)) as arrays:
            np.testing.assert_array_equal(arrays["x"], expected)
            assert arrays["y"].tolist() == [0, pytest.approx(np.nan, nan_ok=True)]
    assert write_data({"a": masked[0], "y": [missing, 1]}, of(), tmp_path).read_text() == "a,y\n1,\n,1\n"
    with pytest.raises(InvalidSamples, match="y, row 2: there is no value"):
        write_data((masked, ["p", missing]), of(), tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "must be a DataFrame, .* not int"),
        (np.zeros((2, 2)), "must be a DataFrame, .* not ndarray"),
        (pd.Series([1, 2], name="a"), "must be a DataFrame, .* not Series"),
        ({}, "no columns"),
        ({"a": [1], "b": [1, 2]}, "a has 1, b has 2"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than one column named 'a'"),
        ({"a": [1, {}]}, r"a, row 2: \{\} is neither a number, a text nor a date"),
        ({"a": [1, Decimal(1)]}, r"a, row 2: Decimal\('1'\) is neither"),
        ({"a": np.array([1j])}, "a: its values are complex128"),
        ({"a": ["\udcff"]}, "a text in rows 1 to 4096 is not UTF-8"),
        ({"a": [[1, 2], [3]], "b": [1, 2]}, r"a, row 1: \[1, 2\] is neither"),
        ({"a": np.zeros((2, 2)), "b": [1, {}]}, "b, row 2"),
    ],
)
def test_other_data_are_refused(data: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSamples, match=message):
        write_data(data, of(), tmp_path)


def test_a_pair_needs_one_name_for_each(tmp_path: Path) -> None:
    for fields in ({"features": ["a", "b"]}, {"labels": {"one": "y"}}, {"sample_weight": "w"}):
        with pytest.raises(InvalidSamples, match="give a mapping with an array for each name"):
            write_data(([1], [2]), of(**fields), tmp_path)
    assert write_data(str(tmp_path / "my.csv"), of(), tmp_path) == tmp_path / "my.csv"
