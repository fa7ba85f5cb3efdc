"""The preparation of an input: fitted to the training part, and applied to the samples of a part."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.inputs import Input
from raydient.spec.text import Text
from raydient.spec.values import MISSING
from raydient.workers.network import Hashing, Kind, Preprocessing, SampleError, Tokens, category_texts

from .blocks import blocks
from .limits import Budget
from .raw import RawInput
from .source import Rows
from .transforms import feature_text, fit, setting_path


def fit_input(
    spec: DatasetSpec, name: str, raw: RawInput, train: Rows, start: Preprocessing | None = None, *, budget: Budget
) -> Preprocessing:
    """Return the preparation that a specification asks for.

    Args:
        spec: of the data.
        name: of the input.
        raw: its samples.
        train: rows of the training part.
        start: the preparation with which initial weights were trained; the figures of the same columns are kept.
        budget: limit on the memory.

    Raises:
        InvalidSpec: it cannot be fitted.
    """
    input_ = spec.inputs.get(name)
    if input_ is not None and input_.text:
        return _of_texts(input_.text, name, raw, train, start, one_hot=input_.one_hot)
    if input_ is not None and input_.is_text:
        return _of_categories(input_, name, raw, train, start)
    shape = raw.values.shape[1:]
    same = start is not None and (start.shape, start.feature_names) == (shape, raw.columns if raw.is_table else ())
    kept = start.transforms if start is not None and same else ()
    kind, transforms = Kind.of(raw.values.dtype), fit(spec, raw, train, kept, budget=budget)
    return Preprocessing(shape, raw.columns, raw.is_table, transforms, kind=kind, is_image=raw.is_image)


def _of_categories(input_: Input, name: str, raw: RawInput, train: Rows, start: Preprocessing | None) -> Preprocessing:
    vocabulary: list[str] = []
    hashing = Hashing(input_.hashing.buckets, input_.hashing.salt) if input_.hashing else None
    if hashing is None:
        if input_.buckets and start is not None and start.has_buckets and start.columns == raw.columns:
            vocabulary = list(start.vocabulary)
        else:
            vocabulary = _vocabulary(name, raw, train) if input_.buckets else sorted(set(category_texts(raw.values)))
    return Preprocessing(
        raw.values.shape[1:],
        raw.columns,
        raw.is_table,
        vocabulary=tuple(vocabulary),
        kind=Kind.of(raw.values.dtype),
        has_buckets=input_.buckets,
        hashing=hashing,
        one_hot=input_.one_hot,
    )


def _of_texts(
    settings: Text, name: str, raw: RawInput, train: Rows, start: Preprocessing | None, *, one_hot: bool
) -> Preprocessing:
    path, shape = f"dataset.inputs.{name}.text", raw.values.shape[1:]
    if shape != (1,):
        raise InvalidSpec([FieldError(path, f"a sample has shape {shape}, but a text is one value")])
    tokens = start.tokens if start is not None and start.columns == raw.columns else None
    if tokens is None or settings.vocabulary or not tokens.is_of(settings):
        tokens = Tokens.fit(category_texts(raw.values[train]), settings)
    if not tokens.vocabulary:
        raise InvalidSpec([FieldError(path, "the training part has no token, all texts are empty")])
    kind = Kind.of(raw.values.dtype)
    return Preprocessing(shape, raw.columns, raw.is_table, kind=kind, one_hot=one_hot, tokens=tokens)


def _vocabulary(name: str, raw: RawInput, train: Rows) -> list[str]:
    """Return the categories of the training part, sorted, without missing ones. Raises InvalidSpec if none is left."""
    vocabulary = sorted(set(category_texts(raw.values[train])) - MISSING)
    if not vocabulary:
        raise InvalidSpec([FieldError(f"dataset.inputs.{name}", "the training part has no category, all are missing")])
    return vocabulary


@dataclass(frozen=True, slots=True)
class Where:
    """The names that errors of an input's samples have.

    Attributes:
        name: of the input.
        place: path of the setting that names the file, if that is not the training data's.
        row_name: returns the name of a row, for its number from 0.
    """

    name: str
    place: str
    row_name: Callable[[int], str]


def prepare_input(
    preprocessing: Preprocessing,
    raw: RawInput,
    rows: Rows,
    spec: DatasetSpec,
    where: Where,
    *,
    budget: Budget,
) -> NDArray[np.float32]:
    """Prepare samples for the network; contiguous float32.

    Args:
        preprocessing: of the input.
        raw: samples of a file.
        rows: those to prepare.
        spec: of the data.
        where: names the input and the rows.
        budget: limit on the memory.

    Raises:
        InvalidSpec: a value has no number for the network.
    """
    path = where.place or (f"dataset.inputs.{where.name}" if spec.inputs else "dataset.features")
    result = budget.empty((len(rows), *preprocessing.prepared_shape), np.float32)
    for block in blocks(len(rows), max(raw.values.shape[1:], preprocessing.prepared_shape, key=prod)):
        numbers = rows[block]
        try:
            with np.errstate(over="ignore"):
                result[block] = preprocessing.apply(raw.values[numbers])
        except SampleError as error:  # a category that the training data lack
            text = f"{feature_text(raw, error.place)}: {error.args[0]} of the training data"
            row_name = where.row_name(int(numbers[error.row or 0]))
            raise InvalidSpec([FieldError(path, f"{text} ({row_name})")]) from error
        if not (finite := np.isfinite(result[block])).all():
            row, *at = (int(i) for i in np.argwhere(~finite)[0])
            source = preprocessing.source(tuple(at))
            value = raw.values[(numbers[row], *source)]
            row_name = where.row_name(int(numbers[row]))
            text = f"{feature_text(raw, source)}: {preprocessing.shown(value, source)} in {row_name}"
            what, setting = preprocessing.why_not_finite(float(value), tuple(at))
            cause = setting_path(spec, raw, source, setting) if setting and not where.place else path
            raise InvalidSpec([FieldError(cause, f"{text} {what}")])
    return result
