"""Reading NPZ files: the arrays' headers are believed only after they have been checked."""

import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.layers import INPUT

from .raw import Labels, RawData, RawInput, label_path, missing

MAX_ARRAY_BYTES = 16 * 2**30
"""Largest array that is read: what a small archive unpacks to must not take the machine down."""


def read(path: Path, spec: DatasetSpec) -> RawData:
    """The samples in the arrays of an NPZ file that the specification names; in the plain case `x` and `y`.

    Raises:
        InvalidSpec: no NPZ file, or arrays that are not there or cannot be samples and labels.
    """
    inputs, labels = _inputs(spec), spec.read_beside
    wanted = {where: (array, kinds) for array, where, kinds in inputs.values()}
    wanted |= {label_path(spec, name): (array, "biufU") for name, array in labels.items()}
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = _read(archive, wanted)
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError) as error:
        if isinstance(error, InvalidSpec):
            raise
        raise InvalidSpec([FieldError("dataset.uri", f"the file is not an NPZ file: {error}")]) from error
    _check_rows(wanted, arrays, label_path(spec, next(iter(labels))))
    errors = {where: _not_finite(where, wanted[where][0], array) for where, array in arrays.items()}
    fine = not any(errors[where] for _, where, _ in inputs.values())
    return RawData(
        {name: RawInput(_samples(arrays[where]), (array,), False) for name, (array, where, _) in inputs.items()}
        if fine
        else None,
        {name: _labels(arrays[label_path(spec, name)]) for name in labels if not errors[label_path(spec, name)]},
        errors=tuple(error for found in errors.values() for error in found),
    )


def _inputs(spec: DatasetSpec) -> dict[str, tuple[str, str, str]]:
    """Of each input its array, where that stands in the specification, and the kinds of dtype that it may have."""
    if spec.inputs:
        many = [name for name, given in spec.inputs.items() if len(given.columns) > 1]
        message = "an NPZ file has the samples of an input in one array: name one"
        if many:
            raise InvalidSpec(FieldError(f"dataset.inputs.{name}.columns", message) for name in many)
        return {
            name: (given.columns[0], f"dataset.inputs.{name}.columns[0]", "biuU" if given.categories else "biuf")
            for name, given in spec.inputs.items()
        }
    if len(spec.features) > 1:
        raise InvalidSpec([FieldError("dataset.features", "an NPZ file has its samples in one array: name one")])
    where = "dataset.features[0]" if spec.features else "dataset.features"
    return {INPUT: (spec.features[0] if spec.features else "x", where, "biuf")}


def _check_rows(wanted: dict[str, tuple[str, str]], arrays: dict[str, NDArray[Any]], label: str) -> None:
    """Every array has as many rows as the first label."""
    name, y = wanted[label][0], arrays[label]
    for where, x in arrays.items():
        if not x.ndim or not y.ndim or len(x) != len(y):
            message = f"{wanted[where][0]!r} has shape {x.shape}, {name!r} {y.shape}: both need one row for each sample"
            raise InvalidSpec([FieldError(where, message)])
        if not x.size:
            raise InvalidSpec([FieldError(where, f"{wanted[where][0]!r} is empty: its shape is {x.shape}")])


def _samples(x: NDArray[Any]) -> NDArray[Any]:
    return x[:, np.newaxis] if x.ndim == 1 else x


def _read(archive: zipfile.ZipFile, wanted: dict[str, tuple[str, str]]) -> dict[str, NDArray[Any]]:
    """The wanted arrays by field path; `wanted` gives name and allowed dtype kinds by the same."""
    available = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    errors: list[FieldError] = []
    for path, (name, kinds) in wanted.items():
        if name not in available:
            errors.append(missing(path, name, "an array of the file", available))
        elif problem := _header_problem(archive, name, kinds):
            errors.append(FieldError(path, f"{name!r} {problem}"))
    if errors:
        raise InvalidSpec(errors)
    return {path: _read_array(archive, name) for path, (name, _) in wanted.items()}


def _header_problem(archive: zipfile.ZipFile, name: str, kinds: str) -> str | None:
    """What is wrong with an array as its header declares it; nothing is unpacked but the header."""
    with archive.open(f"{name}.npy") as member:
        version = npy.read_magic(member)
        readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        if version not in readers:
            return f"is written in version {version} of the NPY format, which is for structured arrays only"
        shape, _, dtype = readers[version](member)
    if dtype.hasobject:
        return "holds Python objects, which are not read"
    if dtype.kind not in kinds:
        return f"has dtype {dtype}, numbers are needed" + (" or texts" if "U" in kinds else "")
    size = prod(shape) * dtype.itemsize
    if size > MAX_ARRAY_BYTES:
        return f"would take {size} bytes, at most {MAX_ARRAY_BYTES} are read"
    return None


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as member:
        array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
    return array


def _labels(y: NDArray[Any]) -> Labels:
    if y.dtype.kind != "U":
        return y
    texts: list[str] = y.reshape(-1).tolist()
    return texts


def _not_finite(path: str, name: str, values: NDArray[Any]) -> list[FieldError]:
    """An error if there is NaN or infinity among the values."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return []
    bad = np.argwhere(~np.isfinite(values))
    row, *place = (int(i) for i in bad[0])
    at = f", position {tuple(place)}" if place else ""
    more = f" ({len(bad)} such values)" if len(bad) > 1 else ""
    return [FieldError(path, f"{name!r} is {values[tuple(bad[0])]} in row {row + 1}{at}{more}")]
