"""The conversion of raw samples for a network, and the meaning of its outputs. Both are stored with a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dates import seconds_text
from raydient.spec.values import MISSING, category_text, other_writings
from raydient.steps.arrays import AnyArray

from .bounding import Bounding, Logarithm
from .calendar import Dates
from .hashing import Hashing
from .imputation import Imputation
from .layers import Shape
from .rescaling import Rescaling
from .standardization import Scaling
from .tokens import Tokens
from .transform import Settings, Transform

_STEPS: tuple[type[Transform], ...] = (Rescaling, Imputation, Dates, Bounding, Logarithm, Scaling)
TRANSFORMS: Mapping[str, type[Transform]] = {kind.kind: kind for kind in _STEPS}
"""The steps of preparation by their names in files."""
UNKNOWN = 1
"""The place of a category that the training part lacks, where there are buckets; 0 is that of a missing one."""
BLOCK_ROWS = 1024
"""Rows that are prepared at a time, so that the float64 intermediates stay small."""


class SampleError(ValueError):
    """Invalid samples.

    Attributes:
        row: index of the first invalid sample, from 0; None if all are invalid.
        input: name of the input, if known.
        place: place of the invalid value within the sample, if it is one value.
    """

    def __init__(
        self,
        message: str,
        row: int | None = None,
        input: str = "",  # noqa: A002  (the natural name)
        place: tuple[int, ...] = (),
    ) -> None:
        super().__init__(message)
        self.row = row
        self.input = input
        self.place = place

    def __str__(self) -> str:
        where = f" (sample {self.row + 1})" if self.row is not None else ""
        return f"{self.input}: {self.args[0]}{where}" if self.input else f"{self.args[0]}{where}"


class Kind(StrEnum):
    """The type that the values of an input have in the training data."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TEXT = "text"

    @classmethod
    def of(cls, dtype: np.dtype[Any]) -> "Kind":
        """The kind of an array's values."""
        return {"f": cls.NUMBER, "i": cls.INTEGER, "u": cls.INTEGER, "b": cls.BOOLEAN}.get(dtype.kind, cls.TEXT)


