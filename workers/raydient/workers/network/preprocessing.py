"""Kept with a network so that raw values go in and labels come out: how inputs are prepared, what outputs stand for."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.values import category_text, other_writing

from .layers import Shape
from .scaling import Scaling


class SampleError(ValueError):
    """Samples that a network cannot take.

    Attributes:
        row: the first sample at fault, from 0; None where all are.
        input: the name of the input, where it is known.
        place: of the value within the sample, where one is at fault.
    """

    def __init__(
        self,
        message: str,
        row: int | None = None,
        input: str = "",  # noqa: A002  (what it is)
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
    """How raw samples of one input become what the network takes.

    Attributes:
        shape: of one sample, without the row axis.
        columns: of a table that make a sample, in order, or the name of one array.
        is_table: which of the two.
        scaling: standardization, or None.
        vocabulary: where the values are categories all of them, sorted; else empty.
        kind: the type of the values in the training data.
    """

    shape: Shape
    columns: tuple[str, ...] = ()
    is_table: bool = False
    scaling: Scaling | None = None
    vocabulary: tuple[str, ...] = ()
    kind: Kind = Kind.NUMBER

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns of a table; of an array none."""
        return self.columns if self.is_table else ()

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Samples (n, *shape) as the network takes them, C-contiguous.

        Numbers of any type are float64 up to here, and are rounded to float32 once. So the same numbers give the same
        bits whatever their type. Categories may be numbers or texts: see `category_text`.

        Raises:
            SampleError: another shape, texts where numbers are needed, or a value that is no category.
        """
        if raw.ndim == 0 or raw.shape[1:] != self.shape:
            raise SampleError(f"samples of shape {self.shape} are needed, there are {raw.shape}")
        if self.vocabulary:
            return categories(raw, self.vocabulary)
        if raw.dtype.kind not in "biuf":
            raise SampleError("numbers are needed, there are texts")
        return self.scaling.apply(raw) if self.scaling else _rounded(raw)


def _rounded(raw: NDArray[Any]) -> NDArray[np.float32]:
    if raw.dtype.itemsize >= 8:  # of 64-bit integers float32 would be another rounding than that of float64
        raw = raw.astype(np.float64, copy=False)
    return np.ascontiguousarray(raw, np.float32)


@dataclass(frozen=True, slots=True)
class Target:
    """What an output stands for: the column or array that it predicts, and the text of each class index, if any."""

    label: str = ""
    classes: tuple[str, ...] = ()


def categories(raw: NDArray[Any], vocabulary: tuple[str, ...]) -> NDArray[np.float32]:
    """The place of each value in a vocabulary, from 0; an embedding takes numbers of the network's own type.

    Raises:
        SampleError: a value is not in the vocabulary.
    """
    places = category_places(vocabulary)
    texts = category_texts(raw)
    found = np.array([places.get(text, -1) for text in texts], np.float32)
    if len(unknown := np.flatnonzero(found < 0)):
        row, *place = (int(i) for i in np.unravel_index(unknown[0], raw.shape))
        raise SampleError(f"{texts[unknown[0]]!r} is none of the {len(vocabulary)} categories", row, place=tuple(place))
    return found.reshape(raw.shape)


def category_places(vocabulary: tuple[str, ...]) -> dict[str, int]:
    """The place of each text that stands for a category.

    Besides the categories themselves these are their other writings: `42` for `42.0` and the reverse, unless that is a
    category of its own. A column of integers that another program wrote as numbers with a point finds its categories.
    """
    places = {text: place for place, text in enumerate(vocabulary)}
    for place, text in enumerate(vocabulary):
        if other := other_writing(text):
            places.setdefault(other, place)
    return places


def category_texts(raw: NDArray[Any]) -> list[str]:
    """Values in row-major order as the texts by which categories are found: see `category_text`.

    No array of fixed-width text is made, in which one long value would make all of them long.
    """
    return [category_text(value) for value in raw.ravel().tolist()]
