"""Dates as numbers: their parts in the Gregorian calendar, or days since a date."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from raydient.spec.columns import DateForm
from raydient.spec.dates import DAY_SECONDS, PARTS, read_date, seconds_of, seconds_text

from .layers import Shape
from .onnx_graph import OnnxGraph
from .transform import FigureError, Floats64, Places, Settings, Texts, Transform, check_places, check_shape, check_texts

DAYS_SINCE = "days_since"
MARCH = 719_468
"""Days from 0000-03-01 to 1970-01-01."""
FIRST = 719_162
"""Days from 0001-01-01 to 1970-01-01."""


@dataclass(frozen=True, eq=False)
class Dates(Transform):
    """Seconds since 1970 → parts of their dates in UTC, or days since a date, for some features.

    A feature in `places` becomes one feature for each time that it occurs there, side by side in its place; all others
    stay.

    Attributes:
        places: (k,), indices of the features in a sample of one axis, ascending; one occurs once for each part.
        parts: (k,), what is made of each: one of `spec.dates.PARTS`, or `days_since`.
        origins: (k,), seconds from 1970 to the date from which days are counted; 0 for parts.
    """

    places: Places
    parts: Texts
    origins: Floats64

    kind: ClassVar[str] = "dates"
    types: ClassVar[dict[str, type[Any]]] = {"places": np.int64, "parts": np.str_, "origins": np.float64}

    @classmethod
    def of(cls, forms: Mapping[int, DateForm]) -> Self:
        """Return the step for the forms of features, by their places."""
        made = [(place, name, _origin(form)) for place, form in sorted(forms.items()) for name in form.names]
        places, parts, origins = zip(*made, strict=True)
        return cls(np.array(places, np.int64), np.array(parts, np.str_), np.array(origins, np.float64))

    @property
    def settings(self) -> Settings:
        """See `Transform`. Places are those before this step."""
        texts: dict[int, str] = {}
        for place, part, origin in zip(self.places.tolist(), self.parts.tolist(), self.origins.tolist(), strict=True):
            text = f"{DAYS_SINCE}: {seconds_text(origin)}" if part == DAYS_SINCE else part
            texts[place] = f"{texts[place]}, {text}" if place in texts else text
        return {"date": texts}

    @property
    def dates(self) -> Places:
        """The places of the features that are dates, each once."""
        return np.unique(self.places)

    def sources(self, features: int) -> list[tuple[int, str]]:
        """Return the place before this step of each feature after it, and its part; empty for a feature that stays."""
        made: dict[int, list[str]] = {}
        for place, part in zip(self.places.tolist(), self.parts.tolist(), strict=True):
            made.setdefault(place, []).append(part)
        return [(place, part) for place in range(features) for part in made.get(place, [""])]

    def shape(self, shape: Shape) -> Shape:
        """See `Transform`."""
        return (shape[0] - len(self.dates) + len(self.places),)

    def check(self, shape: Shape) -> None:
        """See `Transform`."""
        if len(shape) != 1 or not self.places.size:
            raise FigureError("places", f"columns of a table are needed, but a sample has shape {shape}")
        check_shape("parts", self.parts, self.places.shape)
        check_shape("origins", self.origins, self.places.shape)
        check_texts("parts", self.parts, self.places.size, (*PARTS, DAYS_SINCE))
        if self.places.ndim != 1 or (np.diff(self.places) < 0).any():
            raise FigureError("places", "ascending places are needed")
        check_places("places", self.dates, shape[0])
        made = list(zip(self.places.tolist(), self.parts.tolist(), strict=True))
        if len(set(made)) < len(made):
            raise FigureError("parts", "a part of a date is there twice")

    def apply(self, x: Floats64) -> Floats64:
        """See `Transform`."""
        with np.errstate(invalid="ignore"):  # NaN and infinity, which stay
            made = self._made(lambda place: x[:, place])
        columns = [made.get(one, x[:, one[0]]) for one in self.sources(x.shape[1])]
        return np.stack(columns, axis=1)

    def to_onnx(self, graph: OnnxGraph, x: str, shape: Shape) -> str:
        """See `Transform`."""

        def column(place: int) -> str:
            return graph.node("Gather", [x, graph.constant([place])], axis=1)

        made = self._made(lambda place: _OnnxNumbers(graph, column(place)))
        names = [made[one].name if one in made else column(one[0]) for one in self.sources(shape[0])]
        return graph.node("Concat", names, axis=1)

    def _made(self, column: Callable[[int], Any]) -> dict[tuple[int, str], Any]:
        """Return the features that are made, by place and part, of the seconds of each place."""
        made: dict[tuple[int, str], Any] = {}
        for place, part, origin in zip(self.places.tolist(), self.parts.tolist(), self.origins.tolist(), strict=True):
            seconds = column(place)
            made[place, part] = (
                (seconds - origin) / float(DAY_SECONDS) if part == DAYS_SINCE else _part(seconds // 1.0, part)
            )
        return made


class _OnnxNumbers:
    """float64 numbers of a graph, with the operators that `_part` uses on arrays."""

    def __init__(self, graph: OnnxGraph, name: str) -> None:
        self.name = name
        self._graph = graph

    def __add__(self, other: "_OnnxNumbers | float") -> "_OnnxNumbers":
        return self._with("Add", other)

    def __sub__(self, other: "_OnnxNumbers | float") -> "_OnnxNumbers":
        return self._with("Sub", other)

    def __mul__(self, other: "_OnnxNumbers | float") -> "_OnnxNumbers":
        return self._with("Mul", other)

    def __truediv__(self, other: "_OnnxNumbers | float") -> "_OnnxNumbers":
        return self._with("Div", other)

    def __floordiv__(self, other: float) -> "_OnnxNumbers":
        return _OnnxNumbers(self._graph, self._graph.node("Floor", [(self / other).name]))

    def _with(self, operator: str, other: "_OnnxNumbers | float") -> "_OnnxNumbers":
        name = other.name if isinstance(other, _OnnxNumbers) else self._graph.constant(float(other), exact=True)
        return _OnnxNumbers(self._graph, self._graph.node(operator, [self.name, name]))


def _part(whole: Any, part: str) -> Any:
    """Return a part of the date of whole seconds since 1970.

    All numbers are whole and below 2^53, so float64 has them exactly, and floors of quotients too: a quotient that is
    not whole is at least 1 / divisor from the next whole number.
    """
    days = whole // float(DAY_SECONDS)
    second = whole - days * float(DAY_SECONDS)
    match part:
        case "hour":
            return second // 3600.0
        case "minute":
            return second // 60.0 - second // 3600.0 * 60.0
        case "second":
            return second - second // 60.0 * 60.0
        case "weekday":
            return days + 3.0 - (days + 3.0) // 7.0 * 7.0  # 1970-01-01 was a Thursday
    year, month, day = _civil(days)
    if part == "day_of_year":
        before = year - 1.0
        return days + (FIRST + 1.0) - (before * 365.0 + before // 4.0 - before // 100.0 + before // 400.0)
    return {"year": year, "month": month, "day": day}[part]


def _civil(days: Any) -> tuple[Any, Any, Any]:
    """Return year, month and day of days since 1970.

    Years begin in March, so that the leap day is their last: a year has 365 days, an era of 400 years 146,097, and the
    months before month m from March have (153 m + 2) / 5 days, rounded down
    (https://howardhinnant.github.io/date_algorithms.html).
    """
    shifted = days + float(MARCH)
    era = shifted // 146_097.0
    in_era = shifted - era * 146_097.0
    leap = in_era // 1460.0 - in_era // 36_524.0 + in_era // 146_096.0
    year = (in_era - leap) // 365.0
    in_year = in_era - (year * 365.0 + year // 4.0 - year // 100.0)
    month = (in_year * 5.0 + 2.0) // 153.0
    day = in_year - (month * 153.0 + 2.0) // 5.0 + 1.0
    after_december = month // 10.0  # 1 in January and February
    return year + era * 400.0 + after_december, month + 3.0 - after_december * 12.0, day


def _origin(form: DateForm) -> float:
    moment = read_date(form.days_since or "")
    return 0.0 if moment is None else seconds_of(moment)
