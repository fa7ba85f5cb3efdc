# ruff: noqa: DTZ001  (times without a zone are tested)
"""Columns of dates in predictions: the same moments in every form of samples give the same bits."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raydient.client import LocalModel
from raydient.client.data_writing import write_data
from raydient.spec.columns import DateForm
from raydient.spec.dates import seconds_of
from raydient.spec.network import Network
from raydient.workers.network import Dates, Imputation, Model, Preprocessing, build

SPECIFICATION = Network.model_validate({"layers": [{"dense": {"units": 2}}], "loss": "mean_squared_error"})
MOMENTS = [datetime(2026, 11, 30, 8, 30, 1, 250_000), datetime(1969, 7, 20, 20, 17), None]
AREA = [1.0, 2.5, 4.0]


@pytest.fixture
def model() -> LocalModel:
    """A network of the date `opened`, which may be missing, and of `area`."""
    day = Imputation(np.array([0]), np.array([seconds_of(date(2000, 2, 29))]), np.zeros(0, np.int64))
    dates = Dates.of({0: DateForm(parts=("month", "day", "weekday", "hour"))})
    weights = np.linspace(-1, 1, build(SPECIFICATION, (5,)).layout.size, dtype=np.float32)
    preprocessing = Preprocessing((2,), ("opened", "area"), is_table=True, transforms=(day, dates))
    return LocalModel(Model.plain(SPECIFICATION, preprocessing, weights))


def forms() -> list[object]:
    """The same samples in every form."""
    texts = [None if one is None else one.isoformat() for one in MOMENTS]
    zone = timezone(timedelta(hours=9))
    zoned = [None if one is None else one.replace(tzinfo=UTC).astimezone(zone) for one in MOMENTS]
    frame = pd.DataFrame({"area": AREA, "opened": pd.to_datetime(pd.Series(MOMENTS))})
    return [
        frame,
        frame.assign(opened=frame["opened"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")),
        frame.assign(opened=frame["opened"].astype("datetime64[ms]")),
        frame.assign(opened=texts),
        frame.to_dict("list"),
        {"area": AREA, "opened": MOMENTS},
        {"area": AREA, "opened": zoned},
        {"area": AREA, "opened": ["2026-11-30 08:30:01.25", "1969-07-20T20:17+00:00", "NA"]},
        {"area": AREA, "opened": np.array([*texts[:2], "NaT"], "datetime64[ns]")},
        [{"area": area, "opened": moment} for area, moment in zip(AREA, MOMENTS, strict=True)],
        pa.table({"area": AREA, "opened": pa.array(MOMENTS, pa.timestamp("us"))}),
        np.array([[moment, area] for moment, area in zip(MOMENTS, AREA, strict=True)], object),
    ]


def test_dates_of_every_form_give_the_same_bits(model: LocalModel, tmp_path: Path) -> None:
    expected = model.predict({"opened": ["2026-11-30T08:30:01.25", "1969-07-20T20:17", ""], "area": AREA}).outputs
    assert len(np.unique(expected)) == 6
    for samples in forms():
        np.testing.assert_array_equal(model.predict(samples).outputs, expected)
    frame = forms()[0]
    assert isinstance(frame, pd.DataFrame)
    frame.to_parquet(tmp_path / "data.parquet")
    frame.to_feather(tmp_path / "data.feather")
    np.savez(tmp_path / "data.npz", area=AREA, opened=frame["opened"].to_numpy())
    for path in (write_data(frame, None, tmp_path), *tmp_path.glob("data.*")):
        np.testing.assert_array_equal(model.predict(path).outputs, expected)


def test_days_without_a_time(model: LocalModel, tmp_path: Path) -> None:
    expected = model.predict({"opened": ["2026-11-30"], "area": [1]}).outputs
    days = pa.table({"opened": pa.array([date(2026, 11, 30)]), "area": [1]})
    for samples in (days, {"opened": [date(2026, 11, 30)], "area": [1]}, days.to_pandas()):
        np.testing.assert_array_equal(model.predict(samples).outputs, expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2026-11-30", "30.11.2026"], "opened, row 2: '30.11.2026' is not a date such as 2026-11-30"),
        ([20261130, 20261201], "opened, row 1: '20261130' is not a date"),
        ([1.5, None], "opened, row 1: '1.5' is not a date"),
        (np.array([1.5, 2.5]), "opened, row 1: '1.5' is not a date"),
    ],
)
def test_values_that_are_no_dates(model: LocalModel, values: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.predict({"opened": values, "area": [1, 2]})
