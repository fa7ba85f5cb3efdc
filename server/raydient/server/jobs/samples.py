"""Selects the inputs of a network among the arrays and columns of a request."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from raydient.server.errors import InvalidRequest
from raydient.spec.dates import FORMS, read_date, seconds_of
from raydient.spec.values import category_text, is_missing, number_of
from raydient.steps.arrays import AnyArray
from raydient.workers.network import Model, Preprocessing, SampleError


def gather(model: Model, arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """The inputs of a model, each (n, *input shape): an array of its name, or the columns that it was in training.

    Raises:
        InvalidRequest: an input is missing, has another shape or another number of samples, or holds a number that is
            not finite.
    """
    inputs = {name: _input(name, preprocessing, arrays) for name, preprocessing in model.inputs.items()}
    _check_equal("samples differ in number", {name: len(values) for name, values in inputs.items()})
    return inputs


def in_order(model: Model, inputs: AnyArray, columns: Sequence[str]) -> AnyArray:
    """The features of a model among the columns of a table, (n, columns), in the order of training.

    Raises:
        InvalidRequest: the names do not fit the table or the network.
    """
    if inputs.ndim != 2 or inputs.shape[1] != len(columns):
        raise invalid("columns", f"{len(columns)} names for inputs of shape {list(inputs.shape)}")
    if not model.input.feature_names:
        raise invalid("columns", "the network was not trained on a table; omit the names")
    places = {name: place for place, name in enumerate(columns)}
    if len(places) != len(columns):
        twice = next(name for place, name in enumerate(columns) if places[name] != place)
        raise invalid("columns", f"{twice[:100]!r} occurs twice")
    if missing := [name for name in model.input.feature_names if name not in places]:
        features = set(model.input.feature_names)
        raise invalid("columns", _missing(missing, [name for name in columns if name not in features]))
    return inputs[:, [places[name] for name in model.input.feature_names]]


def prepare(path: str, preprocessing: Preprocessing, values: AnyArray) -> AnyArray:
    """Convert samples of one input for `Model.prepare`: to its shape, and texts to numbers where it takes numbers.

    Missing values become NaN.

    Raises:
        InvalidRequest: the shape is wrong, a text is not a finite number where numbers are needed, or a value that the
            job does not impute is missing.
    """
    values = values[:, np.newaxis] if values.ndim == 1 and preprocessing.shape == (1,) else values
    if values.shape[1:] != preprocessing.shape:
        shape = list(values.shape[1:])
        raise invalid(f"{path}.shape", f"a sample has shape {shape} instead of {list(preprocessing.shape)}")
    if values.dtype.kind == "O" and not preprocessing.has_categories:
        values = _numbers(path, values, preprocessing)  # a client may send all cells of a table as texts
    if values.dtype.kind == "f" and (bad := ~np.isfinite(values) & ~(np.isnan(values) & preprocessing.optional)).any():
        row, *place = (int(i) for i in np.argwhere(bad)[0])
        raise invalid(f"{path}[{row}]", f"{values[(row, *place)]} is not a finite number")
    return values


def invalid(path: str, message: str) -> InvalidRequest:
    """The error of invalid samples."""
    return InvalidRequest.of(path, message, reason="INVALID_INPUTS")


def refused(path: str, error: SampleError) -> InvalidRequest:
    """Translate an error of the network; `path` is the tensor's path in the request."""
    return invalid(path if error.row is None else f"{path}[{error.row}]", error.args[0])


def _input(name: str, preprocessing: Preprocessing, arrays: Mapping[str, AnyArray]) -> AnyArray:
    if name in arrays:
        values = arrays[name]
    else:
        absent = [column for column in preprocessing.columns if column not in arrays]
        if absent or not preprocessing.columns:
            problem = _missing(absent, list(arrays))
            raise invalid("arrays", f"neither the input {name} nor its columns are in the request; {problem}")
        columns = [arrays[column] for column in preprocessing.columns]
        if preprocessing.has_categories and len({column.dtype for column in columns}) > 1:
            # stacking converts the columns to one type, which would change the texts of some values
            columns = [np.array([category_text(v) for v in column.ravel().tolist()], object) for column in columns]
        if preprocessing.is_table:
            sizes = {column: one.size for column, one in zip(preprocessing.columns, columns, strict=True)}
            _check_equal(f"columns of {name} differ in length", sizes)
        values = np.stack([one.reshape(-1) for one in columns], axis=1) if preprocessing.is_table else columns[0]
    return prepare(f"arrays.{name}", preprocessing, values)


def _check_equal(differ: str, counts: Mapping[str, int]) -> None:
    """Raise InvalidRequest, which names the first entry and a different one, unless all counts are equal."""
    first = next(iter(counts))
    for name, count in counts.items():
        if count != counts[first]:
            raise invalid("arrays", f"{differ}: {first} has {counts[first]}, {name} has {count}")


def _missing(absent: Sequence[str], unknown: Sequence[str]) -> str:
    """The first few missing names, with suggestions."""
    more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
    close = [match for name in absent[:5] for match in get_close_matches(name, unknown[:1000], 1)]
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    return f"missing: {', '.join(absent[:5])}{more}{hint}"


def _numbers(path: str, texts: AnyArray, preprocessing: Preprocessing) -> NDArray[np.float64]:
    numbers, optional = np.empty(texts.size), preprocessing.optional.ravel().tolist()
    are_dates = [name in preprocessing.date_columns for name in preprocessing.columns]
    for place, text in enumerate(texts.ravel().tolist()):
        if not isinstance(text, str):  # a number beside columns of texts
            numbers[place] = text
            continue
        if optional[place % len(optional)] and is_missing(text):
            numbers[place] = np.nan
            continue
        is_date = preprocessing.is_table and are_dates[place % len(are_dates)]
        number = _seconds(text) if is_date else number_of(text)
        if number is None:
            row = place * len(texts) // texts.size
            what = f"a date such as {FORMS}" if is_date else "a number"
            raise invalid(f"{path}[{row}]", f"{text[:100]!r} is not {what}")
        numbers[place] = number
    return numbers.reshape(texts.shape)


def _seconds(text: str) -> float | None:
    moment = read_date(text)
    return None if moment is None else seconds_of(moment)
