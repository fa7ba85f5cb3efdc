"""Data read from a file: samples ready for training, or the errors that prevent it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.workers.network import Preprocessing, Target, only

from .source import MemorySource


@dataclass(frozen=True, eq=False, slots=True)
class LabelValues:
    """The labels of one output.

    Attributes:
        parts: labels of each part of the file, as in `Samples.ys`; none is empty.
        classes: text of each class index, if any.
    """

    parts: Sequence[NDArray[Any]]
    classes: tuple[str, ...]


class InvalidData(InvalidSpec):
    """A data file that does not fit its specification; carries the facts that are known nevertheless.

    Attributes:
        input_shapes: of one sample of each input, by name; None if unknown.
        train_rows: number of samples of the training part; None if unknown.
        labels: of each output whose labels fit its loss, by name.
    """

    def __init__(
        self,
        errors: Iterable[FieldError],
        input_shapes: Mapping[str, tuple[int, ...]] | None = None,
        train_rows: int | None = None,
        labels: Mapping[str, LabelValues] | None = None,
    ) -> None:
        super().__init__(errors)
        self.input_shapes, self.train_rows, self.labels = input_shapes, train_rows, labels or {}


@dataclass(frozen=True, eq=False)
class Dataset(MemorySource):
    """A data file in memory: a source, and the meaning of its values.

    Attributes:
        inputs: preprocessing of each input, by name; fitted on the training part, vocabularies on the whole file.
        targets: meaning of each output's labels, by name.
    """

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
    def train_rows(self) -> int:
        """Number of samples of the training part."""
        return self.train.rows

    @property
    def input(self) -> Preprocessing:
        """The only input."""
        return only(self.inputs)

    @property
    def target(self) -> Target:
        """The only output."""
        return only(self.targets)
