"""From a data file to arrays ready for training."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import SAMPLE_WEIGHT
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.network import Output, layer_names
from raydient.workers.network import (
    Network,
    Preprocessing,
    Scaling,
    ScalingError,
    Target,
    category_texts,
    index_problems,
    is_input,
    only,
)
from raydient.workers.network import Output as NetworkOutput

from .cells import shown
from .labels import LabelError, encode, names_hint, takes_categories
from .order import split_rows
from .raw import Labels, RawData, RawInput, label_path

SUFFIXES = (".csv", ".npz")


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
        """How many samples."""
        return len(next(iter(self.xs.values())))

    @property
    def x(self) -> NDArray[np.float32]:
        """Those of the only input."""
        return only(self.xs)

    @property
    def y(self) -> NDArray[Any]:
        """Those of the only output."""
        return only(self.ys)


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


def load(spec: DatasetSpec, path: Path, outputs: Sequence[Output], seed: int) -> Dataset:
    """Read the file at `path`, which is where `spec.uri` lies on this machine.

    Raises:
        InvalidSpec: with every rule broken that can be known at once; paths begin with `dataset.`.
    """
    raw = _read(spec, path, {output.label for output in outputs if takes_categories(output.loss)})
    errors, encoded = list(raw.errors), {}
    for output in outputs:
        if output.label in raw.labels:
            try:
                encoded[output.layer] = encode(output.loss, raw.labels[output.label], raw.texts.get(output.label))
            except LabelError as problem:
                column = spec.named_labels[output.label]
                errors.append(FieldError(label_path(spec, output.label), f"{shown(column)}: {problem}"))
    weights = _weights(raw.labels.get(SAMPLE_WEIGHT), errors)
    if errors or raw.inputs is None or len(encoded) < len(outputs):
        raise InvalidSpec(errors)
    found = raw.inputs
    rows = len(next(iter(found.values())).values)
    train, test = split_rows(seed, rows, spec.split.test)
    if not len(train):
        message = f"{spec.split.test} of {rows} rows leaves none to train on"
        raise InvalidSpec([FieldError("dataset.split.test", message)])
    for what, part_rows in (("training", train), ("held-out", test)):
        if weights is not None and len(part_rows) and not weights[part_rows].any():
            message = f"all {len(part_rows)} samples of the {what} part have weight 0"
            raise InvalidSpec([FieldError("dataset.sample_weight", message)])
    inputs = {name: _preprocessing(spec, name, given, train) for name, given in found.items()}

    def part(rows: NDArray[np.int64]) -> Part:
        xs = {name: _float32(inputs[name], given, rows, spec, name) for name, given in found.items()}
        ys = {name: labels[rows] for name, (labels, _) in encoded.items()}
        return Part(xs, ys, None if weights is None else weights[rows])

    labels = spec.named_labels
    targets = {output.layer: Target(labels[output.label], encoded[output.layer][1]) for output in outputs}
    return Dataset(part(train), part(test), inputs, targets)


def _weights(given: Labels | None, errors: list[FieldError]) -> NDArray[np.float32] | None:
    """The factors of the samples' losses; what is wrong with them joins `errors`."""
    if given is None:
        return None
    if not isinstance(given, np.ndarray) or given.ndim != 1:
        errors.append(FieldError("dataset.sample_weight", "one number for each sample is needed"))
        return None
    with np.errstate(over="ignore"):
        weights = given.astype(np.float32)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        text = f"{given[bad[0]]} in row {bad[0] + 1} is no weight: it must be 0 or more, and fit float32"
        errors.append(FieldError("dataset.sample_weight", text))
    return weights


def check_labels(dataset: Dataset, network: Network) -> None:
    """Check that the labels fit the network's outputs.

    Raises:
        InvalidSpec: a class index beyond the output units, another number of targets than of outputs, or a part in
            which every sample has weight 0.
    """
    errors = []
    for output in network.outputs:
        if problem := _label_problem(dataset, output):
            errors.append(FieldError(_units_path(network, output.place), problem))
        else:
            errors += _zero_weights(dataset, network, output)
    if errors:
        raise InvalidSpec(errors)


def _label_problem(dataset: Dataset, output: NetworkOutput) -> str | None:
    (units,) = output.shape
    train, test = dataset.train.ys[output.name], dataset.test.ys[output.name]
    if output.label_shape == ():
        largest = max(int(y.max()) for y in (train, test) if len(y))
        if largest >= units:
            classes = dataset.targets[output.name].classes
            name = f" ({shown(classes[largest])})" if classes else ""
            text = f"{units} outputs, but the largest class in the data is {largest}{name}: {largest + 1} are needed"
            labels = np.concatenate([train, test])
            are_gaps = not classes and len(np.unique(labels)) <= largest
            return text + (names_hint(labels, "softmax_cross_entropy") if are_gaps else "")
    elif train.shape[1:] != output.label_shape:
        width = train.shape[1]
        return f"{units} outputs for {width} label value{'s' * (width > 1)} a row: {width} needed"
    return None


