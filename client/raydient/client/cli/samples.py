"""Reading the file of samples that a network is to be applied to.

The service reads training data with Arrow, which the client does without. `tests/client/test_samples.py` proves that
both find the same values in a file.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failures import WRONG_USAGE, Failure


@dataclass(frozen=True, slots=True)
class Samples:
    """What a file holds.

    Attributes:
        arrays: columns of a CSV file, cells as texts, or arrays of an NPZ file, by name. Columns without a name of
            their own are left out: the network may not need them.
        lines: of a CSV file the line on which each sample begins; of an NPZ file empty.
        twice: names that several columns have.
    """

    arrays: Mapping[str, Any]
    lines: list[int]
    twice: frozenset[str] = frozenset()

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
            return Samples(_Arrays(path), [])
    raise Failure(f"{path}: samples are read from .csv and .npz", WRONG_USAGE)


def _read_csv(path: Path) -> Samples:
    """Lines without any cell are skipped, as in training."""
    try:
        # bytes that are no UTF-8 may stand in columns that the network does not take
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = list(_rows(file))
    except csv.Error as error:
        raise Failure(f"{path}: not a CSV file with a header: {error}", WRONG_USAGE) from error
    if not rows:
        raise Failure(f"{path}: not a CSV file with a header: it is empty", WRONG_USAGE)
    (_, header), *rows = rows
    for line, row in rows:
        if len(row) != len(header):
            raise Failure(f"{path}:{line}: {len(row)} cells, the header has {len(header)}", WRONG_USAGE)
    if any("\udc80" <= character <= "\udcff" for name in header for character in name):
        raise Failure(f"{path}: not a CSV file with a header: it is not UTF-8 text", WRONG_USAGE)
    counts = Counter(header)
    cells = zip(*(row for _, row in rows), strict=True) if rows else ([] for _ in header)
    columns = {name: list(column) for name, column in zip(header, cells, strict=True) if name and counts[name] == 1}
    twice = frozenset(name for name, count in counts.items() if name and count > 1)
    return Samples(columns, [line for line, _ in rows], twice)


def _rows(file: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows with a cell, each with its first line."""
    rows, line = csv.reader(file), 1
    for row in rows:
        if row:
            yield line, row
        line = rows.line_num + 1


class _Arrays(Mapping[str, Any]):
    """The arrays of an NPZ file by name, each read when it is asked for: the others may hold anything."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = self._from_archive(lambda archive: list(archive.files))

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return self._from_archive(lambda archive: archive[name])

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _from_archive(self, take: Callable[[Any], Any]) -> Any:
        import numpy as np

        try:
            with np.load(self._path, allow_pickle=False) as archive:
                return take(archive)
        except OSError:
            raise
        except Exception as error:  # of many types, from zipfile, zlib and NumPy
            raise Failure(f"{self._path}: not an NPZ file: {error}", WRONG_USAGE) from error
