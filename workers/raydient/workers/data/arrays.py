"""Reads the samples and labels of a job from a file of named arrays."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import SPLIT
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.date_arrays import seconds_of_array
from raydient.spec.dates import FORMS, read_date, seconds_of
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.layers import INPUT
from raydient.spec.values import is_missing, quoted
from raydient.workers.network import category_texts
from raydient.workers.network.losses import Labels
from raydient.workers.row_errors import row_name

from .blocks import blocks
from .faults import DATE
from .limits import Budget
from .raw import RawData, RawInput, label_path, missing, refusing_damage, unreadable


@dataclass(frozen=True, slots=True)
class Wanted:
    """An array that a job names.

    Attributes:
        array: name of the array.
        path: path in the specification.
        kinds: permitted kinds of dtype.
        is_optional: values may be missing, NaN.
        mend: remedy for missing values.
        is_date: values are dates, datetime64 or texts.
    """

    array: str
    path: str
    kinds: str
    is_optional: bool = False
    mend: str = ""
    is_date: bool = False

    def what(self, dtype: np.dtype[Any]) -> str:
        """Return what the values have to be instead of a type."""
        if self.is_date:
            return "dates or texts"
        if "U" in self.kinds:
            return "numbers or texts"
        return "numbers" + (f": {DATE.format(quoted(self.array))}" if dtype.kind == "M" else "")


class Arrays(Protocol):
    """An open file."""

    @property
    def names(self) -> Sequence[str]:
        """The names of its arrays."""

    def problem(self, wanted: Wanted, budget: Budget) -> str | None:
        """Return the reason why an array cannot be read, by what the file declares, or None.

        Args:
            wanted: the array, which exists.
            budget: accounts for the memory of texts.

        Raises:
            Exception: of many types, if the file is damaged.
        """

    def read(self, name: str, budget: Budget) -> NDArray[Any]:
        """Return an array without a problem. Raises exceptions of many types if the file is damaged."""


def read_arrays(
    kind: str,
    open_: Callable[[Path], AbstractContextManager[Arrays]],
    files: Sequence[Path],
    spec: DatasetSpec,
    as_written: Collection[str],
    *,
    budget: Budget,
) -> RawData:
    """Read the arrays of a file that the specification names, by default `x` and `y`.

    Args:
        kind: of the file, as in `an NPZ file`.
        open_: opens the file; may raise exceptions of many types.
        files: of which there is one.
        spec: which arrays to read; all others may hold anything.
        as_written: names of labels to return as texts, even if they are numbers.
        budget: limit on the memory.

    Raises:
        InvalidSpec: not a file of this kind, or an array is missing or cannot be samples or labels.
    """
    if len(files) > 1:
        raise unreadable(f"has to be one: only tables are read from several files, and {len(files)} match")
    inputs = _inputs(spec, kind)
    if spec.label_columns:
        message = f"{kind} has the labels of a sample in one array: name it in `label`"
        raise InvalidSpec([FieldError("dataset.label_columns", message)])
    labels = {
        name: Wanted(array, label_path(spec, name), "biufUM" if name == SPLIT else "biufU")
        for name, (array,) in spec.read_beside.items()
    }
    wanted = [*inputs.values(), *labels.values()]
    with refusing_damage(kind), open_(files[0]) as file:
        arrays = _read(file, wanted, budget)
    _check_rows(wanted, arrays, next(iter(labels.values())))
    _check_columns(spec, [one.array for one in inputs.values()], arrays)
    errors = {one.path: _converted(one, arrays) for one in wanted}
    good = {name: arrays[one.array] for name, one in labels.items() if not errors[one.path]}
    samples = {name: _samples(arrays[one.array]) for name, one in inputs.items()}
    is_good = not any(errors[one.path] for one in inputs.values())
    return RawData(
        {name: RawInput(samples[name], (one.array,), one.array in spec.columns) for name, one in inputs.items()}
        if is_good
        else None,
        {name: _labels(array) for name, array in good.items()},
        {name: category_texts(array) for name, array in good.items() if name in as_written},
        tuple(error for several in errors.values() for error in several),
        len(next(iter(samples.values()))),
        {name: values.shape[1:] for name, values in samples.items()},
    )


def _inputs(spec: DatasetSpec, kind: str) -> Mapping[str, Wanted]:
    """Return the array of each input, by name."""
    if spec.inputs:
        many = [name for name, input_ in spec.inputs.items() if len(input_.columns) > 1]
        message = f"{kind} has the samples of an input in one array: name one"
        if many:
            raise InvalidSpec(FieldError(f"dataset.inputs.{name}.columns", message) for name in many)
        return {
            name: Wanted(input_.columns[0], f"dataset.inputs.{name}.columns[0]", "biuU")
            if input_.is_text
            else _numbers(input_.columns[0], f"dataset.inputs.{name}.columns[0]", spec)
            for name, input_ in spec.inputs.items()
        }
    if len(spec.features) > 1:
        raise InvalidSpec([FieldError("dataset.features", f"{kind} has its samples in one array: name one")])
    path = "dataset.features[0]" if spec.features else "dataset.features"
    return {INPUT: _numbers(spec.features[0] if spec.features else "x", path, spec)}


def _numbers(array: str, path: str, spec: DatasetSpec) -> Wanted:
    mend, is_date = "; `dataset.impute: median` fills missing values", spec.date_of(array) is not None
    return Wanted(array, path, "MU" if is_date else "biuf", spec.imputes(array) is not None, mend, is_date)


def _check_columns(spec: DatasetSpec, names: Sequence[str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Check that the arrays that `dataset.columns` prepares are inputs, `names`, of one value a sample."""
    errors = []
    for name in spec.columns:
        if name not in names:
            errors += missing([(f"dataset.columns.{name}", name)], "an array that is an input", names)
        elif arrays[name].shape[1:] not in ((), (1,)):
            message = f"{quoted(name)} has samples of shape {arrays[name].shape[1:]}, but a column has one value"
            mend = "`dataset.impute` and `dataset.standardize` prepare such arrays"
            errors.append(FieldError(f"dataset.columns.{name}", f"{message}: {mend}"))
    if errors:
        raise InvalidSpec(errors)


