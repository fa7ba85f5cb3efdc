"""Reads the file of samples for `raydient predict`.

The service reads training data with Arrow, which the client does not depend on. A property test checks that both
readers find the same values in a file.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failures import WRONG_USAGE, Failure

CELL_CHARACTERS = 1 << 24
"""Longest cell; Python's own limit is 131,072."""
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True, slots=True)
class Samples:
    """The content of a file of samples.

    Attributes:
        arrays: columns of a CSV file, cells as texts, or arrays of an NPZ file, by name. Columns without a name
            are left out.
        lines: of a CSV file the line on which each sample begins; of an NPZ file empty.
        repeated: names of several columns, of which `arrays` has the first.
    """

    arrays: Mapping[str, Any]
    lines: list[int]
    repeated: frozenset[str] = frozenset()

    def where(self, row: int) -> str:
        """The text by which messages name a sample, for its number from 0."""
        return f"row {row + 1} (line {self.lines[row]})" if self.lines else f"row {row + 1}"


def read_samples(path: Path) -> Samples:
    """Read the samples of a CSV file with a header, or of an NPZ file. Columns that are not used may hold anything.

    Raises:
        Failure: the file cannot be read.
    """
    match path.suffix.lower():
        case ".csv":
            return _read_csv(path)
        case ".npz":
            return Samples(_Archive(path), [])
    raise Failure(f"{path}: samples are read from .csv and .npz", WRONG_USAGE)


def _read_csv(path: Path) -> Samples:
    """Read a CSV file. Blank lines are skipped, as in training."""
    before = csv.field_size_limit(CELL_CHARACTERS)
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = list(_rows(file))
    except csv.Error as error:
        raise Failure(f"{path}: not a CSV file with a header: {error}", WRONG_USAGE) from error
    finally:
        csv.field_size_limit(before)
    if not rows:
        raise Failure(f"{path}: not a CSV file with a header: it is empty", WRONG_USAGE)
    (_, header), *rows = rows
    _check_header(path, header)
    for line, row in rows:
        if len(row) != len(header):
            raise Failure(f"{path}:{line}: {len(row)} cells, the header has {len(header)}", WRONG_USAGE)
    cells = zip(*(row for _, row in rows), strict=True) if rows else [()] * len(header)
    columns: dict[str, list[str]] = {}
    for name, column in zip(header, cells, strict=True):
        if name:
            columns.setdefault(name, list(column))
    repeated = frozenset(name for name, count in Counter(header).items() if count > 1)
    return Samples(columns, [line for line, _ in rows], repeated)


def _check_header(path: Path, header: list[str]) -> None:
    if any("\ud800" <= character <= "\udfff" for name in header for character in name):
        raise Failure(f"{path}: not UTF-8 text: save it with that encoding", WRONG_USAGE)
    for separator, called in SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            text = f"one column, {header[0]!r:.100}: its values seem to be separated by {called} instead of commas"
            raise Failure(f"{path}: {text}", WRONG_USAGE)


def _rows(file: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its first line."""
    rows, line = csv.reader(file), 1
    for row in rows:
        if row:
            yield line, row
        line = rows.line_num + 1


class _Archive(Mapping[str, Any]):
    """The arrays of an NPZ file, each read on access."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = tuple(self._open(lambda file: file.files))

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self._open(lambda file: file[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _open(self, read: Any) -> Any:
        import numpy as np

        try:
            with self._path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
                return read(file)
        except OSError:
            raise
        except Exception as error:  # of many types, from zipfile, zlib and NumPy
            raise Failure(f"{self._path}: not an NPZ file: {error}", WRONG_USAGE) from error
