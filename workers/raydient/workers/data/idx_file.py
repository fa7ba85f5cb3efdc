"""Reads IDX files, the form of MNIST: the array `x` of images, and the array `y` of labels in the file beside it."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import DEFAULT_ARRAY, DEFAULT_LABEL
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.idx import IdxFile, labels_of, open_idx
from raydient.spec.values import quoted

from .arrays import Wanted, read_arrays
from .limits import Budget
from .raw import RawData, unreadable


def read(files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str], budget: Budget) -> RawData:
    """Read the images and labels of a pair of IDX files; see `read_arrays`."""
    return read_arrays("an IDX file", _opened, files, spec, as_written, budget=budget)


@contextmanager
def _opened(path: Path) -> Iterator["_Pair"]:
    labels = labels_of(path)
    if labels is None:
        example = "train-images-idx3-ubyte has its labels in train-labels-idx1-ubyte"
        raise unreadable(f"is not named as one of images, so the file of its labels is unknown: {example}")
    if not labels.is_file():
        raise unreadable(f"has no labels beside it: there is no file {quoted(labels.name)}")
    with open_idx(path) as x, open_idx(labels) as y:
        yield _Pair({DEFAULT_ARRAY: x, DEFAULT_LABEL: y})


class _Pair:
    """The `Arrays` of two IDX files."""

    def __init__(self, files: dict[str, IdxFile]) -> None:
        self._files = files
        self.names = list(files)

    def problem(self, wanted: Wanted, budget: Budget) -> str | None:
        """See `Arrays`."""
        budget.spend(self._files[wanted.array].size)
        return None

    def read(self, name: str, budget: Budget) -> NDArray[Any]:
        """See `Arrays`."""
        file = self._files[name]
        return np.frombuffer(file.values(), np.uint8).reshape(file.shape)
