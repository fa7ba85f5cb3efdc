"""Reads held-out data of their own, with the columns, the categories and the classes of the training data."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import DEFAULT_ARRAY
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.network import Output
from raydient.spec.patterns import DataPath, paths_of
from raydient.spec.values import quoted
from raydient.workers.network import category_places
from raydient.workers.network.losses import Encoded, LabelError, loss_class, shown_classes

from .formats import format_of, read
from .labels import encode
from .limits import Budget
from .raw import RawData, RawInput

MEND = "leave out what the training data lack, or name the columns to use in `dataset.features`"


def validation_path(spec: DatasetSpec) -> str:
    """Return the path of the setting that names the held-out data."""
    assert spec.validation is not None
    return "dataset.validation.uri" if spec.validation.uri else "dataset.validation.arrays"


def read_validation(
    spec: DatasetSpec,
    training: DataPath,
    path: DataPath,
    raw: RawData,
    as_written: Collection[str],
    *,
    budget: Budget | None = None,
) -> RawData:
    """Read the held-out data at `path`; its errors have the path of the setting that names them.

    Args:
        spec: of the training data, with `validation`.
        training, path: the files, which may be the same one.
        raw: the training data.
        as_written, budget: see `read`.
    """
    where, names = validation_path(spec), spec.validation.arrays if spec.validation else {}
    format_, wanted = format_of(path), format_of(training)
    is_table = wanted is not None and wanted.is_table
    if format_ is not None and format_.is_table != is_table:
        kinds = ("arrays", "a table") if is_table else ("a table", "arrays")
        suffixes = [paths_of(one)[0].suffix for one in (path, training)]
        text = f"the file ({suffixes[0]}) has {kinds[0]}, the training data {kinds[1]} ({suffixes[1]})"
        text += ": both need the same kind"
        raise InvalidSpec([FieldError(where, text)])
    if names and is_table:
        raise InvalidSpec([FieldError("dataset.validation.arrays", "a table has no arrays: name a file in `uri`")])
    try:
        own = read(renamed(spec, names), path, as_written, budget)
    except InvalidSpec as invalid:
        raise InvalidSpec(FieldError(where, error.message) for error in invalid.errors) from invalid
    errors = _differences(raw, own, is_table=is_table) + [error.message for error in own.errors]
    inputs = None if errors else own.inputs
    if inputs is not None and raw.inputs is not None:
        inputs = {name: _in_order(input_, raw.inputs[name]) for name, input_ in inputs.items()}
    located = tuple(FieldError(where, message) for message in errors)
    return replace(own, inputs=inputs, errors=located)


def renamed(spec: DatasetSpec, names: Mapping[str, str]) -> DatasetSpec:
    """Return the specification with other names of arrays, those of the held-out part by those of the training part."""

    def name(array: str) -> str:
        return names.get(array, array)

    if not names:
        return spec
    update = {
        "label": name(spec.label),
        "features": tuple(map(name, spec.features or (() if spec.inputs else (DEFAULT_ARRAY,)))),
        "inputs": {
            key: one.model_copy(update={"columns": tuple(map(name, one.columns))}) for key, one in spec.inputs.items()
        },
        "labels": {key: name(array) for key, array in spec.labels.items()},
        "columns": {name(array): one for array, one in spec.columns.items()},
        "sample_weight": name(spec.sample_weight) if spec.sample_weight else None,
    }
    return spec.model_copy(update=update)


def encode_as(spec: DatasetSpec, encoded: Encoded, own: RawData, output: Output) -> Encoded:
    """Encode the labels of the held-out part for an output as those of the training part are.

    Args:
        spec: of the training data, with `validation`.
        encoded: the labels of the training part, not yet scaled, and their classes.
        own: the held-out data, with labels that have classes as texts.
        output: whose label it is.

    Raises:
        InvalidSpec: a label does not fit the loss, or its class does not occur in the training data.
    """
    (known, classes), loss = encoded, loss_class(output.loss)
    try:
        if classes:
            places = _places(own.texts[output.label], classes, own.rows)
            values = places.astype(known.dtype).reshape(own.rows, *known.shape[1:])
        else:
            values, _ = encode(spec, output, own.labels[output.label])
            if len(unseen := np.setdiff1d(loss.occurring(values), loss.occurring(known))):
                row = next(row for row in range(own.rows) if unseen[0] in loss.occurring(values[row : row + 1]))
                raise LabelError(f"class {unseen[0]} in ", row, " does not occur in the training data")
        if values.shape[1:] != known.shape[1:]:
            raise LabelError(f"a label has shape {values.shape[1:]}, one of the training data {known.shape[1:]}")
    except LabelError as problem:
        column = spec.named_labels[output.label]
        raise InvalidSpec(
            [FieldError(validation_path(spec), f"{quoted(column)}: {problem.sentence(own.row_name)}")]
        ) from problem
    return values, classes


def _places(texts: Sequence[str], classes: Sequence[str], rows: int) -> NDArray[np.int32]:
    """Return the place of each label among the classes of the training data. Raises LabelError."""
    known = category_places(tuple(classes))
    for place, text in enumerate(texts):
        if text not in known:
            shown = shown_classes(classes)
            row, why = place * rows // len(texts), f" does not occur in the training data, which have {shown}"
            raise LabelError(f"{quoted(text)} in ", row, why)
    return np.array([known[text] for text in texts], np.int32)


def _differences(raw: RawData, own: RawData, *, is_table: bool) -> list[str]:
    """Return how the inputs of the held-out data differ from those of the training data; nothing if they do not."""
    differences = []
    for name, shape in own.shapes.items():
        theirs = raw.inputs[name] if raw.inputs is not None else None
        ours = own.inputs[name] if own.inputs is not None else None
        if theirs is not None and ours is not None and is_table:
            lacking = [column for column in theirs.columns if column not in ours.columns]
            more = [column for column in ours.columns if column not in theirs.columns]
            differences += [f"column {quoted(column)} of the training data is missing" for column in lacking]
            differences += [f"column {quoted(column)} is not in the training data: {MEND}" for column in more]
        elif shape != raw.shapes[name] and is_table:
            text = f"there are {shape[0]} columns besides the label, in the training data {raw.shapes[name][0]}"
            differences.append(f"{text}: {MEND}")
        elif shape != raw.shapes[name]:
            differences.append(f"samples have shape {shape}, those of the training data {raw.shapes[name]}")
    return differences


def _in_order(own: RawInput, training: RawInput) -> RawInput:
    """Return the samples of a table with the columns in the order of the training data."""
    if not own.is_table or own.columns == training.columns:
        return own
    if len(own.columns) == 1:  # an array of another name
        return RawInput(own.values, training.columns, own.is_table)
    places = [own.columns.index(column) for column in training.columns]
    return RawInput(own.values[:, places], training.columns, own.is_table)
