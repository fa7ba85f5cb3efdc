"""Reading the file of samples that a network is to be applied to.

The service reads training data with Arrow, which the client does without. `tests/client/test_samples.py` proves that
both find the same values in a file.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failures import WRONG_USAGE, Failure


@dataclass(frozen=True, slots=True)
class Samples:
    """What a file holds.

    Attributes:
        arrays: columns of a CSV file, cells as texts, or arrays of an NPZ file, by name.
        lines: of a CSV file the line on which each sample begins; of an NPZ file empty.
    """

    arrays: Mapping[str, Any]
    lines: list[int]

    def where(self, row: int) -> str:
        """How to name a sample, by its number from 0."""
        return f"row {row + 1} (line {self.lines[row]})" if self.lines else f"row {row + 1}"


def read_samples(path: Path) -> Samples:
    """The samples of a CSV file with a header, or of an NPZ file.

    Raises:
        Failure: the file cannot be read.
    """
    match path.suffix.lower():
        case ".csv":
            return _read_csv(path)
        case ".npz":
            return Samples(_read_npz(path), [])
    raise Failure(f"{path}: samples are read from .csv and .npz", WRONG_USAGE)


def _read_csv(path: Path) -> Samples:
    """Lines without any cell are skipped, as in training."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(_rows(file))
    except (ValueError, csv.Error) as error:
        raise Failure(f"{path}: not a CSV file with a header: {error}", WRONG_USAGE) from error
    if not rows:
        raise Failure(f"{path}: not a CSV file with a header: it is empty", WRONG_USAGE)
    (_, header), *rows = rows
    for line, row in rows:
        if len(row) != len(header):
            raise Failure(f"{path}:{line}: {len(row)} cells, the header has {len(header)}", WRONG_USAGE)
    if twice := sorted({name for name in header if header.count(name) > 1}) if len(set(header)) < len(header) else []:
        raise Failure(f"{path}: there is more than one column named {twice[0]!r}", WRONG_USAGE)
    columns = zip(*(row for _, row in rows), strict=True) if rows else ([] for _ in header)
    return Samples({name: list(cells) for name, cells in zip(header, columns, strict=True)}, [line for line, _ in rows])


def _rows(file: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows with a cell, each with its first line."""
    rows, line = csv.reader(file), 1
    for row in rows:
        if row:
            yield line, row
        line = rows.line_num + 1


def _read_npz(path: Path) -> dict[str, Any]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, EOFError, AttributeError, TypeError) as error:
        raise Failure(f"{path}: not an NPZ file: {error}", WRONG_USAGE) from error
