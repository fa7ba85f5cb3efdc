"""Converts samples (tables, arrays, lists) to arrays that keep the values' types and the columns' names."""

import math
from collections import Counter
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from raydient.spec.csv_text import is_decoded
from raydient.spec.dates import FORMS, read_date, seconds_of
from raydient.spec.values import SPACES, category_text, is_missing, number_hint, number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    Where = Callable[[int], str]
    """Returns the text by which messages name a sample, for its number from 0."""

MISSING_TYPES = frozenset({"NoneType", "NAType", "NaTType", "MaskedConstant"})
"""Types of the values that stand for a missing one, besides NaN."""
EXACT_IN_FLOAT64 = 2**53


class InvalidSamples(ValueError):  # noqa: N818  (named after the condition)
    """Samples that cannot be sent, or that do not fit the network's inputs."""


def row_number(row: int) -> str:
    """The text by which messages name a sample if its source is unknown."""
    return f"row {row + 1}"


def named_columns(inputs: Any) -> dict[str, Any] | None:
    """The columns of a table by name; None for samples without names.

    A table is a mapping, a list of mappings or Series with one sample each, a DataFrame (of pandas or a similar
    library), a pyarrow table, or a structured array.

    Raises:
        InvalidSamples: two columns have one name, or the samples of a list have different names.
    """
    if isinstance(inputs, Mapping):
        return _by_name(inputs, inputs.__getitem__)
    if (
        isinstance(inputs, list | tuple)
        and inputs
        and all(isinstance(one, Mapping) or is_series(one) for one in inputs)
    ):
        return _of_records(inputs)
    if names := getattr(getattr(inputs, "dtype", None), "names", None):
        return _by_name(names, inputs.__getitem__)
    if hasattr(inputs, "column_names") and hasattr(inputs, "column"):
        return _by_name(inputs.column_names, inputs.column)
    if hasattr(inputs, "columns") and hasattr(inputs, "__getitem__"):
        return _by_name(inputs.columns, inputs.__getitem__)
    return None


def _of_records(records: "Sequence[Any]") -> dict[str, Any]:
    """The columns of samples that each have names of their own."""
    tables = [_by_name(one if isinstance(one, Mapping) else one.index, one.__getitem__) for one in records]
    for row, table in enumerate(tables):
        if table.keys() != tables[0].keys():
            missing, unknown = ([n for n in a if n not in b] for a, b in ((tables[0], table), (table, tables[0])))
            raise InvalidSamples(f"{row_number(row)} has other names than row 1; {name_problem(missing, unknown)}")
    return {name: [table[name] for table in tables] for name in tables[0]}


def series_columns(series: Any, features: "Iterable[str]") -> dict[str, Any]:
    """A Series as a table: one column if its name is a feature, else one sample."""
    if series.name in set(features):
        return {series.name: series}
    return _by_name(series.index, lambda name: [series[name]])


def is_series(inputs: Any) -> bool:
    """True if this is a Series of pandas: values with labels and a name."""
    return hasattr(inputs, "index") and hasattr(inputs, "name") and not hasattr(inputs, "columns")


def _by_name(names: "Iterable[Any]", column: "Callable[[Any], Any]") -> dict[str, Any]:
    names = list(names)
    texts = [str(name) for name in names]
    if len(set(texts)) < len(texts):
        twice = next(text for place, text in enumerate(texts) if text in texts[:place])
        raise InvalidSamples(f"there is more than one column named {twice!r}")
    return {text: column(name) for text, name in zip(texts, names, strict=True)}


def repeated_names(names: "Iterable[str]") -> frozenset[str]:
    """The names that occur more than once."""
    return frozenset(name for name, count in Counter(names).items() if count > 1)


def check_lengths(lengths: Mapping[str, int]) -> None:
    """Raise InvalidSamples if columns, of which each has a number of values, differ in it."""
    if len(set(lengths.values())) > 1:
        raise InvalidSamples(f"the columns differ in length: {', '.join(f'{n} has {c}' for n, c in lengths.items())}")


