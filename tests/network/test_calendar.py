# ruff: noqa: DTZ001  (times without a zone are tested)
"""Dates become parts of the calendar or days since a date, in arrays, in the model file and in ONNX."""

import io
import json
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import onnx
import onnxruntime
import pytest

from raydient.spec.columns import Bounds, DateForm, Impute
from raydient.spec.date_arrays import seconds_of_array
from raydient.spec.dates import PARTS, microseconds_of, read_date, seconds_of, seconds_text
from raydient.workers.network import (
    Bounding,
    Dates,
    Imputation,
    Logarithm,
    Preprocessing,
    SampleError,
    Scaling,
    load_model,
    save_model,
)
from raydient.workers.network.onnx_export import write_onnx

from .test_imputation import identity

EPOCH = datetime(1970, 1, 1)
EVERY = Dates.of({0: DateForm(parts=PARTS)})
ENDS = [
    datetime(year, month, day, hour, 59, 59, 999_000)
    for year in (1, 4, 100, 400, 1900, 1969, 1970, 2000, 2024, 2100, 9999)
    for month, day, hour in ((1, 1, 0), (2, 28, 23), (3, 1, 0), (12, 31, 23))
]


def test_parts_are_those_of_python_at_every_end_of_the_calendar():
    drawn = np.random.default_rng(3).integers(-62_135_596_800, 253_402_300_800, 2000).tolist()
    moments = [*ENDS, datetime(2000, 2, 29), datetime(2024, 2, 29, 12), *(EPOCH + timedelta(seconds=s) for s in drawn)]
    expected = [
        [m.year, m.month, m.day, m.weekday(), m.timetuple().tm_yday, m.hour, m.minute, m.second] for m in moments
    ]
    seconds = np.array([[seconds_of(moment)] for moment in moments])
    np.testing.assert_array_equal(EVERY.apply(seconds), expected)


def test_days_since_a_date_have_a_fraction():
    step = Dates.of({0: DateForm(days_since="2000-01-01"), 2: DateForm(days_since="2000-01-01T12:00+02:00")})
    noon = seconds_of(datetime(2000, 1, 2, 12))
    assert step.apply(np.array([[noon, 7, noon]])).tolist() == [[1.5, 7, 1 + 2 / 24]]


def test_a_time_with_a_zone_is_in_utc_and_one_without_too():
    berlin = datetime(2026, 11, 30, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert seconds_of(berlin) == seconds_of(datetime(2026, 11, 29, 23, 30)) == 1_796_081_400 - 86_400
    assert read_date("2026-11-30T00:30+01:00") == berlin
    assert microseconds_of(date(1970, 1, 2)) == microseconds_of(datetime(1970, 1, 2, tzinfo=UTC)) == 86_400_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (" 2026-11-30 ", datetime(2026, 11, 30)),
        ("2026-11-30 08:30", datetime(2026, 11, 30, 8, 30)),
        ("2026-11-30T08:30:00.1234567Z", datetime(2026, 11, 30, 8, 30, 0, 123_456, UTC)),
        ("20261130T0830", datetime(2026, 11, 30, 8, 30)),
        ("20261130", None),
        ("30.11.2026", None),
        ("2026-02-30", None),
        ("0001-01-01T00:00+14:00", None),
        ("", None),
    ],
)
def test_texts_that_are_dates(text, moment):
    assert read_date(text) == moment


@pytest.mark.parametrize("unit", ["D", "h", "m", "s", "ms", "us", "ns", "ps"])
def test_every_unit_of_numpy_has_the_seconds_of_python(unit):
    moments = [datetime(1969, 12, 31, 22), datetime(1970, 1, 1), datetime(1970, 1, 2, 7)]
    array = np.array([*moments, "NaT"], f"datetime64[{unit}]")
    expected = [seconds_of(array[:3].astype("datetime64[us]")[row].item()) for row in range(3)]
    assert seconds_of_array(array)[:3].tolist() == expected
    assert np.isnan(seconds_of_array(array)[3])


def test_moments_outside_of_the_calendar_are_infinite():
    far = [np.iinfo(np.int64).max, -(10**18), 10**14]
    for unit in ("Y", "M", "W", "D", "s"):
        assert np.isinf(seconds_of_array(np.array(far, f"datetime64[{unit}]"))).all(), unit
    assert seconds_of_array(np.array(["1970", "1971-02"], "datetime64[M]")).tolist() == [0, 396 * 86_400]
    before = np.array([-1, -1001, 1999], "datetime64[ns]")  # digits below a microsecond are cut off, as in texts
    assert seconds_of_array(before).tolist() == [-1e-6, -2e-6, 1e-6]


def test_texts_of_seconds():
    assert seconds_text(0) == "1970-01-01"
    assert seconds_text(seconds_of(datetime(2026, 11, 30, 8, 5, 1))) == "2026-11-30T08:05:01"
    assert seconds_text(-0.5) == "1969-12-31T23:59:59.500000"
    assert seconds_text(1e300) == "1e+300 seconds since 1970"


def test_every_step_after_a_date_takes_its_features_in_the_model_file_and_in_onnx(tmp_path):
    x = np.array([[3.0, seconds_of(datetime(2026, 11, 30)), 1, 86_400 * 50.25]])
    x = np.concatenate([x, [[5.0, np.nan, 2, 0.5], [7.0, seconds_of(datetime(1815, 12, 10, 3, 4, 5)), 3, 86_400 * 3]]])
    imputation = Imputation.fit(x, {1: Impute.model_validate("median")}, [1])
    dates = Dates.of({1: DateForm(parts=("month", "year", "weekday", "hour")), 3: DateForm(days_since="1969-12-31")})
    bounding = Bounding.of({2: Bounds(min=1900)})
    steps = [imputation, dates, bounding, Logarithm(np.array([6]))]
    made = x
    for step in steps:
        made = step.apply(made)
    assert made[0].tolist() == [3, 11, 2026, 0, 0, 1, np.log(52.25), 0]
    assert made[:, 2].tolist() == [2026, 1921, 1900]
    assert made[:, -1].tolist() == [0, 1, 0]
    kinds = ["none", "min_max", "standardize", "none", "none", "none", "standardize", "none"]
    model = identity(Preprocessing((4,), tuple("abcd"), True, (*steps, Scaling.fit_each(made, kinds))))
    assert model.input.date_columns == ("b", "d")
    expected = model.predict(x)
    save_model(tmp_path / "m.safetensors", model)
    np.testing.assert_array_equal(load_model(tmp_path / "m.safetensors").predict(x), expected)
    file = io.BytesIO()
    write_onnx(model, file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"input": x})[0], expected, rtol=1e-6)
    properties = {entry.key: entry.value for entry in onnx.load_from_string(file.getvalue()).metadata_props}
    assert json.loads(properties["dates"]) == ["b", "d"]
    with pytest.raises(SampleError, match=r"1969-12-25 in column d has no log\(1 \+ x\), which needs numbers above -1"):
        model.predict(np.array([[0, 0, 0, -7 * 86_400.0]]))


def test_onnx_has_every_part():
    model = identity(Preprocessing((1,), ("d",), True, (EVERY,)))
    file, x = io.BytesIO(), np.array([[seconds_of(moment)] for moment in ENDS])
    write_onnx(model, file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"input": x})[0], EVERY.apply(x))
