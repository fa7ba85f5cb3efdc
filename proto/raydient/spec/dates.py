"""Dates and times: their texts in ISO 8601, and their numbers, seconds since 1970-01-01T00:00 in UTC."""

from datetime import UTC, date, datetime

FORMS = "2026-11-30 or 2026-11-30T08:30"
"""Examples of texts that are dates, for messages."""
PARTS = ("year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second")
"""The parts of a date; see `DateForm`."""
SECOND = 1_000_000
"""Microseconds of a second, in which moments are whole numbers."""
DAY_SECONDS = 86_400

_EPOCH = date(1970, 1, 1).toordinal()
FIRST_DAY, LAST_DAY = date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH
"""The days of the years 1 to 9999, from 1970-01-01."""


def microseconds_of(moment: date) -> int:
    """Return the microseconds from 1970 to a date or a time, whose digits below are cut off.

    A time with a zone is converted to UTC, one without is in UTC. A date is its midnight.
    """
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    days = moment.toordinal() - _EPOCH
    if not isinstance(moment, datetime):
        return days * DAY_SECONDS * SECOND
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    return (days * DAY_SECONDS + seconds) * SECOND + moment.microsecond


def seconds_of(moment: date) -> float:
    """Return the seconds from 1970 to a date or a time, as `microseconds_of` defines it."""
    return microseconds_of(moment) / SECOND


def read_date(text: str) -> datetime | None:
    """Return the date or time that a text in ISO 8601 is, with or without spaces around it; None if it is none.

    Digits alone, such as `20261130`, are a number. Digits of a second below a microsecond are cut off.
    """
    plain = text.strip()
    if plain.isdecimal():
        return None
    try:
        moment = datetime.fromisoformat(plain)
        microseconds_of(moment)
    except (ValueError, OverflowError):
        return None
    return moment


def seconds_text(seconds: float) -> str:
    """Return the text in ISO 8601 of seconds since 1970, or the number if it is no moment of the years 1 to 9999."""
    if not FIRST_DAY * DAY_SECONDS <= seconds < (LAST_DAY + 1) * DAY_SECONDS:
        return f"{seconds} seconds since 1970"
    days, rest = divmod(seconds, DAY_SECONDS)
    day = date.fromordinal(int(days) + _EPOCH).isoformat()
    if not rest:
        return day
    minutes, second = divmod(rest, 60)
    return f"{day}T{int(minutes) // 60:02}:{int(minutes) % 60:02}:{second:09.6f}".removesuffix(".000000")
