"""From a data file to arrays ready for training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.losses import Loss
from raydient.workers.network import Network, Scaling, index_problems

from .labels import LabelError, encode
from .order import split_rows
from .raw import RawData

SUFFIXES = (".csv", ".npz")


@dataclass(frozen=True, eq=False, slots=True)
class Dataset:
    """Samples and labels, split into training part and held-out part, each in the order of the file.

    Attributes:
        train_x, test_x: float32, C-contiguous, (n, *input shape).
        train_y, test_y: int32 (n,) class indices or float32 (n, k) probabilities for softmax_cross_entropy; float32
            (n, 1) zeros and ones for binary_cross_entropy and hinge; float32 (n, k) for losses on numbers.
        feature_names: the columns of a table; empty for arrays.
        classes: the text of each class index; empty where labels are numbers.
        scaling: the standardization that x went through, fitted on the training part; None if there was none.
    """

    train_x: NDArray[np.float32]
    train_y: NDArray[Any]
    test_x: NDArray[np.float32]
    test_y: NDArray[Any]
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    scaling: Scaling | None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.train_x.shape[1:]


def load(spec: DatasetSpec, path: Path, loss: Loss, seed: int) -> Dataset:
    """Read the file at `path`, which is where `spec.uri` lies on this machine.

    Raises:
        InvalidSpec: with every rule broken that can be known at once; paths begin with `dataset.`.
    """
    raw = _read(spec, path)
    errors, encoded = list(raw.errors), None
    if raw.labels is not None:
        try:
            encoded = encode(loss, raw.labels)
        except LabelError as problem:
            errors.append(FieldError("dataset.label", f"{spec.label!r}: {problem}"))
    if raw.features is None or encoded is None:
        raise InvalidSpec(errors)
    labels, classes = encoded
    train, test = split_rows(seed, len(labels), spec.split.test)
    if not len(train):
        message = f"{spec.split.test} of {len(labels)} rows leaves none to train on"
        raise InvalidSpec([FieldError("dataset.split.test", message)])
    train_x, test_x = raw.features[train], raw.features[test]
    scaling = Scaling.fit(train_x) if spec.standardize else None
    return Dataset(
        train_x=_float32(train_x, scaling),
        train_y=labels[train],
        test_x=_float32(test_x, scaling),
        test_y=labels[test],
        feature_names=raw.feature_names,
        classes=classes,
        scaling=scaling,
    )


def check_labels(dataset: Dataset, network: Network) -> None:
    """Check that the labels fit the network's outputs.

    Raises:
        InvalidSpec: a class index beyond the output units, or another number of targets than of outputs.
    """
    (units,) = network.output_shape
    index, layer = next((i, k) for i, k in reversed(list(enumerate(network.spec.layers))) if k.kind == "dense")
    path = f"network.layers[{index}].{layer.kind}.units"
    if network.label_shape == ():
        largest = max(int(y.max()) for y in (dataset.train_y, dataset.test_y) if len(y))
        if largest >= units:
            name = f" ({dataset.classes[largest]!r})" if dataset.classes else ""
            message = f"{units} outputs, but the largest class in the data is {largest}{name}: {largest + 1} are needed"
            raise InvalidSpec([FieldError(path, message)])
    elif dataset.train_y.shape[1:] != network.label_shape:
        width = dataset.train_y.shape[1]
        message = f"{units} outputs for {width} label value{'s' * (width > 1)} a row: {width} needed"
        raise InvalidSpec([FieldError(path, message)])


def check_indices(dataset: Dataset, network: Network) -> None:
    """Check that the samples are whole numbers within the range of every embedding.

    Raises:
        InvalidSpec: a number that is not whole, below 0, or too large.
    """
    found = [problem for x in (dataset.train_x, dataset.test_x) for problem in index_problems(network, x)]
    if found:
        raise InvalidSpec(list({error.path: error for error in found}.values()))


def _read(spec: DatasetSpec, path: Path) -> RawData:
    """The contents of the file, by the reader that its suffix decides."""

    def refuse(message: str) -> InvalidSpec:
        return InvalidSpec([FieldError("dataset.uri", message)])

    if path.suffix.lower() not in SUFFIXES:
        raise refuse(f"the file's suffix is {path.suffix!r}; read are {' and '.join(SUFFIXES)}")
    if not path.exists():
        raise refuse("there is no such file")
    if not path.is_file():
        raise refuse("it is not a file")
    # imported here so that whoever needs only the order of samples does not load Arrow
    from . import csv_file, npz_file  # noqa: PLC0415

    read = csv_file.read if path.suffix.lower() == ".csv" else npz_file.read
    try:
        return read(path, spec)
    except OSError as error:
        raise refuse(f"the file cannot be read: {error.strerror or error}") from error


def _float32(x: NDArray[Any], scaling: Scaling | None) -> NDArray[np.float32]:
    """The samples as the network takes them, contiguous."""
    with np.errstate(over="ignore"):
        result = scaling.apply(x) if scaling else np.ascontiguousarray(x, np.float32)
    if not np.isfinite(result).all():
        raise InvalidSpec([FieldError("dataset.features", "there are values too large for float32")])
    return result
