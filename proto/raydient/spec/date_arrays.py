"""Dates and times in arrays of NumPy as seconds since 1970."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dates import DAY_SECONDS, FIRST_DAY, LAST_DAY, SECOND

_UNITS = {
    "W": (7 * DAY_SECONDS * SECOND, 1),
    "D": (DAY_SECONDS * SECOND, 1),
    "h": (3600 * SECOND, 1),
    "m": (60 * SECOND, 1),
    "s": (SECOND, 1),
    "ms": (1000, 1),
    "us": (1, 1),
    "ns": (1, 1000),
    "ps": (1, 10**6),
    "fs": (1, 10**9),
    "as": (1, 10**12),
}
"""Microseconds of each unit of NumPy as a multiple and a divisor."""


def seconds_of_array(moments: NDArray[Any]) -> NDArray[np.float64]:
    """Return the seconds from 1970 of an array of datetime64 of any unit, as `microseconds_of` defines them.

    NaN where there is none (NaT), infinity for a moment outside of the years 1 to 9999.
    """
    unit, count = np.datetime_data(moments.dtype)
    missing, numbers = np.isnat(moments), moments.astype(np.int64)
    if unit in ("Y", "M"):
        missing_or_far = missing | (np.abs(numbers) > 12 * 10_000 // count)
        far = missing_or_far & ~missing
        numbers = np.where(missing_or_far, 0, numbers).astype(moments.dtype).astype("datetime64[D]").astype(np.int64)
        unit, count = "D", 1
    else:
        far = np.zeros(moments.shape, np.bool_)
    multiple, divisor = _UNITS.get(unit, (1, 1))
    first, last = FIRST_DAY * DAY_SECONDS * SECOND, (LAST_DAY + 1) * DAY_SECONDS * SECOND - 1
    low, high = (max(-(2**63), min(2**63 - 1, end * divisor // (multiple * count))) for end in (first, last))
    far |= ~missing & ((numbers < low) | (numbers > high))
    microseconds = np.where(missing | far, 0, numbers) * count * multiple // divisor
    seconds: NDArray[np.float64] = np.where(missing, np.nan, np.where(far, np.inf, microseconds / SECOND))
    return seconds
