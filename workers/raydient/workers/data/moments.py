"""Converts dates and times, texts or values of Arrow's types, to seconds since 1970 and to texts in ISO 8601."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raydient.spec.date_arrays import seconds_of_array
from raydient.spec.dates import read_date, seconds_of
from raydient.spec.values import is_missing

from .csv_values import MISSING_TEXT, MISSING_TEXTS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_A_TIME = int(np.datetime64("NaT", "us").astype(np.int64))


def is_date(type_: pa.DataType) -> bool:
    """True for dates, and times of a day of the calendar."""
    return bool(pa.types.is_date(type_) or pa.types.is_timestamp(type_))


def seconds_of_texts(texts: pa.LargeStringArray) -> pa.DoubleArray:
    """Return the seconds of dates in ISO 8601, see `spec.dates`; null where one is missing.

    Raises:
        ArrowInvalid: a text is not a date.
    """
    with suppress(pa.ArrowInvalid):
        return _in_common_form(texts)
    encoded = texts.dictionary_encode()  # dates repeat, and Python parses them one by one
    seconds = []
    for text in encoded.dictionary.to_pylist():
        moment = read_date(text)
        if moment is None and not is_missing(text):
            raise pa.ArrowInvalid(f"{text!r:.100} is not a date")
        seconds.append(None if moment is None else seconds_of(moment))
    return pa.array(seconds, pa.float64()).take(encoded.indices)


def _in_common_form(texts: pa.LargeStringArray) -> pa.DoubleArray:
    """As `seconds_of_texts`, for the forms that Arrow parses, in a tenth of the time: without a zone, to microseconds.

    Raises:
        ArrowInvalid: a text has another form, or is no date.
    """
    plain = pc.ascii_trim_whitespace(texts)
    moments = pc.cast(pc.if_else(pc.is_in(plain, MISSING_TEXTS), MISSING_TEXT, plain), pa.timestamp("us"))
    seconds = seconds_of_typed(moments)
    if pc.any(pc.is_inf(seconds)).as_py():
        raise pa.ArrowInvalid("a year is 0")
    return pc.if_else(pc.is_nan(seconds), None, seconds)


def seconds_of_typed(values: pa.Array) -> pa.DoubleArray:
    """Return the seconds of values for which `is_date` holds; NaN where one is missing, see `seconds_of_array`."""
    return pa.array(seconds_of_array(_moments(values)))


def iso_texts(values: pa.Array) -> pa.LargeStringArray:
    """Return values for which `is_date` holds as texts in ISO 8601, with microseconds where there are some.

    A time with a zone has that of UTC. A moment outside of the years 1 to 9999 is its number, a missing one null.
    """
    moments = _moments(values)
    texts: list[str | None] = []
    for seconds, moment in zip(seconds_of_array(moments).tolist(), moments, strict=True):
        if np.isnan(seconds):
            texts.append(None)
        elif np.isinf(seconds):
            texts.append(str(moment.astype(np.int64)))
        else:
            texts.append(_iso(int(moment.astype("datetime64[us]").astype(np.int64)), values.type))
    return pa.array(texts, pa.large_string())


def _iso(microseconds: int, type_: pa.DataType) -> str:
    moment = _EPOCH + timedelta(microseconds=microseconds)
    if pa.types.is_date(type_):
        return moment.date().isoformat()
    return (moment if type_.tz else moment.replace(tzinfo=None)).isoformat()


def _moments(values: pa.Array) -> NDArray[np.datetime64]:
    """Return dates and times as datetime64 in their own unit, NaT where one is missing."""
    unit = "D" if pa.types.is_date32(values.type) else "ms" if pa.types.is_date64(values.type) else values.type.unit
    numbers = values.view(pa.int32() if pa.types.is_date32(values.type) else pa.int64()).cast(pa.int64())
    moments: NDArray[np.datetime64] = pc.fill_null(numbers, _NOT_A_TIME).to_numpy(zero_copy_only=False)
    return moments.view(f"datetime64[{unit}]")