@dataclass(frozen=True, eq=False, slots=True)
class Preprocessing:
    """The conversion of raw samples of one input for the network.

    Attributes:
        shape: shape of one raw sample, without the row axis.
        columns: columns of a table that make a sample, in order, or the name of one array.
        is_table: `columns` are columns of a table.
        transforms: steps of the preparation of numbers, in order; at most one of each kind.
        vocabulary: all categories, sorted, if the values are categories; else empty.
        kind: type of the values in the training data.
        has_buckets: categories may be missing or unknown, see `categories`.
        hashing: the numbers of categories, if they have no vocabulary.
        one_hot: a category or token is a vector with 1 at its number, instead of the number.
        is_image: samples are images with values from 0 to 255, (height, width, channels).
        tokens: the numbers of a text, if the values are texts.
    """

    shape: Shape
    columns: tuple[str, ...] = ()
    is_table: bool = False
    transforms: tuple[Transform, ...] = ()
    vocabulary: tuple[str, ...] = ()
    kind: Kind = Kind.NUMBER
    has_buckets: bool = False
    hashing: Hashing | None = None
    one_hot: bool = False
    is_image: bool = False
    tokens: Tokens | None = None

    @property
    def has_categories(self) -> bool:
        """True if the values are categories or texts, which are taken as texts."""
        return bool(self.vocabulary) or self.hashing is not None or self.tokens is not None

    @property
    def numbers(self) -> int:
        """How many numbers categories or tokens have, from 0; 0 if the values are numbers themselves."""
        if self.hashing:
            return self.hashing.buckets
        if self.tokens:
            return self.tokens.count
        return len(self.vocabulary) + (UNKNOWN + 1) * self.has_buckets

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns of a table; of an array none."""
        return self.columns if self.is_table else ()

    @property
    def prepared_shape(self) -> Shape:
        """Shape of one sample for the network."""
        if self.tokens:
            return (self.tokens.length, self.numbers) if self.one_hot else (self.tokens.length,)
        if self.one_hot:
            if self.is_table:
                return (len(self.columns) * self.numbers,)
            return (self.numbers,) if self.shape == (1,) else (*self.shape, self.numbers)
        shape = self.shape
        for transform in self.transforms:
            shape = transform.shape(shape)
        return shape

    @property
    def scaling(self) -> Scaling | None:
        """The standardization, if there is one."""
        return next((one for one in self.transforms if isinstance(one, Scaling)), None)

    @property
    def settings(self) -> Settings:
        """The settings of all steps."""
        return {name: places for step in self.transforms for name, places in step.settings.items()}

    @property
    def indicators(self) -> tuple[str, ...]:
        """The columns that have an indicator of missing values, in its order."""
        steps = [one for one in self.transforms if isinstance(one, Imputation)]
        return tuple(self.columns[place] for one in steps for place in one.indicators)

    @property
    def optional(self) -> NDArray[np.bool_]:
        """Mask of the values of a raw sample that may be missing, of its shape."""
        optional = np.full(self.shape, self.has_buckets or self.hashing is not None or self.tokens is not None)
        for transform in self.transforms:
            if isinstance(transform, Imputation):
                optional.reshape(-1)[transform.places] = True
        return optional

    @property
    def optional_columns(self) -> tuple[str, ...]:
        """The names among `columns` whose values may be missing."""
        optional = self.optional if self.is_table else [self.optional.all()] * len(self.columns)
        return tuple(name for name, is_optional in zip(self.columns, optional, strict=True) if is_optional)

    @property
    def date_columns(self) -> tuple[str, ...]:
        """The columns of a table that are dates, in seconds since 1970."""
        return tuple(self.columns[place] for place in self._dates.dates) if self._dates else ()

    @property
    def _dates(self) -> Dates | None:
        return next((one for one in self.transforms if isinstance(one, Dates)), None)

    def source(self, place: tuple[int, ...]) -> tuple[int, ...]:
        """Return the place in a raw sample of the value from which a number for the network is made.

        An indicator has the place behind all columns, as in training data with an indicator and without dates.
        """
        if self._dates is None:
            return place
        (features,) = self._before_dates
        return (self._dates.sources(features)[place[0]][0],)

    @property
    def _before_dates(self) -> Shape:
        shape = self.shape
        for transform in self.transforms:
            if isinstance(transform, Dates):
                break
            shape = transform.shape(shape)
        return shape

    def shown(self, value: Any, source: tuple[int, ...]) -> str:
        """Return a raw value at a place of a raw sample as a text, for messages."""
        is_date = self._dates is not None and source[0] in self._dates.dates
        return seconds_text(float(value)) if is_date else str(value)

    def why_not_finite(self, value: float, place: tuple[int, ...]) -> tuple[str, str]:
        """Return why there is no finite number for the network, and the setting that is the cause.

        Args:
            value: the raw value.
            place: of the number for the network in its sample.

        Returns:
            The reason, and the setting of `dataset.columns`; empty if none is the cause.
        """
        if not np.isfinite(value):
            return "is not finite", ""
        is_date = self._dates is not None and self.source(place)[0] in self._dates.dates
        has_log = any(isinstance(step, Logarithm) and place[0] in step.places for step in self.transforms)
        if has_log and (value <= -1 or is_date):
            return "has no log(1 + x), which needs numbers above -1", "log"
        feature = int(np.ravel_multi_index(place, self.prepared_shape))
        if self.settings.get("scale", {}).get(feature, "none") != "none":
            return "is too far from the training part's values for float32", "scale"
        return "is too large for float32", ""

    def apply(self, raw: AnyArray) -> NDArray[np.float32]:
        """Convert samples (n, *shape) for the network; float32, C-contiguous.

        Numbers of any type are converted to float64 and rounded to float32 once, so equal numbers of different types
        give the same bits. A missing value is NaN; it stays NaN unless it is `optional`. Categories may be numbers or
        texts: see `category_text`.

        Raises:
            SampleError: wrong shape, texts where numbers are needed, or a value that is not a category.
        """
        if raw.ndim == 0 or raw.shape[1:] != self.shape:
            raise SampleError(f"samples must have shape {self.shape}, but the array has shape {raw.shape}")
        if self.has_categories:
            numbers = self._numbers(raw)
            return _one_hot(numbers, self.numbers).reshape(-1, *self.prepared_shape) if self.one_hot else numbers
        if raw.dtype.kind not in "biuf":
            raise SampleError("the values must be numbers, not texts")
        return self._transformed(raw) if self.transforms else _rounded(raw)

    def _numbers(self, raw: AnyArray) -> NDArray[np.float32]:
        """Return the numbers of categories or tokens, as float32, because inputs of an embedding are floats too."""
        if self.tokens:
            return self.tokens.numbers(category_texts(raw))
        if self.hashing:
            return np.array(self.hashing.numbers(category_texts(raw)), np.float32).reshape(raw.shape)
        return categories(raw, self.vocabulary, has_buckets=self.has_buckets)

    def _transformed(self, raw: AnyArray) -> NDArray[np.float32]:
        prepared = np.empty((len(raw), *self.prepared_shape), np.float32)
        for start in range(0, len(raw), BLOCK_ROWS):
            x = raw[start : start + BLOCK_ROWS].astype(np.float64, copy=False)
            for transform in self.transforms:
                x = transform.apply(x)
            prepared[start : start + BLOCK_ROWS] = x
        return prepared


def _one_hot(numbers: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return a vector of `count` values for each number, 1 at its place and 0 elsewhere: one axis more."""
    vectors = np.zeros((numbers.size, count), np.float32)
    vectors[np.arange(numbers.size), numbers.reshape(-1).astype(np.int64)] = 1
    return vectors.reshape(*numbers.shape, count)


