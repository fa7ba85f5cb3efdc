"""Loads a data file as arrays ready for training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import SAMPLE_WEIGHT
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.layers import INPUT
from raydient.spec.network import Output
from raydient.spec.values import is_number, number_hint, quoted
from raydient.workers.network import Kind, Preprocessing, Target, category_texts
from raydient.workers.network.losses import Encoded, LabelError, Labels, loss_class, takes_categories

from .dataset import Dataset
from .formats import find_format, read
from .profile import InvalidData, LabelFacts, Profile, label_key
from .raw import RawData, RawInput, label_path
from .source import Samples, split_rows
from .transforms import added_features, feature_text, fit, setting_path


def load(
    spec: DatasetSpec,
    path: Path,
    outputs: Sequence[Output],
    seed: int,
    start: Mapping[str, Preprocessing] = MappingProxyType({}),
) -> Dataset:
    """Read the file at `path`, the local file of `spec.uri`.

    Args:
        spec: selects the columns or arrays, and how they are prepared.
        path: of the file.
        outputs: the network's outputs, whose losses decide how labels are encoded.
        seed: of the split into training and held-out part.
        start: preprocessing of the initial weights, by input. Inputs with the same columns keep its figures; those of
            all others are computed from the training part.

    Raises:
        InvalidData: lists all errors, as far as one does not hide another; paths begin with `dataset.`.
    """
    try:
        raw = read(spec, path, {output.label for output in outputs if takes_categories(output.loss)})
    except InvalidSpec as invalid:
        raise InvalidData(invalid.errors, Profile(_named_shapes(spec, path))) from invalid
    errors = list(raw.errors)
    encoded = _encoded(spec, raw, outputs, errors)
    weights = _weights(raw.labels.get(SAMPLE_WEIGHT), errors)
    train, test = split_rows(seed, raw.rows, spec.split.test)
    if not len(train):
        errors.append(
            FieldError("dataset.split.test", f"{spec.split.test} of {raw.rows} rows leaves no row to train on")
        )
    for what, rows in (("training", train), ("held-out", test)):
        if weights is not None and len(rows) and not weights[rows].any():
            message = f"all {len(rows)} samples of the {what} part have weight 0"
            errors.append(FieldError("dataset.sample_weight", message))
    inputs, xs = {}, {}
    if raw.inputs is not None and len(train):
        for name, raw_input in raw.inputs.items():
            try:
                inputs[name] = _preprocessing(spec, name, raw_input, train, start.get(name))
                xs[name] = [_float32(inputs[name], raw_input, rows, spec, name) for rows in (train, test)]
            except InvalidSpec as invalid:
                errors += invalid.errors
    if errors:
        known = [output for output in outputs if output.layer in encoded]
        labels = {label_key(one): LabelFacts.of([encoded[one.layer][0]], encoded[one.layer][1]) for one in known}
        raise InvalidData(errors, Profile(_prepared_shapes(spec, raw.shapes), len(train), len(test), labels=labels))

    def part(number: int, rows: NDArray[np.int64]) -> Samples:
        ys = {name: values[rows] for name, (values, _) in encoded.items()}
        factors = None if weights is None else weights[rows]
        return Samples({name: parts[number] for name, parts in xs.items()}, ys, factors)

    names = spec.named_labels
    targets = {output.layer: Target(names[output.label], encoded[output.layer][1]) for output in outputs}
    return Dataset(part(0, train), part(1, test), inputs, targets)


def _named_shapes(spec: DatasetSpec, path: Path) -> dict[str, tuple[int, ...]] | None:
    """Return the shapes of one sample by input if the specification lists the columns of a table, else None."""
    format_ = find_format(path)
    if format_ is None or not format_.is_table or not (spec.inputs or spec.features):
        return None
    shapes = {name: (len(input_.columns),) for name, input_ in spec.inputs.items()} or {INPUT: (len(spec.features),)}
    return _prepared_shapes(spec, shapes)


def _prepared_shapes(spec: DatasetSpec, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of prepared samples for those of raw ones, by input."""
    added = {name: added_features(spec, name) for name in shapes}
    return {name: (shape[0] + added[name],) if added[name] else shape for name, shape in shapes.items()}


