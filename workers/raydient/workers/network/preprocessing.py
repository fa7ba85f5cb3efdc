"""Kept with a network so that raw values go in and labels come out: how inputs are prepared, what outputs stand for."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layers import Shape
from .scaling import Scaling


@dataclass(frozen=True, eq=False, slots=True)
class Preprocessing:
    """How raw samples of one input become what the network takes.

    Attributes:
        shape: of one sample, without the row axis.
        columns: of a table that make a sample, in order, or the name of one array.
        is_table: which of the two.
        scaling: standardization, or None.
        vocabulary: where the values are categories all of them, sorted; else empty.
    """

    shape: Shape
    columns: tuple[str, ...] = ()
    is_table: bool = False
    scaling: Scaling | None = None
    vocabulary: tuple[str, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns of a table; of an array none."""
        return self.columns if self.is_table else ()

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Samples (n, *shape), numbers or, of categories, texts, as the network takes them, C-contiguous.

        Raises:
            ValueError: another shape, or texts where numbers are needed, or a text that is no category.
        """
        if raw.ndim == 0 or raw.shape[1:] != self.shape:
            raise ValueError(f"samples of shape {self.shape} are needed, there are {raw.shape}")
        if self.vocabulary:
            return categories(raw, self.vocabulary)
        if raw.dtype.kind not in "biuf":
            raise ValueError("numbers are needed, there are texts")
        return self.scaling.apply(raw) if self.scaling else np.ascontiguousarray(raw, np.float32)


@dataclass(frozen=True, slots=True)
class Target:
    """What an output stands for: the column or array that it predicts, and the text of each class index, if any."""

    label: str = ""
    classes: tuple[str, ...] = ()


def categories(raw: NDArray[Any], vocabulary: tuple[str, ...]) -> NDArray[np.float32]:
    """The place of each value in a vocabulary, from 0; an embedding takes numbers of the network's own type.

    Raises:
        ValueError: a value is not in the vocabulary.
    """
    places = {text: place for place, text in enumerate(vocabulary)}
    texts = category_texts(raw)
    found = np.array([places.get(text, -1) for text in texts], np.float32)
    if len(unknown := np.flatnonzero(found < 0)):
        row = unknown[0] * len(raw) // len(texts)
        raise ValueError(f"{texts[unknown[0]]!r} of sample {row + 1} is none of the {len(vocabulary)} categories")
    return found.reshape(raw.shape)


def category_texts(raw: NDArray[Any]) -> list[str]:
    """Values in row-major order as texts; a whole number is written without a point.

    No array of fixed-width text is made, in which one long value would make all of them long.
    """
    values = raw.ravel().tolist()
    if raw.dtype.kind == "f" and (raw == np.floor(raw)).all():
        values = [int(value) for value in values]  # Python's integers, which have no largest
    return [str(value) for value in values]
