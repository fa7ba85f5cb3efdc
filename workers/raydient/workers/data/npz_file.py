"""Reads NPZ files. The declarations of the archive and its arrays are checked before anything is unpacked."""

import io
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.layers import INPUT
from raydient.spec.printable import printable
from raydient.spec.values import quoted
from raydient.workers.network import category_texts
from raydient.workers.network.losses import Labels

from .limits import Budget
from .raw import RawData, RawInput, label_path, missing, refusing_damage, unreadable

HEADER_BYTES = 16_384
"""Maximum bytes of an array's header; NumPy's own limit is 10,000 characters."""

MAXIMUM_EXPANSION = 100
"""Largest ratio of an array to its compressed form where the array is larger than `PLAIN_BYTES`."""

PLAIN_BYTES = 256 * 2**20

DIRECTORY_BYTES = 2**20
"""Maximum bytes of an archive's directory, enough for about 10,000 arrays. In memory it takes ten times as much."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_END_BYTES, _WIDE_END_BYTES = 22, 20 + 56
"""Sizes of the record at the end of an archive, without its comment, and of those before it in archives over 4 GiB."""
_TAIL_BYTES = 2**16 + _END_BYTES + _WIDE_END_BYTES
"""Bytes at the end of an archive that are searched: the longest comment and the records that locate the directory."""
_VERSIONS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An array that a job names.

    Attributes:
        array: name of the array.
        path: path in the specification.
        kinds: permitted kinds of dtype.
        is_optional: values may be missing, NaN.
        mend: remedy for missing values.
    """

    array: str
    path: str
    kinds: str
    is_optional: bool = False
    mend: str = ""


def read(files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str] = ()) -> RawData:
    """Read the arrays of an NPZ file that the specification names, by default `x` and `y`.

    Args:
        files: of which there is one.
        spec: which arrays to read; all others may hold anything.
        as_written: names of labels to return as texts, even if they are numbers.

    Raises:
        InvalidSpec: not an NPZ file, or an array is missing or cannot be samples or labels.
    """
    if len(files) > 1:
        raise unreadable(f"has to be one: only tables are read from several files, and {len(files)} match")
    inputs = _inputs(spec)
    if spec.columns:
        name = next(iter(spec.columns))
        message = "an NPZ file has no columns; `dataset.impute` fills the missing values of its arrays"
        raise InvalidSpec([FieldError(f"dataset.columns.{name}", message)])
    if spec.label_columns:
        message = "an NPZ file has the labels of a sample in one array: name it in `label`"
        raise InvalidSpec([FieldError("dataset.label_columns", message)])
    labels = {name: _Wanted(array, label_path(spec, name), "biufU") for name, (array,) in spec.read_beside.items()}
    wanted = [*inputs.values(), *labels.values()]
    with files[0].open("rb") as file, refusing_damage("an NPZ file"):
        _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            arrays = _read(archive, wanted)
    _check_rows(wanted, arrays, next(iter(labels.values())))
    errors = {one.path: _not_finite(one, arrays[one.array]) for one in wanted}
    good = {name: arrays[one.array] for name, one in labels.items() if not errors[one.path]}
    samples = {name: _samples(arrays[one.array]) for name, one in inputs.items()}
    is_good = not any(errors[one.path] for one in inputs.values())
    return RawData(
        {name: RawInput(samples[name], (one.array,), False) for name, one in inputs.items()} if is_good else None,
        {name: _labels(array) for name, array in good.items()},
        {name: category_texts(array) for name, array in good.items() if name in as_written},
        tuple(error for several in errors.values() for error in several),
        len(next(iter(samples.values()))),
        {name: values.shape[1:] for name, values in samples.items()},
    )


def _check_directory(file: BinaryIO) -> None:
    """Refuse an archive with a large directory, which zipfile would read into memory.

    The records at the end of an archive give its size (APPNOTE.TXT 4.3.14 and 4.3.16); zipfile reports a damaged end.
    """
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - _TAIL_BYTES))
    tail = file.read()
    end = len(tail) - _END_BYTES if tail[-_END_BYTES:].startswith(b"PK\x05\x06") else tail.rfind(b"PK\x05\x06")
    if end < 0:
        return
    size = int.from_bytes(tail[end + 12 : end + 16], "little")
    wide = tail[max(0, end - _WIDE_END_BYTES) : end]
    if wide.startswith(b"PK\x06\x06"):
        size = int.from_bytes(wide[40:48], "little")
    if size > DIRECTORY_BYTES:
        raise unreadable(
            f"has a directory of {size} bytes, more than the {DIRECTORY_BYTES} that are read: save fewer arrays"
        )


