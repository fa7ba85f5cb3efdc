"""Samples that come in by name: which of them are a network's inputs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.server.errors import InvalidRequest
from raydient.workers.network import Model, Preprocessing

Arrays = Mapping[str, NDArray[Any]]


def gather(model: Model, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The inputs of a model, each (n, *input shape): an array of its name, or the columns that it was in training.

    Raises:
        InvalidRequest: an input that is not there, of another shape or another number of samples, or a number that is
            not finite.
    """
    inputs = {name: _input(name, given, arrays) for name, given in model.inputs.items()}
    rows = {name: len(values) for name, values in inputs.items()}
    if len(set(rows.values())) > 1:
        raise invalid(
            "arrays", f"samples differ in number: {', '.join(f'{n} has {count}' for n, count in rows.items())}"
        )
    return inputs


def invalid(path: str, message: str) -> InvalidRequest:
    """The error of samples that do not fit."""
    return InvalidRequest.of(path, message, reason="INVALID_INPUTS")


def _input(name: str, given: Preprocessing, arrays: Arrays) -> NDArray[Any]:
    if name in arrays:
        values = arrays[name]
    else:
        absent = [column for column in given.columns if column not in arrays]
        if absent or not given.columns:
            more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
            raise invalid("arrays", f"the input {name} is missing, or of its columns {', '.join(absent[:5])}{more}")
        found = [arrays[column] for column in given.columns]
        values = np.stack([one.reshape(-1) for one in found], axis=1) if given.is_table else found[0]
    values = values[:, np.newaxis] if values.ndim == 1 else values
    if values.shape[1:] != given.shape:
        shape = list(values.shape[1:])
        raise invalid(f"arrays.{name}", f"a sample has shape {shape}, needed is {list(given.shape)}")
    if values.dtype.kind == "O" and not given.vocabulary:
        values = _numbers(name, values)  # a table's cells may all come as they are written
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise invalid(f"arrays.{name}", f"the sample at position {row} has a value that is not finite")
    return values


def _numbers(name: str, texts: NDArray[Any]) -> NDArray[np.float32]:
    try:
        return texts.astype(np.float32)
    except ValueError as error:
        raise invalid(f"arrays.{name}", f"numbers are needed: {error}") from error
