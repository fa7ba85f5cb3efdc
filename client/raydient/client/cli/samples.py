"""Reading the samples that a network is to be applied to."""

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .failures import WRONG_USAGE, Failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_samples(path: Path) -> tuple["NDArray[np.float32]", list[str]]:
    """Samples, one a row, and the names of their columns; no names for arrays.

    A CSV file has a header. Columns that are not finite numbers throughout are left out: the label may be among them.
    An NPZ file holds the samples as `x`.
    """
    match path.suffix.lower():
        case ".csv":
            return _read_csv(path)
        case ".npz":
            return _read_npz(path), []
    raise Failure(f"{path}: samples are read from .csv and .npz", WRONG_USAGE)


def read_arrays(path: Path) -> "dict[str, NDArray[Any]]":
    """Every column of a CSV file, (samples,), as texts, or every array of an NPZ file; by name."""
    import numpy as np

    match path.suffix.lower():
        case ".csv":
            header, rows = _table(path)
            if not rows:
                raise Failure(f"{path}: there are no samples", WRONG_USAGE)
            return {name: np.array([row[place] for row in rows], object) for place, name in enumerate(header)}
        case ".npz":
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    return dict(arrays)
            except (ValueError, EOFError) as error:
                raise Failure(f"{path}: not an NPZ file: {error}", WRONG_USAGE) from error
    raise Failure(f"{path}: samples are read from .csv and .npz", WRONG_USAGE)


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows, each with as many cells."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = csv.reader(file)
    except (ValueError, csv.Error) as error:
        raise Failure(f"{path}: not a CSV file with a header: {error}", WRONG_USAGE) from error
    for line, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise Failure(f"{path}:{line}: {len(row)} cells, the header has {len(header)}", WRONG_USAGE)
    return header, rows


def _read_csv(path: Path) -> tuple["NDArray[np.float32]", list[str]]:
    import numpy as np

    header, rows = _table(path)
    columns, values = [], []
    for name, cells in zip(header, zip(*rows, strict=True), strict=True) if rows else ():
        bad = next((line for line, cell in enumerate(cells, 2) if not _is_finite(cell)), None)
        if bad is None:
            values.append(np.array(cells, dtype=np.float32))
            columns.append(name)
        else:
            text = f"column {name} is left out: {cells[bad - 2]!r} is not a finite number"
            click.echo(f"{path}:{bad}: {text}", err=True)
    if not values:
        raise Failure(f"{path}: there are no samples", WRONG_USAGE)
    return np.stack(values, axis=1), columns


def _is_finite(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _read_npz(path: Path) -> "NDArray[np.float32]":
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays["x"], dtype=np.float32)
    except (ValueError, KeyError, EOFError) as error:
        raise Failure(f"{path}: not an NPZ file with an array x: {error}", WRONG_USAGE) from error