def _encoded(
    spec: DatasetSpec, raw: RawData, outputs: Sequence[Output], errors: list[FieldError]
) -> dict[str, Encoded]:
    """Encode the labels of each output for its loss; their errors are added to `errors`."""
    encoded = {}
    for output in outputs:
        if output.label in raw.labels:
            try:
                loss = loss_class(output.loss)
                labels, texts = raw.labels[output.label], raw.texts.get(output.label)
                encoded[output.layer] = loss.encode(labels, texts, output.loss.value)
            except LabelError as problem:
                column = quoted(spec.named_labels[output.label])
                errors.append(FieldError(label_path(spec, output.label), f"{column}: {problem}"))
    return encoded


def _weights(labels: Labels | None, errors: list[FieldError]) -> NDArray[np.float32] | None:
    """Return the factors of the samples' losses, float32 (n,); their errors are added to `errors`."""
    if labels is None:
        return None
    if isinstance(labels, list):
        row, text = next(((i, t) for i, t in enumerate(labels, start=1) if not is_number(t)), (1, labels[0]))
        message = f"{quoted(text)} in row {row} is text, but a weight is a number{number_hint(text)}"
        errors.append(FieldError("dataset.sample_weight", message))
        return None
    if labels.ndim != 1 or labels.dtype.kind == "O":
        errors.append(FieldError("dataset.sample_weight", "one number for each sample is needed"))
        return None
    with np.errstate(over="ignore"):
        weights = labels.astype(np.float32)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        text = f"{labels[bad[0]]} in row {bad[0] + 1} is not a weight: a weight is at least 0 and fits float32"
        errors.append(FieldError("dataset.sample_weight", text))
    return weights


def look(spec: DatasetSpec, path: Path) -> list[FieldError]:
    """Return the errors of the file at `path` that do not depend on the losses."""
    try:
        return list(read(spec, path, ()).errors)
    except InvalidSpec as invalid:
        return list(invalid.errors)


def _preprocessing(
    spec: DatasetSpec, name: str, raw: RawInput, train: NDArray[np.int64], start: Preprocessing | None
) -> Preprocessing:
    shape, input_, kind = raw.values.shape[1:], spec.inputs.get(name), Kind.of(raw.values.dtype)
    if input_ is not None and input_.categories:
        vocabulary = tuple(sorted(set(category_texts(raw.values))))
        return Preprocessing(shape, raw.columns, raw.is_table, vocabulary=vocabulary, kind=kind)
    same = start is not None and (start.shape, start.feature_names) == (shape, _names(raw))
    kept = start.transforms if start is not None and same else ()
    return Preprocessing(shape, raw.columns, raw.is_table, fit(spec, raw, train, kept), kind=kind)


def _names(raw: RawInput) -> tuple[str, ...]:
    return raw.columns if raw.is_table else ()


def _float32(
    preprocessing: Preprocessing, raw: RawInput, rows: NDArray[np.int64], spec: DatasetSpec, name: str
) -> NDArray[np.float32]:
    """Preprocess the samples of some rows for the network; contiguous float32."""
    with np.errstate(over="ignore"):
        result = preprocessing.apply(raw.values[rows])
    if not (finite := np.isfinite(result)).all():
        row, *place = (int(i) for i in np.argwhere(~finite)[0])
        text = f"{feature_text(raw, tuple(place))}: {raw.values[(rows[row], *place)]!s} in row {rows[row] + 1}"
        what, setting = preprocessing.why_not_finite(float(raw.values[(rows[row], *place)]), tuple(place))
        path = f"dataset.inputs.{name}" if spec.inputs else "dataset.features"
        path = setting_path(spec, raw, tuple(place), setting) if setting else path
        raise InvalidSpec([FieldError(path, f"{text} {what}")])
    return result