def _inputs(spec: DatasetSpec) -> Mapping[str, _Wanted]:
    """Return the array of each input, by name."""
    if spec.inputs:
        many = [name for name, input_ in spec.inputs.items() if len(input_.columns) > 1]
        message = "an NPZ file has the samples of an input in one array: name one"
        if many:
            raise InvalidSpec(FieldError(f"dataset.inputs.{name}.columns", message) for name in many)
        return {
            name: _Wanted(input_.columns[0], f"dataset.inputs.{name}.columns[0]", "biuU")
            if input_.categories
            else _numbers(input_.columns[0], f"dataset.inputs.{name}.columns[0]", spec)
            for name, input_ in spec.inputs.items()
        }
    if len(spec.features) > 1:
        raise InvalidSpec([FieldError("dataset.features", "an NPZ file has its samples in one array: name one")])
    path = "dataset.features[0]" if spec.features else "dataset.features"
    return {INPUT: _numbers(spec.features[0] if spec.features else "x", path, spec)}


def _numbers(array: str, path: str, spec: DatasetSpec) -> _Wanted:
    mend = "; `dataset.impute: median` fills missing values"
    return _Wanted(array, path, "biuf", spec.impute is not None, mend)


def _check_rows(wanted: list[_Wanted], arrays: Mapping[str, NDArray[Any]], label: _Wanted) -> None:
    """Check that every array has as many rows as the first label."""
    y = arrays[label.array]
    for one in wanted:
        x = arrays[one.array]
        if not x.ndim or not y.ndim or len(x) != len(y):
            text = f"{quoted(one.array)} has shape {x.shape} and {quoted(label.array)} {y.shape}"
            raise InvalidSpec([FieldError(one.path, f"{text}: both need one row for each sample")])


def _samples(x: NDArray[Any]) -> NDArray[Any]:
    return x[:, np.newaxis] if x.ndim == 1 else x


def _read(archive: zipfile.ZipFile, wanted: list[_Wanted]) -> dict[str, NDArray[Any]]:
    """Read the wanted arrays by name, each once."""
    available = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    names = set(available)
    absent = [(one.path, one.array) for one in wanted if one.array not in names]
    errors = missing(absent, "an array of the file", available)
    budget = Budget()
    for one in wanted:
        if one.array in names and (problem := _problem(archive, one, budget)):
            errors.append(FieldError(one.path, f"{quoted(one.array)} {problem}"))
    if errors:
        raise InvalidSpec(errors)
    return {name: read_array(archive, name) for name in {one.array: None for one in wanted}}


def _problem(archive: zipfile.ZipFile, wanted: _Wanted, budget: Budget) -> str | None:
    """Return the reason why an array cannot be read, by the declarations of the archive and its header, or None.

    Only the header is unpacked.

    Raises:
        Exception: of many types, if the entry is not an array.
    """
    member = archive.getinfo(f"{wanted.array}.npy")
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted: save it without a password"
    if member.compress_type not in _METHODS:
        return "is compressed in a way that NumPy does not write: save it with numpy.savez"
    with archive.open(member) as file:
        start = io.BytesIO(file.read(HEADER_BYTES))
    version = npy.read_magic(start)
    if version not in _VERSIONS:
        return f"is written in version {version} of the NPY format, which is for structured arrays only"
    shape, _, dtype = _VERSIONS[version](start)
    if dtype.hasobject:
        return "holds Python objects, which are not read"
    if dtype.kind not in wanted.kinds:
        return f"has dtype {printable(str(dtype))[:100]}, but must be numbers" + (" or texts" * ("U" in wanted.kinds))
    if not all(shape):
        return f"is empty: its shape is {shape}"
    size = prod(shape) * dtype.itemsize
    if start.tell() + size != member.file_size:
        text = f"has {member.file_size} bytes, but its header declares {start.tell() + size}"
        raise ValueError(f"{quoted(wanted.array)} {text}")
    if size > PLAIN_BYTES and size > MAXIMUM_EXPANSION * member.compress_size:
        text = f"is {size // max(1, member.compress_size)} times as large as its compressed form, more than the"
        return f"{text} {MAXIMUM_EXPANSION} times that are read: save it with numpy.savez, which does not compress"
    filled = 8 * prod(shape) if wanted.is_optional else 0
    budget.spend(size + filled, values=prod(shape), texts=prod(shape) if dtype.kind == "U" else 0)
    return None


def read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Unpack an array whose declarations have been checked."""
    with archive.open(f"{name}.npy") as member:
        array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
    return array


def _labels(y: NDArray[Any]) -> Labels:
    if y.dtype.kind != "U":
        return y
    if y.size > len(y):
        return y.astype(object)
    texts: list[str] = y.reshape(-1).tolist()
    return texts


def _not_finite(wanted: _Wanted, values: NDArray[Any]) -> list[FieldError]:
    """Return an error if there is infinity among the values, or NaN where no value may be missing."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return []
    bad = np.argwhere(np.isinf(values) if wanted.is_optional else ~np.isfinite(values))
    if not len(bad):
        return []
    row, *place = (int(i) for i in bad[0])
    at = f", position {tuple(place)}" if place else ""
    more = f" ({len(bad)} such values)" if len(bad) > 1 else ""
    value = values[tuple(bad[0])]
    mend = wanted.mend if np.isnan(value) else ""
    return [FieldError(wanted.path, f"{quoted(wanted.array)} is {value} in row {row + 1}{at}{more}{mend}")]