def _zero_weights(dataset: Dataset, network: Network, output: NetworkOutput) -> Iterator[FieldError]:
    """Parts whose loss would be 0 because every sample, or its class, has weight 0."""
    for what, part in (("training", dataset.train), ("held-out", dataset.test)):
        weights = _class_weights(output.settings, part.ys[output.name])
        if part.rows and not (weights if part.weights is None else weights * part.weights).any():
            places = [choice.layer for choice in network.spec.outputs]
            where = f"network.outputs[{places.index(output.name)}]" if places else "network"
            kind = network.spec.named_outputs[places.index(output.name) if places else 0].loss.kind
            message = f"every sample of the {what} part, or its class, has weight 0"
            yield FieldError(f"{where}.loss.{kind}.class_weight", message)


def _class_weights(settings: Any, labels: NDArray[Any]) -> NDArray[np.float64]:
    """The weight of each sample's class, (n,); 1 for losses without classes."""
    weights: NDArray[np.float64] = np.array(getattr(settings, "class_weight", ()), np.float64)
    if not len(weights):
        return np.ones(len(labels))
    if labels.ndim == 2 and labels.shape[1] > 1:
        return np.asarray(labels @ weights, np.float64)
    return weights[labels.reshape(-1).astype(np.int64)]


def _units_path(network: Network, place: int) -> str:
    """Where the number of an output's units is said: at the last dense layer before it."""
    while network.layers[place].kind != "dense" and not is_input(network.nodes[place].sources[0]):
        place = network.nodes[place].sources[0]
    names = layer_names(network.spec.layers)
    index = names.index(network.layers[place].name)
    return f"network.layers[{index}].{network.spec.layers[index].kind}.units"


def _preprocessing(spec: DatasetSpec, name: str, raw: RawInput, train: NDArray[np.int64]) -> Preprocessing:
    shape, given = raw.values.shape[1:], spec.inputs.get(name)
    if given is not None and given.categories:
        vocabulary = tuple(sorted(set(category_texts(raw.values))))
        return Preprocessing(shape, raw.columns, raw.is_table, vocabulary=vocabulary)
    if not spec.standardize:
        return Preprocessing(shape, raw.columns, raw.is_table)
    try:
        return Preprocessing(shape, raw.columns, raw.is_table, Scaling.fit(raw.values[train]))
    except ScalingError as error:
        raise InvalidSpec([FieldError("dataset.standardize", f"{_feature(raw, error.place)}: {error}")]) from None


def check_indices(dataset: Dataset, network: Network) -> None:
    """Check that the samples are whole numbers within the range of every embedding.

    Raises:
        InvalidSpec: a number that is not whole, below 0, or too large.
    """
    found = [problem for part in (dataset.train, dataset.test) for problem in index_problems(network, part.xs)]
    if found:
        raise InvalidSpec(list({error.path: error for error in found}.values()))


def _read(spec: DatasetSpec, path: Path, as_written: Collection[str]) -> RawData:
    """The contents of the file, by the reader that its suffix decides; see there for `as_written`."""

    def refuse(message: str) -> InvalidSpec:
        return InvalidSpec([FieldError("dataset.uri", message)])

    if path.suffix.lower() not in SUFFIXES:
        raise refuse(f"the file's suffix is {shown(path.suffix)}; read are {' and '.join(SUFFIXES)}")
    if not path.exists():
        raise refuse("there is no such file")
    if not path.is_file():
        raise refuse("it is not a file")
    # imported here so that whoever needs only the order of samples does not load Arrow
    from . import csv_file, npz_file  # noqa: PLC0415

    read = csv_file.read if path.suffix.lower() == ".csv" else npz_file.read
    try:
        return read(path, spec, as_written)
    except OSError as error:
        raise refuse(f"the file cannot be read: {error.strerror or error}") from error


def _feature(raw: RawInput, place: tuple[int, ...]) -> str:
    """One feature of a sample, for a person."""
    if raw.is_table:
        return f"column {shown(raw.columns[place[0]])}"
    return f"{shown(raw.columns[0])}, position {place}"


def _float32(
    given: Preprocessing, raw: RawInput, rows: NDArray[np.int64], spec: DatasetSpec, name: str
) -> NDArray[np.float32]:
    """The samples of some rows as the network takes them, contiguous."""
    with np.errstate(over="ignore"):
        result = given.apply(raw.values[rows])
    if not (finite := np.isfinite(result)).all():
        row, *place = (int(i) for i in np.argwhere(~finite)[0])
        text = f"{_feature(raw, tuple(place))}: {raw.values[(rows[row], *place)]!s} in row {rows[row] + 1}"
        what = "is too far from the training part's values" if given.scaling else "is too large"
        where = f"dataset.inputs.{name}" if spec.inputs else "dataset.features"
        raise InvalidSpec([FieldError(where, f"{text} {what} for float32")])
    return result
