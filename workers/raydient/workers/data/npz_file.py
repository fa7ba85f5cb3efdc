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

from .raw import Labels, RawData, missing

MAX_ARRAY_BYTES = 16 * 2**30
"""Largest array that is read: what a small archive unpacks to must not take the machine down."""


def read(path: Path, spec: DatasetSpec) -> RawData:
    """The samples in the arrays named by `features` (`x`) and `label` (`y`) of an NPZ file.

    Raises:
        InvalidSpec: no NPZ file, or arrays that are not there or cannot be samples and labels.
    """
    if len(spec.features) > 1:
        raise InvalidSpec([FieldError("dataset.features", "an NPZ file has its samples in one array: name one")])
    feature = spec.features[0] if spec.features else "x"
    feature_path = "dataset.features[0]" if spec.features else "dataset.features"
    wanted = {feature_path: (feature, "biuf"), "dataset.label": (spec.label, "biufU")}
    try:
        with zipfile.ZipFile(path) as archive:
            x, y = _read(archive, wanted)
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError) as error:
        if isinstance(error, InvalidSpec):
            raise
        raise InvalidSpec([FieldError("dataset.uri", f"the file is not an NPZ file: {error}")]) from error
    if not x.ndim or not y.ndim or len(x) != len(y):
        message = f"{feature!r} has shape {x.shape}, {spec.label!r} {y.shape}: both need one row for each sample"
        raise InvalidSpec([FieldError(feature_path, message)])
    if not x.size:
        raise InvalidSpec([FieldError(feature_path, f"{feature!r} is empty: its shape is {x.shape}")])
    bad_x, bad_y = _not_finite(feature_path, feature, x), _not_finite("dataset.label", spec.label, y)
    samples = x[:, np.newaxis] if x.ndim == 1 else x
    return RawData(None if bad_x else samples, None if bad_y else _labels(y), errors=(*bad_x, *bad_y))


def _read(archive: zipfile.ZipFile, wanted: dict[str, tuple[str, str]]) -> list[NDArray[Any]]:
    """The wanted arrays; `wanted` gives name and allowed dtype kinds by field path."""
    available = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    errors: list[FieldError] = []
    for path, (name, kinds) in wanted.items():
        if name not in available:
            errors.append(missing(path, name, "an array of the file", available))
        elif problem := _header_problem(archive, name, kinds):
            errors.append(FieldError(path, f"{name!r} {problem}"))
    if errors:
        raise InvalidSpec(errors)
    return [_read_array(archive, name) for name, _ in wanted.values()]


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
