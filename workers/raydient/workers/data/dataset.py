"""Arrays ready for training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.workers.network import (
    Preprocessing,
    Target,
    only,
)


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Samples and labels of one part, in the order of the file.

    Attributes:
        xs: of each input, by name: float32, C-contiguous, (n, *input shape).
        ys: of each output, by name: int32 (n,) class indices or float32 (n, k) probabilities for softmax_cross_entropy;
            float32 (n, 1) zeros and ones for binary_cross_entropy and hinge; float32 (n, k) for losses on numbers.
        weights: factors of the samples' losses, float32 (n,); None where all are 1.
    """

    xs: Mapping[str, NDArray[np.float32]]
    ys: Mapping[str, NDArray[Any]]
    weights: NDArray[np.float32] | None = None

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(next(iter(self.xs.values())))

    @property
    def x(self) -> NDArray[np.float32]:
        """Samples of the only input."""
        return only(self.xs)

    @property
    def y(self) -> NDArray[Any]:
        """Labels of the only output."""
        return only(self.ys)


@dataclass(frozen=True, eq=False, slots=True)
class LabelValues:
    """The labels of one output.

    Attributes:
        parts: labels of each part of the file, as in `Part.ys`; none is empty.
        classes: text of each class index, if any.
    """

    parts: Sequence[NDArray[Any]]
    classes: tuple[str, ...]


class InvalidData(InvalidSpec):
    """A data file that does not fit its specification; carries the facts that are known nevertheless.

    Attributes:
        input_shapes: of one sample of each input, by name; None if unknown.
        rows: of the training part; None if unknown.
        labels: of each output whose labels fit its loss, by name.
    """

    def __init__(
        self,
        errors: Iterable[FieldError],
        input_shapes: Mapping[str, tuple[int, ...]] | None = None,
        rows: int | None = None,
        labels: Mapping[str, LabelValues] | None = None,
    ) -> None:
        super().__init__(errors)
        self.input_shapes, self.rows, self.labels = input_shapes, rows, labels or {}


@dataclass(frozen=True, eq=False, slots=True)
class Dataset:
    """A training part and a held-out part.

    Attributes:
        inputs: by name, how raw values became these; fitted on the training part, vocabularies on the whole file.
        targets: by the name of the output, what its labels stand for.
    """

    train: Part
    test: Part
    inputs: Mapping[str, Preprocessing]
    targets: Mapping[str, Target]

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one sample of each input."""
        return {name: given.shape for name, given in self.inputs.items()}

    @property
    def labels(self) -> dict[str, LabelValues]:
        """The labels of each output."""
        parts = [part for part in (self.train, self.test) if part.rows]
        found = self.targets.items()
        return {name: LabelValues([part.ys[name] for part in parts], target.classes) for name, target in found}

    @property
    def rows(self) -> int:
        """Number of samples in the training part."""
        return self.train.rows

    @property
    def input(self) -> Preprocessing:
        """The only input."""
        return only(self.inputs)

    @property
    def target(self) -> Target:
        """The only output."""
        return only(self.targets)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as one flat mapping, `train/x/NAME`, `train/y/NAME`, `test/x/NAME`, ..., as workers take it; with
        `train/weights` and `test/weights` where samples have them.
        """
        parts = {"train": self.train, "test": self.test}
        weights = {f"{part}/weights": data.weights for part, data in parts.items() if data.weights is not None}
        return weights | {
            f"{part}/{kind}/{name}": array
            for part, data in parts.items()
            for kind, arrays in (("x", data.xs), ("y", data.ys))
            for name, array in arrays.items()
        }
