"""Sources of samples for training, and the split into parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray
from raydient.workers.network import only
from raydient.workers.streams import Purpose, stream

Rows = NDArray[np.int64]
PartName = Literal["train", "test"]
"""The training part or the held-out part."""
PARTS: tuple[PartName, ...] = ("train", "test")


@dataclass(frozen=True, eq=False, slots=True)
class Samples:
    """Samples with their labels, one a row.

    Attributes:
        xs: of each input, by name: float32, C-contiguous, (n, *input shape).
        ys: of each output, by name: (n, *label shape), as `Loss.encode` returns them.
        weights: factors of the samples' losses, float32 (n,); None where all are 1.
    """

    xs: Mapping[str, NDArray[np.float32]]
    ys: Mapping[str, AnyArray]
    weights: NDArray[np.float32] | None = None

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(next(iter(self.xs.values()), ()))

    @property
    def x(self) -> NDArray[np.float32]:
        """Samples of the only input."""
        return only(self.xs)

    @property
    def y(self) -> AnyArray:
        """Labels of the only output."""
        return only(self.ys)


@dataclass(frozen=True, slots=True)
class Schema:
    """Shapes and types of one sample.

    Attributes:
        inputs: shape of each input, by name; its values are float32.
        labels: shape and NumPy type of each output's label, by name.
        is_weighted: samples have weights, which are float32.
    """

    inputs: Mapping[str, tuple[int, ...]]
    labels: Mapping[str, tuple[tuple[int, ...], str]]
    is_weighted: bool

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample with its labels and weight."""
        labels = sum(np.dtype(kind).itemsize * prod(shape) for shape, kind in self.labels.values())
        return 4 * sum(map(prod, self.inputs.values())) + labels + 4 * self.is_weighted


class Source(Protocol):
    """A training part and a held-out part that training fills its arrays from.

    Rows of a part are numbered from 0 and do not change. One thread calls a source at a time.
    """

    @property
    def reads_ahead(self) -> bool:
        """True if `expect` has an effect, so that it is worth to know the samples in advance."""

    @property
    def schema(self) -> Schema:
        """Shapes and types of one sample."""

    def rows(self, part: PartName) -> int:
        """Return the number of samples of a part."""

    def sample(self, part: PartName, rows: int) -> Samples:
        """Return the first samples of a part, at most `rows`; the caller must not change them."""

    def label_mean(self, output: str) -> NDArray[np.float64]:
        """Return the mean of an output's labels over the training part, of the shape of one label."""

    def expect(self, part: PartName, indices: Rows) -> None:
        """Prepare for samples that will be copied soon; rows of `part`, (n,)."""

    def fill(self, part: PartName, indices: Rows, out: Samples) -> None:
        """Copy samples into arrays of the caller, which the source does not keep.

        Args:
            part: to copy from.
            indices: (n,), rows of the part, each at least 0 and below `rows(part)`; rows may repeat.
            out: arrays of n rows; those that it lacks are not copied. Samples without weights in the source need no
                array for them.
        """


@dataclass(frozen=True, eq=False)
class MemorySource:
    """A `Source` whose samples are arrays in memory, private or shared.

    Attributes:
        train, test: the samples of both parts.
    """

    train: Samples
    test: Samples

    @property
    def reads_ahead(self) -> bool:
        """See `Source`."""
        return False

    @classmethod
    def of(cls, arrays: Mapping[str, AnyArray]) -> Self:
        """Return a source of the arrays that `arrays()` names."""

        def part(name: PartName) -> Samples:
            def by_name(kind: str) -> dict[str, AnyArray]:
                start = f"{name}/{kind}/"
                return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}

            return Samples(by_name("x"), by_name("y"), arrays.get(f"{name}/weights"))

        return cls(part("train"), part("test"))

    def arrays(self) -> dict[str, AnyArray]:
        """Return all arrays as one flat mapping, as messages carry it.

        The names are `train/x/INPUT`, `train/y/OUTPUT`, `train/weights` where samples have weights, and the same with
        `test`.
        """
        flat: dict[str, AnyArray] = {}
        for name, part in (("train", self.train), ("test", self.test)):
            flat |= {f"{name}/x/{input_}": x for input_, x in part.xs.items()}
            flat |= {f"{name}/y/{output}": y for output, y in part.ys.items()}
            if part.weights is not None:
                flat[f"{name}/weights"] = part.weights
        return flat

    @property
    def schema(self) -> Schema:
        """See `Source`."""
        return Schema(
            {name: x.shape[1:] for name, x in self.train.xs.items()},
            {name: (y.shape[1:], y.dtype.str) for name, y in self.train.ys.items()},
            self.train.weights is not None,
        )

    def rows(self, part: PartName) -> int:
        """See `Source`."""
        return self._part(part).rows

    def sample(self, part: PartName, rows: int) -> Samples:
        """See `Source`."""
        source = self._part(part)
        return Samples(
            {name: x[:rows] for name, x in source.xs.items()},
            {name: y[:rows] for name, y in source.ys.items()},
            None if source.weights is None else source.weights[:rows],
        )

    def label_mean(self, output: str) -> NDArray[np.float64]:
        """See `Source`."""
        mean: NDArray[np.float64] = np.mean(self.train.ys[output], axis=0, dtype=np.float64)
        return mean

    def expect(self, part: PartName, indices: Rows) -> None:
        """See `Source`. Memory needs no preparation."""

    def fill(self, part: PartName, indices: Rows, out: Samples) -> None:
        """See `Source`."""
        source = self._part(part)
        # mode="clip": with "raise" NumPy gathers into a buffer of its own first; the rows are known to exist.
        for name, x in out.xs.items():
            source.xs[name].take(indices, axis=0, out=x, mode="clip")
        for name, y in out.ys.items():
            source.ys[name].take(indices, axis=0, out=y, mode="clip")
        if out.weights is not None and source.weights is not None:
            source.weights.take(indices, out=out.weights, mode="clip")

    def _part(self, name: PartName) -> Samples:
        return self.train if name == "train" else self.test


def split_rows(seed: int, rows: int, test: float) -> tuple[Rows, Rows]:
    """Return the training part and the held-out part of `range(rows)`, both ascending.

    The held-out part has round(rows · test) rows, at least one if `test` is above 0. They depend on the seed.
    """
    held_out = max(1, round(rows * test)) if test > 0 else 0
    order = stream(Purpose.SPLIT, seed).permutation(rows)
    return np.sort(order[held_out:]), np.sort(order[:held_out])