def _rounded(raw: AnyArray) -> NDArray[np.float32]:
    if raw.dtype.itemsize >= 8:  # for 64-bit integers, rounding by way of float64 differs from rounding directly
        raw = raw.astype(np.float64, copy=False)
    return np.ascontiguousarray(raw, np.float32)


@dataclass(frozen=True, slots=True)
class Target:
    """The meaning of an output.

    Attributes:
        label: the column or array that it predicts.
        classes: text of each class index, if any.
        scaling: standardization of the label, of one label's shape; None if the network learns the label as it is.
    """

    label: str = ""
    classes: tuple[str, ...] = ()
    scaling: Scaling | None = None


def label_scalings(targets: Mapping[str, Target]) -> dict[str, Scaling]:
    """Return the standardizations of labels, by output."""
    return {name: target.scaling for name, target in targets.items() if target.scaling}


def categories(raw: AnyArray, vocabulary: tuple[str, ...], *, has_buckets: bool = False) -> NDArray[np.float32]:
    """The place of each value in a vocabulary, from 0, as float32, because inputs of an embedding are floats too.

    With `has_buckets` a missing value, one of MISSING, has the place 0 and an unknown one 1; the vocabulary follows.

    Raises:
        SampleError: a value is not in the vocabulary, and there are no buckets.
    """
    places = bucketed_places(vocabulary) if has_buckets else category_places(vocabulary)
    texts = category_texts(raw)
    if has_buckets:
        return np.array([places.get(text, UNKNOWN) for text in texts], np.float32).reshape(raw.shape)
    indices = np.array([places.get(text, -1) for text in texts], np.float32)
    if len(unknown := np.flatnonzero(indices < 0)):
        row, *place = (int(i) for i in np.unravel_index(unknown[0], raw.shape))
        raise SampleError(f"{texts[unknown[0]]!r} is none of the {len(vocabulary)} categories", row, place=tuple(place))
    return indices.reshape(raw.shape)


def bucketed_places(vocabulary: tuple[str, ...]) -> dict[str, int]:
    """The place of each text that represents a category or a missing one; all others have the place UNKNOWN."""
    known = {text: place + UNKNOWN + 1 for text, place in category_places(vocabulary).items()}
    return {**known, **dict.fromkeys(sorted(MISSING), 0)}


def category_places(vocabulary: tuple[str, ...]) -> dict[str, int]:
    """The place in the vocabulary of each text that represents a category.

    These are the categories themselves and their other forms, `42` for `42.0`, `true` for `True` and the reverse,
    unless such a form is another category. So values match their categories if another program wrote them in its way.
    """
    places = {text: place for place, text in enumerate(vocabulary)}
    for place, text in enumerate(vocabulary):
        for other in other_writings(text):
            places.setdefault(other, place)
    return places


def category_texts(raw: AnyArray) -> list[str]:
    """The texts of values in row-major order, as categories are compared: see `category_text`.

    The result is a list, because in an array of fixed-width text one long value would make all of them long.
    """
    return [category_text(value) for value in raw.ravel().tolist()]