def as_array(name: str, values: Any) -> "NDArray[Any]":
    """The values of a column or array as they are; of lists an array of objects. A masked value becomes None.

    Raises:
        InvalidSamples: the samples differ in shape.
    """
    import numpy as np

    raw = values.to_numpy() if hasattr(values, "to_numpy") else values
    if isinstance(raw, list | tuple) and any(isinstance(one, np.ma.MaskedArray) and one.ndim for one in raw):
        raw = np.ma.stack(raw)
    if isinstance(raw, np.ma.MaskedArray):
        if not np.ma.is_masked(raw):
            return raw.data
        objects = raw.data.astype(object)
        objects[np.ma.getmaskarray(raw)] = None
        return objects
    if isinstance(raw, np.ndarray):
        return raw
    try:
        return np.array(raw, object)
    except ValueError as error:
        raise InvalidSamples(f"{name}: the samples differ in shape: {error}") from None


def own_type(name: str, values: Any, where: "Where" = row_number, *, is_optional: bool = False) -> "NDArray[Any]":
    """Values as bool, int64, float32, float64 or (for texts) object: the first type that holds them without loss.

    Integers outside int64 become texts. `name` is the column's name, for errors. With `is_optional` a missing value
    becomes NaN.

    Raises:
        InvalidSamples: a value is missing, or is neither a number nor a text.
    """
    import numpy as np

    array = as_array(name, values)
    match array.dtype.kind:
        case "b":
            return array
        case "f":
            if not is_optional and len(missing := np.argwhere(np.isnan(array))):
                raise InvalidSamples(f"{name}, {where(int(missing[0][0]))}: there is no value")
            return array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64, copy=False)
        case "i" | "u" if array.dtype.itemsize <= 2:
            return array.astype(np.float32)  # exact, and small on the wire
        case "i" | "u" if not array.size or array.max() <= np.iinfo(np.int64).max:
            return array.astype(np.int64, copy=False)
        case "i" | "u" | "U":
            return _checked(name, _texts(array), where)
        case "O":
            array = _with_nan(array) if is_optional else array
            return _checked(name, _of_objects(name, array, where, allows_nan=is_optional), where)
    raise InvalidSamples(f"{name}: its values are {array.dtype}; numbers or texts are needed")


def numbers(
    name: str, array: "NDArray[Any]", where: "Where" = row_number, *, is_optional: bool = False
) -> "NDArray[Any]":
    """An array that `own_type` made, as finite numbers; texts are read as the cells of a CSV file are.

    With `is_optional` a missing value becomes NaN.

    Raises:
        InvalidSamples: names the first invalid value.
    """
    import numpy as np

    if array.dtype.kind == "O":
        texts = array.ravel().tolist()
        values = [math.nan if is_optional and is_missing(text) else number_of(text) for text in texts]
        for place, (text, value) in enumerate(zip(texts, values, strict=True)):
            if value is None:
                is_there = bool(text.strip(SPACES))
                problem = f"{text[:100]!r} is not a number{number_hint(text)}" if is_there else "there is no value"
                raise InvalidSamples(f"{name}, {where(place * len(array) // len(texts))}: {problem}")
        array = np.array(values, np.float64).reshape(array.shape)
    if array.dtype.kind == "f" and (bad := np.isinf(array) if is_optional else ~np.isfinite(array)).any():
        row, *rest = np.argwhere(bad)[0].tolist()
        raise InvalidSamples(f"{name}, {where(row)}: {array[(row, *rest)]} is not a finite number")
    return array


def dates(name: str, values: Any, where: "Where" = row_number, *, is_optional: bool = False) -> "NDArray[Any]":
    """Dates and times of any form as seconds since 1970, float64; see `spec.dates`.

    They are texts in ISO 8601, or dates of Python, NumPy, pandas or Arrow. With `is_optional` a missing one becomes
    NaN.

    Raises:
        InvalidSamples: names the first value that is missing or no date.
    """
    import numpy as np

    from raydient.spec.date_arrays import seconds_of_array

    array = as_array(name, values)
    if array.dtype.kind == "M":
        seconds = seconds_of_array(array)
    else:
        seconds = np.array([_seconds(value) for value in array.ravel().tolist()], np.float64).reshape(array.shape)
    if len(bad := np.argwhere(np.isinf(seconds) if is_optional else ~np.isfinite(seconds))):
        row = where(int(bad[0][0]))
        if np.isnan(seconds[tuple(bad[0])]):
            raise InvalidSamples(f"{name}, {row}: there is no value")
        raise InvalidSamples(f"{name}, {row}: {str(array[tuple(bad[0])])[:100]!r} is not a date such as {FORMS}")
    return seconds