def _check_rows(wanted: list[Wanted], arrays: Mapping[str, NDArray[Any]], label: Wanted) -> None:
    """Check that every array has as many rows as the first label."""
    y = arrays[label.array]
    for one in wanted:
        x = arrays[one.array]
        if not x.ndim or not y.ndim or len(x) != len(y):
            text = f"{quoted(one.array)} has shape {x.shape} and {quoted(label.array)} {y.shape}"
            raise InvalidSpec([FieldError(one.path, f"{text}: both need one row for each sample")])


def _samples(x: NDArray[Any]) -> NDArray[Any]:
    return x[:, np.newaxis] if x.ndim == 1 else x


def _read(file: Arrays, wanted: list[Wanted], budget: Budget) -> dict[str, NDArray[Any]]:
    """Read the wanted arrays by name, each once."""
    names = set(file.names)
    absent = [(one.path, one.array) for one in wanted if one.array not in names]
    errors = missing(absent, "an array of the file", file.names)
    for one in wanted:
        if one.array in names and (problem := file.problem(one, budget)):
            errors.append(FieldError(one.path, f"{quoted(one.array)} {problem}"))
    if errors:
        raise InvalidSpec(errors)
    return {name: file.read(name, budget) for name in {one.array: None for one in wanted}}


def _labels(y: NDArray[Any]) -> Labels:
    if y.dtype.kind != "U":
        return y
    if y.size > len(y):
        return y.astype(object)
    texts: list[str] = y.reshape(-1).tolist()
    return texts


def _no_text(values: NDArray[np.str_]) -> str:
    """Return why some values are no Unicode texts; empty if all are."""
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    points = native.view(np.uint32).reshape(len(values), -1) if values.itemsize else np.zeros((1, 0), np.uint32)
    bad = (((points >= 0xD800) & (points <= 0xDFFF)) | (points > 0x10FFFF)).any(axis=1)
    where = row_name(int(bad.argmax()))
    return f"has a text in {where} that is not Unicode: save it without lone surrogates" if bad.any() else ""


def _converted(wanted: Wanted, arrays: dict[str, NDArray[Any]]) -> list[FieldError]:
    """Make seconds since 1970 of dates, and return the errors of the values."""
    values = arrays[wanted.array]
    if values.dtype.kind == "U" and (problem := _no_text(values)):
        return [FieldError(wanted.path, f"{quoted(wanted.array)} {problem}")]
    if not wanted.is_date or values.dtype.kind == "f":  # dates of two inputs are converted once
        if values.dtype.kind == "M":  # the column of the split, in one order with other files
            arrays[wanted.array] = np.datetime_as_string(values.astype("datetime64[us]"))
        return _not_finite(wanted, values)
    seconds = seconds_of_array(values) if values.dtype.kind == "M" else _read_dates(values)
    arrays[wanted.array] = seconds
    bad = np.argwhere(np.isinf(seconds) if wanted.is_optional else ~np.isfinite(seconds))
    if not len(bad):
        return []
    row, place = int(bad[0][0]), tuple(bad[0])
    problem = f"is {quoted(str(values[place]))} in {row_name(row)}, which is not a date such as {FORMS}"
    if np.isnan(seconds[place]):
        problem = f"has no value in {row_name(row)}{wanted.mend}"
    return [FieldError(wanted.path, f"{quoted(wanted.array)} {problem}")]


def _read_dates(texts: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return the seconds since 1970 of dates in ISO 8601; NaN where one is missing, infinity where one is no date."""
    seconds = []
    for text in texts.ravel().tolist():
        moment = read_date(text)
        seconds.append((np.nan if is_missing(text) else np.inf) if moment is None else seconds_of(moment))
    return np.array(seconds, np.float64).reshape(texts.shape)


def _not_finite(wanted: Wanted, values: NDArray[Any]) -> list[FieldError]:
    """Return an error if there is infinity among the values, or NaN where no value may be missing."""
    if values.dtype.kind != "f":
        return []
    wrong = []
    for block in blocks(len(values), values.shape[1:]):
        part = values[block]
        if not np.isfinite(part).all():
            wrong.append(np.argwhere(np.isinf(part) if wanted.is_optional else ~np.isfinite(part)))
            wrong[-1][:, 0] += block.start
    bad = np.concatenate(wrong) if wrong else np.empty((0, 0), np.int64)
    if not len(bad):
        return []
    row, *place = (int(i) for i in bad[0])
    at = f", position {tuple(place)}" if place else ""
    more = f" ({len(bad)} such values)" if len(bad) > 1 else ""
    value = values[tuple(bad[0])]
    mend = wanted.mend if np.isnan(value) else ""
    return [FieldError(wanted.path, f"{quoted(wanted.array)} is {value} in {row_name(row)}{at}{more}{mend}")]
