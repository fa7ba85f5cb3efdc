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
        """Samples (n, *shape), numbers or, of categories, texts, as the network takes them, in a new array.

        Raises:
            ValueError: another shape, or texts where numbers are needed, or a text that is no category.
        """
        if raw.ndim == 0 or raw.shape[1:] != self.shape:
            raise ValueError(f"samples of shape {self.shape} are needed, there are {raw.shape}")
        if self.vocabulary:
            return categories(raw, self.vocabulary)
        if raw.dtype.kind not in "biuf":
            raise ValueError("numbers are needed, there are texts")
        return self.scaling.apply(raw) if self.scaling else np.array(raw, np.float32, order="C")


@dataclass(frozen=True, slots=True)
class Target:
    """What an output stands for: the column or array that it predicts, and the text of each class index, if any."""

    label: str = ""
    classes: tuple[str, ...] = ()


def categories(raw: NDArray[Any], vocabulary: tuple[str, ...]) -> NDArray[np.float32]:
    """The place of each value in a sorted vocabulary, from 0; an embedding takes numbers of the network's own type.

    Numbers are categories by their text; a whole one is written without a point.
    """
    if raw.dtype.kind == "f" and (raw == np.floor(raw)).all():
        raw = raw.astype(np.int64)
    texts, known = raw.astype(np.str_), np.array(vocabulary)
    places = np.minimum(np.searchsorted(known, texts), len(known) - 1)
    unknown = known[places] != texts
    if unknown.any():
        first = tuple(np.argwhere(unknown)[0])
        raise ValueError(f"{str(texts[first])!r} of sample {first[0] + 1} is none of the {len(known)} categories")
    return np.array(places, np.float32, order="C")