def _seconds(value: Any) -> float:
    """The seconds since 1970 of a date; NaN where it is missing, infinity where it is none."""
    if type(value).__name__ in MISSING_TYPES or (isinstance(value, float) and math.isnan(value)):
        return math.nan
    if isinstance(value, str):
        moment = read_date(value)
        return seconds_of(moment) if moment is not None else math.nan if is_missing(value) else math.inf
    try:
        return seconds_of(value) if isinstance(value, date) else math.inf
    except OverflowError:  # in UTC outside of the years 1 to 9999
        return math.inf


def side_by_side(arrays: "Sequence[NDArray[Any]]", *, as_texts: bool) -> "NDArray[Any]":
    """Columns (n,) as a table (n, columns) of one type. If their types differ: float64, or texts if `as_texts`."""
    import numpy as np

    if len({array.dtype for array in arrays}) > 1:
        arrays = [_texts(array) if as_texts else array.astype(np.float64) for array in arrays]
    return np.stack(arrays, axis=1)


def name_problem(missing: "Sequence[str]", unknown: "Sequence[str]") -> str:
    """A message about missing and unknown names of columns, with suggestions."""
    parts = [f"{what}: {_few(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
    close = [(name, get_close_matches(name, unknown[:1000], 1)) for name in missing[:5]]
    hints = [f"did you mean {name!r} by {similar[0]!r}?" for name, similar in close if similar]
    return "; ".join([*parts, *hints])


def _few(names: "Sequence[str]") -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(name[:100] for name in names[:8]) + more


def _texts(array: "NDArray[Any]") -> "NDArray[Any]":
    import numpy as np

    texts = np.empty(array.size, object)
    texts[:] = [category_text(value) for value in array.ravel().tolist()]
    return texts.reshape(array.shape)


def _checked(name: str, array: "NDArray[Any]", where: "Where") -> "NDArray[Any]":
    """Return the array; raise InvalidSamples if a text in it cannot be encoded as UTF-8."""
    for place, text in enumerate(array.ravel().tolist()) if array.dtype.kind == "O" else ():
        if not is_decoded(text):
            raise InvalidSamples(f"{name}, {where(place * len(array) // array.size)}: the text is not UTF-8")
    return array


def _with_nan(array: "NDArray[Any]") -> "NDArray[Any]":
    """Replace None and the like in an array of Python objects by NaN."""
    import numpy as np

    values = np.empty(array.size, object)
    values[:] = [float("nan") if type(value).__name__ in MISSING_TYPES else value for value in array.ravel().tolist()]
    return values.reshape(array.shape)


def _of_objects(name: str, array: "NDArray[Any]", where: "Where", *, allows_nan: bool) -> "NDArray[Any]":
    """Convert an array of Python objects; a mixture becomes texts if no numeric type holds all values."""
    import numpy as np

    values = array.ravel().tolist()
    kinds = {kind: _kind(kind) for kind in set(map(type, values))}
    for place, value in enumerate(values) if not set(kinds.values()) <= {str, bool, int} else ():
        if kinds[type(value)] is None or (kinds[type(value)] is float and math.isnan(value) and not allows_nan):
            row = where(place * len(array) // len(values))
            is_missing = type(value).__name__ in MISSING_TYPES or kinds[type(value)] is float
            problem = "there is no value" if is_missing else f"{value!r:.100} is neither a number nor a text"
            raise InvalidSamples(f"{name}, {row}: {problem}")
    match sorted(kind.__name__ for kind in set(kinds.values()) if kind):
        case ["bool"]:
            return array.astype(np.bool_)
        case ["int"] if all(-(2**63) <= value < 2**63 for value in values):
            return array.astype(np.int64)
        case ["float"]:
            return array.astype(np.float64)
        case ["float", "int"] if all(kinds[type(v)] is float or abs(v) <= EXACT_IN_FLOAT64 for v in values):
            return array.astype(np.float64)
        case ["bool", "float"] | ["bool", "int"] | ["bool", "float", "int"] if allows_nan:
            return array.astype(np.float64)
    return _texts(array)


def _kind(of: type) -> type[str | bool | int | float] | None:
    """The Python type that represents a type of values; None if there is none."""
    import numpy as np

    if issubclass(of, bool | np.bool_):
        return bool
    return next((kind for kind, base in ((str, str), (int, Integral), (float, Real)) if issubclass(of, base)), None)
