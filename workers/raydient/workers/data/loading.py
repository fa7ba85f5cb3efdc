"""Loads a data file as arrays ready for training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import SAMPLE_WEIGHT, SPLIT
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec, collecting
from raydient.spec.idx import labels_of
from raydient.spec.layers import INPUT
from raydient.spec.network import Output
from raydient.spec.patterns import DataPath, files_of, paths_of
from raydient.spec.text_files import TEXT_COLUMNS, is_text_file
from raydient.spec.values import is_number, number_hint, quoted
from raydient.workers.network import Preprocessing, Signature, Target
from raydient.workers.network.losses import Encoded, LabelError, takes_categories

from .dataset import Dataset
from .formats import format_of, read
from .inputs import Where, fit_input, prepare_input
from .labels import encode, fit_labels, scale_labels
from .limits import Budget
from .prepared import PreparedSets, files_in, key_of
from .profile import InvalidData, LabelFacts, Profile, label_key
from .raw import RawData, label_path
from .source import Samples, split_rows
from .splits import split
from .transforms import added_features
from .validation import encode_as, read_validation, validation_path


def load(
    spec: DatasetSpec,
    path: DataPath,
    outputs: Sequence[Output],
    seed: int,
    start: Signature | None = None,
    *,
    validation: DataPath | None = None,
    folder: Path | None = None,
) -> Dataset:
    """Read the file at `path`, the local file or files of `spec.training_uris`.

    Args:
        spec: selects the columns or arrays, and how they are prepared.
        path: of the file.
        outputs: the network's outputs, whose losses decide how labels are encoded.
        seed: of the split into training and held-out part.
        start: inputs and outputs of the model with the initial weights, if that file records them. Inputs with the same
            columns, and outputs with the same label, keep its figures; all others are computed from the training part.
        validation: those of `spec.validation_uris`, if there are any.
        folder: of the files for numbers that do not fit the memory, see `Budget`.

    Raises:
        InvalidData: lists all errors, as far as one does not hide another; paths begin with `dataset.`.
    """
    sets, files = PreparedSets(), (path, validation)
    key = None if sets.is_empty else _key(spec, files, outputs, seed, start)
    dataset = None if key is None else sets.find(key, folder)
    if dataset is None:
        before = _states(spec, files)
        dataset = _load(spec, files, outputs, seed, start, folder=folder)
        # of files that have changed meanwhile, the key may be that of another content
        if dataset.folder is not None and before and (key := key or _key(spec, files, outputs, seed, start)):
            dataset = sets.keep(key, dataset) if _states(spec, files) == before else dataset
    return dataset


def _load(
    spec: DatasetSpec,
    files: tuple[DataPath, DataPath | None],
    outputs: Sequence[Output],
    seed: int,
    start: Signature | None,
    *,
    folder: Path | None,
) -> Dataset:
    """Read and prepare the data; see `load`. `files` are those of the training data and of the held-out data."""
    (path, validation), budget = files, Budget(folder=folder)
    try:
        as_written = {output.label for output in outputs if takes_categories(output.loss)}
        raw = read(spec, path, {*as_written, SPLIT}, budget)
    except InvalidSpec as invalid:
        raise InvalidData(invalid.errors, Profile(_named_shapes(spec, path))) from invalid
    errors = [*_of_one_label(spec, path), *raw.errors]
    encoded = _encoded(spec, raw, outputs, errors)
    try:
        train, test = split(spec, raw, seed)
    except InvalidSpec as invalid:
        errors += invalid.errors
        train, test = split_rows(seed, raw.rows, spec.split.test)
    if not len(train):
        errors.append(
            FieldError("dataset.split.test", f"{spec.split.test} of {raw.rows} rows leaves no row to train on")
        )
    first = start or Signature({}, {})
    weights = _weights(raw, errors)
    parts = [_Part(raw, train, encoded, weights), _Part(raw, test, encoded, weights)]
    if spec.validation:
        parts[1] = _own_part(spec, (path, validation or path), parts[0], outputs, errors, budget=budget)
    scalings, problems = fit_labels(spec, outputs, encoded, train, first.targets)
    errors += problems
    parts = [replace(part, encoded=scale_labels(part.encoded, scalings)) for part in parts]
    for part in parts:
        errors += _labels_too_far(spec, outputs, part)
    for what, part in zip(("training", "held-out"), parts, strict=True):
        if part.weights is not None and len(part.rows) and not part.weights[part.rows].any():
            message = f"all {len(part.rows)} samples of the {what} part have weight 0"
            errors.append(FieldError("dataset.sample_weight", message))
    inputs, xs = {}, {}
    if raw.inputs is not None and len(train):
        for name, raw_input in raw.inputs.items():
            with collecting(errors):
                inputs[name] = fit_input(spec, name, raw_input, train, first.inputs.get(name), budget=budget)
                xs[name] = [_prepared(inputs[name], part, spec, name, budget) for part in parts]
    if errors:
        labels = _label_facts(outputs, parts[0].encoded)
        held_out = len(parts[1].rows)
        raise InvalidData(errors, Profile(_prepared_shapes(spec, raw.shapes), len(train), held_out, labels=labels))

    def samples(number: int) -> Samples:
        part = parts[number]
        ys = {name: values[part.rows] for name, (values, _) in part.encoded.items()}
        factors = None if part.weights is None else part.weights[part.rows]
        return Samples({name: several[number] for name, several in xs.items()}, ys, factors)

    names = spec.named_labels
    targets = {
        output.layer: Target(names[output.label], encoded[output.layer][1], scalings.get(output.layer))
        for output in outputs
    }
    rows = None if spec.validation else test
    return Dataset(samples(0), samples(1), inputs, targets, rows, budget.folder if budget.in_files else None)


def _of_one_label(spec: DatasetSpec, path: DataPath) -> Iterator[FieldError]:
    """Yield an error if the data are one text file, whose name is the label of all its lines."""
    files = files_of(path)
    if len(files) == 1 and is_text_file(files[0]) and TEXT_COLUMNS[1] in spec.named_labels.values():
        text = "all lines of a text file have the label of its name: name a file for each label, as in `labels/*.txt`"
        yield FieldError("dataset.uri", text)


def _states(spec: DatasetSpec, data: tuple[DataPath, DataPath | None]) -> list[tuple[int, int, int]]:
    """Return what tells whether a file was replaced or written to, for each file; nothing if one cannot be read."""
    try:
        paths = [path for one in data if one is not None for path in files_of(one)]
        inner = [path / name for path in paths if path.is_dir() for name in files_in(spec, path)]
        states = [path.stat() for path in paths + inner]
    except OSError:
        return []
    return [(state.st_ino, state.st_size, state.st_mtime_ns) for state in states]


def _key(
    spec: DatasetSpec,
    data: tuple[DataPath, DataPath | None],
    outputs: Sequence[Output],
    seed: int,
    start: Signature | None,
) -> str | None:
    """Return the key of a data set among the prepared ones; None if further files decide on it."""
    paths = [path for one in data if one is not None for path in paths_of(one)]
    if any(map(labels_of, paths)) or (spec.images and not all(path.is_dir() for path in paths)):
        return None
    try:
        return key_of(spec, [files_of(one) for one in data if one is not None], outputs, seed, start)
    except OSError:
        return None  # which reading reports


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """The training part or the held-out part before its preparation.

    Attributes:
        raw: the content of its file.
        rows: rows of the file that it consists of, ascending.
        encoded: labels of all rows of the file, by output.
        weights: factors of the losses of all rows of the file; None where all are 1.
        place: path of the setting that names its file, if that is not the file of the training data.
    """

    raw: RawData
    rows: NDArray[np.int64]
    encoded: Mapping[str, Encoded]
    weights: NDArray[np.float32] | None
    place: str = ""


def _prepared(
    preprocessing: Preprocessing, part: _Part, spec: DatasetSpec, name: str, budget: Budget
) -> NDArray[np.float32]:
    """Prepare the samples of a part for the network. Raises InvalidSpec."""
    if part.raw.inputs is None:
        return np.empty((0, *preprocessing.prepared_shape), np.float32)  # its errors are known
    return prepare_input(
        preprocessing, part.raw.inputs[name], part.rows, spec, Where(name, part.place, part.raw.row_name), budget=budget
    )


def _own_part(
    spec: DatasetSpec,
    files: tuple[DataPath, DataPath],
    train: _Part,
    outputs: Sequence[Output],
    errors: list[FieldError],
    *,
    budget: Budget,
) -> _Part:
    """Return the held-out part from data of its own; their errors are added to `errors`.

    Args:
        spec: of the training data, with `validation`.
        files: those of the training data and of the held-out data.
        train: the training part.
        outputs: see `load`.
    """
    place = validation_path(spec)
    with_classes = {output.label for output in outputs if train.encoded.get(output.layer, ((), ()))[1]}
    try:
        own = read_validation(spec, *files, train.raw, with_classes, budget=budget)
    except InvalidSpec as invalid:
        errors += invalid.errors
        return _Part(train.raw, train.rows[:0], train.encoded, train.weights)
    errors += own.errors
    encoded: dict[str, Encoded] = {}
    for output in outputs:
        if output.layer in train.encoded and output.label in own.labels:
            with collecting(errors):
                encoded[output.layer] = encode_as(spec, train.encoded[output.layer], own, output)
    problems: list[FieldError] = []
    weights = _weights(own, problems)
    errors += [FieldError(place, f"{quoted(spec.sample_weight or '')}: {problem.message}") for problem in problems]
    return _Part(own, np.arange(own.rows), encoded, weights, place)


def _label_facts(outputs: Sequence[Output], encoded: Mapping[str, Encoded]) -> dict[str, LabelFacts]:
    """Return what is known about labels of invalid data."""
    known = [(label_key(output), *encoded[output.layer]) for output in outputs if output.layer in encoded]
    return {key: LabelFacts.of([labels], classes) for key, labels, classes in known}


def _labels_too_far(spec: DatasetSpec, outputs: Sequence[Output], part: _Part) -> Iterator[FieldError]:
    """Yield an error for each standardized label of a part that is beyond the range of float32."""
    for output in outputs:
        labels, _ = part.encoded.get(output.layer, (np.zeros(part.raw.rows), ()))
        if spec.standardizes(output.label) and not (finite := np.isfinite(labels[part.rows])).all():
            row, column = part.rows[np.argwhere(~finite)[0][0]], spec.named_labels[output.label]
            name = part.raw.row_name(int(row))
            text = f"{quoted(column)}: {name} is too far from the training part's values for float32"
            yield FieldError(part.place or label_path(spec, output.label), text)


def _named_shapes(spec: DatasetSpec, path: DataPath) -> dict[str, tuple[int, ...]] | None:
    """Return the shapes of one sample by input if the specification lists the columns of a table, else None."""
    format_ = format_of(path)
    if format_ is None or not format_.is_table or not (spec.inputs or spec.features):
        return None
    shapes: dict[str, tuple[int, ...]] = {
        name: input_.image.shape if input_.image else (len(input_.columns),) for name, input_ in spec.inputs.items()
    }
    shapes = shapes or {INPUT: (len(spec.features),)}
    return _prepared_shapes(spec, shapes)


def _prepared_shapes(spec: DatasetSpec, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]] | None:
    """Return the shapes of prepared samples for those of raw ones, by input; None if data without errors decide one."""
    if any(input_.one_hot for input_ in spec.inputs.values()):
        return None
    lengths = {name: (input_.text.length,) for name, input_ in spec.inputs.items() if input_.text}
    shapes = {**shapes, **{name: length for name, length in lengths.items() if name in shapes}}
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
                encoded[output.layer] = encode(spec, output, raw.labels[output.label], raw.texts.get(output.label))
            except LabelError as problem:
                column = quoted(spec.named_labels[output.label])
                errors.append(FieldError(label_path(spec, output.label), f"{column}: {problem.sentence(raw.row_name)}"))
    return encoded


def _weights(raw: RawData, errors: list[FieldError]) -> NDArray[np.float32] | None:
    """Return the factors of the samples' losses, float32 (n,); their errors are added to `errors`."""
    if (labels := raw.labels.get(SAMPLE_WEIGHT)) is None:
        return None
    if isinstance(labels, list):
        row, text = next(((i, t) for i, t in enumerate(labels) if not is_number(t)), (0, labels[0]))
        message = f"{quoted(text)} in {raw.row_name(row)} is text, but a weight is a number{number_hint(text)}"
        errors.append(FieldError("dataset.sample_weight", message))
        return None
    if labels.ndim != 1 or labels.dtype.kind == "O":
        errors.append(FieldError("dataset.sample_weight", "one number for each sample is needed"))
        return None
    with np.errstate(over="ignore"):
        weights = labels.astype(np.float32)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        name = raw.row_name(int(bad[0]))
        text = f"{labels[bad[0]]} in {name} is not a weight: a weight is at least 0 and fits float32"
        errors.append(FieldError("dataset.sample_weight", text))
    return weights


def look(spec: DatasetSpec, path: DataPath, validation: DataPath | None = None) -> list[FieldError]:
    """Return the errors of the files, see `load`, that do not depend on the losses."""
    errors: list[FieldError] = []
    with collecting(errors):
        raw = read(spec, path, {SPLIT})
        errors += raw.errors
        split(spec, raw, 0)
        if spec.validation:
            errors += read_validation(spec, path, validation or path, raw, ()).errors
    return errors
