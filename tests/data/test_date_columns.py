# ruff: noqa: DTZ001  (times without a zone are tested)
"""Columns of dates, `dataset.columns.NAME.date`: the same numbers from every format, and errors that name the mend."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.dates import FORMS, read_date, seconds_of
from raydient.workers.data.moments import _in_common_form, seconds_of_texts

MOMENTS = [datetime(2026, 11, 30, 8, 30), None, datetime(1969, 7, 20, 20, 17, 40, 250_000), datetime(2024, 2, 29)]
PARTS = {"date": {"parts": ["year", "month", "day", "weekday", "hour", "second"]}, "impute": "median"}
DAYS = {"opened": {"date": {"days_since": "2000-01-01"}}}
FILE = "opened,area,y\n2026-11-30,1,0\n2000-01-02T12:00,2,1\n"


def table(**columns):
    return pa.table({**columns, "area": pa.array([1, 2, 3, 4]), "y": pa.array([0, 1, 0, 1])})


def stored(tmp_path, name, content):
    if name.endswith(".parquet"):
        pq.write_table(content, tmp_path / name)
    else:
        pyarrow.feather.write_feather(content, tmp_path / name)
    return (tmp_path / name).read_bytes()


def test_a_date_becomes_its_parts(load_file):
    data = load_file(FILE, columns={"opened": {"date": {"parts": ["month", "year"]}}})
    assert data.train.x.tolist() == [[11, 2026, 1], [1, 2000, 2]]
    assert load_file(FILE, columns=DAYS).train.x[1].tolist() == [1.5, 2]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-30",
        " 2026-11-30 08",
        "2026-11-30T08:30",
        "2026-11-30 08:30:59",
        "1969-07-20T20:17:40.25",
        "0001-01-01",
        "9999-12-31T23:59:59.999999",
        "2024-02-29T00:00:00.000001",
        "NA",
        "",
        "nan",
        "1969-12-31 23:59:59.5",
    ],
)
def test_the_fast_reader_of_texts_finds_what_the_exact_one_does(text):
    moment = read_date(text)
    (value,) = _in_common_form(pa.array([text], pa.large_string())).to_pylist()
    assert value == (None if moment is None else seconds_of(moment))


@pytest.mark.parametrize("text", ["0000-01-01", "2026-02-30", "20261130", "1", "2026-11-30T24:00", "30.11.2026", "x"])
def test_what_is_no_date_is_none_for_the_fast_reader_too(text):
    assert read_date(text) is None
    with pytest.raises(pa.ArrowInvalid):
        seconds_of_texts(pa.array(["2026-11-30", text], pa.large_string()))


def test_what_comes_after_the_date_applies_to_each_part(load_file):
    settings = {"date": {"parts": ["year", "month"]}, "clip": {"max": 2000}, "scale": "min_max"}
    data = load_file(FILE, columns={"opened": settings, "area": "log"})
    np.testing.assert_allclose(data.train.x, [[0, 1, np.log(2)], [0, 0, np.log(3)]], rtol=1e-6)


@pytest.mark.parametrize("name", ["data.parquet", "data.arrow"])
@pytest.mark.parametrize("type_", ["text", "s", "ms", "us", "ns", "zone"])
def test_the_same_moments_give_the_same_bits_in_every_format(load_file, tmp_path, name, type_):
    digits = [None if one is None else one.replace(microsecond=0) if type_ == "s" else one for one in MOMENTS]
    texts = ["NA" if one is None else one.isoformat() for one in digits]
    cells = "".join(f"{text},{row},{row % 2}\n" for row, text in enumerate(texts, 1))
    columns = {"opened": {**PARTS, "indicator": True}}
    expected = load_file("opened,area,y\n" + cells, columns=columns, standardize=True)
    zone = timezone(timedelta(hours=-5))
    values = {
        "text": lambda: pa.array(texts),
        "zone": lambda: pa.array(digits, pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
    }.get(type_, lambda: pa.array(digits, pa.timestamp(type_)))()
    data = load_file(stored(tmp_path, name, table(opened=values)), name=name, columns=columns, standardize=True)
    np.testing.assert_array_equal(data.train.x, expected.train.x)
    shifted = [None if one is None else one.replace(tzinfo=UTC).astimezone(zone).isoformat() for one in digits]
    cells = "".join(f"{text or ''},{row},{row % 2}\n" for row, text in enumerate(shifted, 1))
    zoned = load_file("opened,area,y\n" + cells, columns=columns, standardize=True)
    np.testing.assert_array_equal(zoned.train.x, expected.train.x)


@pytest.mark.parametrize("type_", [pa.date32(), pa.date64()])
def test_days_of_arrow_and_of_numpy(load_file, tmp_path, type_):
    days = [date(2026, 11, 30), date(1950, 1, 2), date(2024, 2, 29), date(1, 1, 1)]
    columns = {"opened": {"date": {"days_since": "2000-01-01"}}}
    content = stored(tmp_path, "data.parquet", table(opened=pa.array(days, type_)))
    data = load_file(content, name="data.parquet", columns=columns)
    assert data.train.x[:, 0].tolist() == [(day - date(2000, 1, 1)).days for day in days]
    arrays = {"opened": np.array(days, "datetime64[D]"), "area": np.ones((4, 2)), "y": np.array([0, 1, 0, 1])}
    inputs = {"opened": "opened", "area": "area"}
    archive = load_file(arrays, inputs=inputs, columns=columns)
    np.testing.assert_array_equal(archive.train.xs["opened"], data.train.x[:, :1])


def test_an_array_of_one_value_a_sample_is_prepared_as_a_column(load_file, errors_of):
    texts = np.array(["2026-11-30", "NA", "2024-02-28", "2024-02-28"])
    arrays = {"opened": texts, "size": np.ones((4, 2)), "y": np.array([0, 1, 0, 1])}
    spec = {"inputs": {"opened": "opened", "size": "size"}, "columns": {"opened": {**PARTS, "indicator": True}}}
    assert load_file(arrays, **spec).train.xs["opened"][1].tolist() == [2024, 2, 28, 2, 0, 0, 1]
    ((path, message),) = errors_of(arrays, **{**spec, "columns": {**spec["columns"], "size": "log"}})
    assert path == "dataset.columns.size"
    assert "samples of shape (2,), but a column has one value" in message
    ((path, message),) = errors_of({**arrays, "opened": np.array(["2026-11-30", "a", "NA", ""])}, **spec)
    assert path == "dataset.inputs.opened.columns[0]"
    assert "'opened' is 'a' in row 2, which is not a date such as 2026-11-30" in message
    ((path, message),) = errors_of(arrays, **{**spec, "columns": DAYS})
    assert "'opened' has no value in row 2; `dataset.impute: median` fills missing values" in message
    moments = {**arrays, "opened": np.array([1, 2, 3, 4], "datetime64[D]")}
    ((path, message),) = errors_of(moments, inputs=spec["inputs"])
    assert "dtype datetime64[D], but must be numbers: `date: {parts: [year, month, day]}` in dataset.columns" in message


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("30.11.2026", "'30.11.2026' in row 1 (line 2) is not a date, such as 2026-11-30 or 2026-11-30T08:30"),
        ("20261130", "'20261130' in row 1 (line 2) is not a date"),
        ("", "row 1 (line 2) has no value; `impute: median` fills such values"),
    ],
)
def test_cells_that_are_no_dates(errors_of, cell, message):
    assert errors_of(FILE.replace("2026-11-30", cell), columns=DAYS)[0][1].startswith(f"column 'opened': {message}")


def test_dates_without_a_form_are_errors_that_name_it(errors_of, tmp_path):
    mend = "`date: {parts: [year, month, day]}` in dataset.columns for 'opened' makes numbers of a date"
    ((path, message),) = errors_of(FILE)
    assert (path, message) == (
        "dataset.features",
        f"column 'opened': '2026-11-30' in row 1 (line 2) is not a number (2 such rows): {mend}",
    )
    content = stored(tmp_path, "data.parquet", table(opened=pa.array(MOMENTS)))
    ((path, message),) = errors_of(content, name="data.parquet")
    assert f"'opened' has the type timestamp[us], and no number: {mend}" in message


def test_typed_values_that_are_no_dates(errors_of, tmp_path):
    content = stored(tmp_path, "data.parquet", table(opened=pa.array([1, 2, 3, 4])))
    ((_, message),) = errors_of(content, name="data.parquet", columns=DAYS)
    assert "'opened' has the type int64, but `date` takes dates, times and texts in ISO 8601" in message
    content = stored(tmp_path, "data.parquet", table(opened=pa.array([0, 2**55, None, 0], pa.timestamp("ms"))))
    ((_, message),) = errors_of(content, name="data.parquet", columns=DAYS)
    assert message == "column 'opened': '36028797018963968' in row 2 is not a date (2 such rows), such as " + FORMS


def test_a_logarithm_of_days_before_the_date_names_its_column(errors_of):
    columns = {"opened": {"date": {"days_since": "2020-01-01"}, "log": True}}
    assert errors_of(FILE, columns=columns) == [
        ("dataset.columns.opened.log", "column 'opened': -7303.5 has no log(1 + x): clip it above -1")
    ]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([datetime(2026, 1, day, 8) for day in (3, 1, 4, 2)], pa.timestamp("ns", "UTC")),
        pa.array([date(2026, 1, day) for day in (3, 1, 4, 2)]),
    ],
    ids=["timestamp", "date32"],
)
def test_rows_are_held_out_in_the_order_of_a_typed_column(load_file, tmp_path, values):
    method = {"ordered": {"by": "seen"}}
    content = stored(tmp_path, "data.parquet", table(seen=values))
    data = load_file(content, name="data.parquet", split={"test": 0.5, "method": method})
    assert data.test.x[:, 0].tolist() == [1, 3]
    arrays = {"x": np.arange(1.0, 5), "y": np.array([0, 1, 0, 1]), "seen": values.to_numpy(zero_copy_only=False)}
    assert load_file(arrays, split={"test": 0.5, "method": method}).test.x[:, 0].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"date": {}}, "`parts`, such as [year, month, day], or `days_since` is needed"),
        ({"date": {"parts": ["year"], "days_since": "2000-01-01"}}, "or `days_since` is needed, one of the two"),
        ({"date": {"parts": ["year", "year"]}}, '"year" is named twice'),
        ({"date": {"parts": ["week"]}}, '"week" is no part of a date; these are year, month'),
        ({"date": {"days_since": "1.1.2000"}}, '"1.1.2000" is not a date such as 2026-11-30'),
        ("median", '"median" is no setting that stands alone, as `log` is: write `SETTING: median`'),
    ],
)
def test_settings_that_mean_nothing(settings, message):
    with pytest.raises(ValidationError) as caught:
        DatasetSpec.model_validate({"uri": "a.csv", "columns": {"a": settings}})
    assert message in str(caught.value)
