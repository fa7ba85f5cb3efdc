"""Reads a file of samples in parts, for predictions.

The service reads training data with Arrow, which the client does not depend on. A property test checks that both
readers find the same values in a file.
"""

import csv
import gzip
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from raydient.spec.csv_text import DELIMITERS, PLAIN, Dialect, find_delimiter, is_decoded, open_text
from raydient.spec.dataset import DEFAULT_ARRAY, DEFAULT_LABEL
from raydient.spec.decoding import FOLDER_COLUMNS, image_files
from raydient.spec.idx import SUFFIXES as IDX_SUFFIXES
from raydient.spec.idx import is_idx, labels_of, open_idx
from raydient.spec.text_files import TEXT_COLUMNS, TEXT_SUFFIXES, TextError, is_text_file, read_texts

from .arrow_samples import SUFFIXES, read_tables
from .columns import InvalidSamples, repeated_names

PART_ROWS = 4096
"""Rows of a CSV file that are read at a time: a multiple of the rows that a model predicts together."""
CELL_CHARACTERS = 1 << 24
"""Longest cell; Python's own limit is 131,072."""
IMAGE_ROWS = 256
"""Rows that are read at a time where images are among their values."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Consecutive samples of a file.

    Attributes:
        arrays: columns of a CSV file, cells as texts, or columns or arrays of another file, by name. Columns without
            a name are left out.
        lines: of a CSV file the line on which each sample begins; of other files empty.
        first: number of samples before these in the file.
        repeated: names of several columns, of which `arrays` has the first.
        folder: base of the paths of images.
        unnamed: the column of the samples if the file does not name it, as that of texts and of images in a folder.
    """

    arrays: Mapping[str, Any]
    lines: list[int]
    first: int = 0
    repeated: frozenset[str] = frozenset()
    folder: Path = Path()
    unnamed: str = ""

    def where(self, row: int) -> str:
        """The text by which messages name a sample, for its number from 0 among these."""
        number = self.first + row + 1
        return f"row {number} (line {self.lines[row]})" if self.lines else f"row {number}"

    def named(self, column: str) -> "Samples":
        """Return the samples with this name for their column, unless it has a name."""
        if self.unnamed in ("", column):
            return self
        arrays = {column if name == self.unnamed else name: values for name, values in self.arrays.items()}
        return replace(self, arrays=arrays, unnamed=column)


def read_samples(
    path: Path,
    needed: Collection[str] | None = None,
    dialect: Dialect = PLAIN,
    *,
    most: int | None = None,
    has_images: bool = True,
) -> Iterator[Samples]:
    """Yield the samples of a table, `most` at a time, or all arrays of an NPZ or IDX file.

    A table is a CSV, Parquet or Arrow file, a folder of images: the columns `image`, a path, and `label`, the name of
    its sub-folder, or a text file or a folder of them: the columns `text` and, if it is needed, `label`. If `label` is
    needed, files in no sub-folder are left out, as in training.

    Columns that are not used may hold anything. There is at least one part, which is empty if the file has no rows.

    Args:
        path: of the file.
        needed: columns of a Parquet or Arrow file to read, if it has them; None reads all.
        dialect: of a CSV file or of texts.
        most: a multiple of the rows that a model predicts together; None: PART_ROWS.
        has_images: a folder has images, not texts.

    Raises:
        InvalidSamples: the file cannot be read. The message begins with its path.
        MissingExtra: the file's format needs pyarrow, which is not installed.
    """
    most = most or PART_ROWS
    match path.suffix.lower():
        case _ if path.is_dir() and has_images:
            yield from _read_folder(path, most, FOLDER_COLUMNS[1] in (needed or ()))
        case _ if path.is_dir() or is_text_file(path):
            yield from _read_texts(path, dialect, most, TEXT_COLUMNS[1] in (needed or ()))
        case ".csv":
            yield from _read_csv(path, dialect, most)
        case ".gz" if path.stem.lower().endswith(".csv"):
            yield from _read_csv(path, dialect, most)
        case ".npz":
            yield Samples(_archive(path), [])
        case suffix if suffix in SUFFIXES:
            yield from _read_arrow(path, needed, most)
        case _ if is_idx(path):
            yield Samples(_idx(path), [])
        case _:
            suffixes = ", ".join((".csv", ".csv.gz", ".npz", *SUFFIXES, *TEXT_SUFFIXES, *IDX_SUFFIXES))
            raise InvalidSamples(f"{path}: samples are read from {suffixes}")


def _read_folder(path: Path, most: int, are_labelled: bool) -> Iterator[Samples]:
    rows, before = image_files(path, are_labelled=are_labelled), 0
    while part := list(islice(rows, most)):
        columns = dict(zip(FOLDER_COLUMNS, map(list, zip(*part, strict=True)), strict=True))
        yield Samples(columns, [], before, folder=path, unnamed=FOLDER_COLUMNS[0])
        before += len(part)
    if not before:
        raise InvalidSamples(f"{path}: the folder has no images {_place(are_labelled)}")


def _place(are_labelled: bool) -> str:
    return "in sub-folders, whose names are their labels" if are_labelled else "in it"


def _read_texts(path: Path, dialect: Dialect, most: int, are_labelled: bool) -> Iterator[Samples]:
    rows, before = read_texts(path, dialect, are_labelled=are_labelled), 0
    with _refusing_damage(path, dialect):
        while (part := list(islice(rows, most))) or not before:
            if not part and path.is_dir():
                raise InvalidSamples(f"{path}: the folder has no texts {_place(are_labelled)}")
            columns = dict(zip(TEXT_COLUMNS, ([row[place] for row in part] for place in (0, 1)), strict=True))
            if not are_labelled:
                del columns[TEXT_COLUMNS[1]]
            yield Samples(columns, [], before, unnamed=TEXT_COLUMNS[0])
            before += len(part)
            if len(part) < most:
                return


def _read_arrow(path: Path, needed: Collection[str] | None, most: int) -> Iterator[Samples]:
    before = 0
    for table in read_tables(path, most, needed):
        yield Samples(table, [], before, table.repeated, path.parent)
        before += table.rows


def _read_csv(path: Path, dialect: Dialect, most: int) -> Iterator[Samples]:
    """Read a CSV file. Blank lines are skipped, as in training."""
    with _refusing_damage(path, dialect):
        dialect = with_delimiter(path, dialect)
        with open_text(path, dialect) as file:
            yield from _parts(path, file, dialect, most)


@contextmanager
def _refusing_damage(path: Path, dialect: Dialect) -> Iterator[None]:
    """Translate errors of a text that cannot be decoded to InvalidSamples."""
    try:
        yield
    except TextError as error:
        raise InvalidSamples(f"{path} {error}") from error
    except UnicodeError as error:
        raise InvalidSamples(f"{path}: not {dialect.encoding} text: name its encoding") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidSamples(f"{path}: not a compressed file that is whole: {error}") from error


def with_delimiter(path: Path, dialect: Dialect) -> Dialect:
    """Return the dialect of a CSV file with its delimiter, which the header shows if the dialect does not say it."""
    if dialect.delimiter is not None:
        return dialect
    with open_text(path, dialect) as file:
        return replace(dialect, delimiter=find_delimiter(read_header(path, file, dialect)))


def read_header(path: Path, file: TextIO, dialect: Dialect) -> list[str]:
    """Read up to the end of the first row that is not blank, and return its names; none if there is no such row.

    Raises:
        InvalidSamples: that row is none of a CSV file.
    """
    return _header(path, _rows(file, dialect.delimiter or ","))


def _parts(path: Path, file: TextIO, dialect: Dialect, most: int) -> Iterator[Samples]:
    rows = _rows(file, dialect.delimiter or ",")
    header = _header(path, rows)
    if not header:
        raise InvalidSamples(f"{path}: not a CSV file with a header: it is empty")
    _check_header(path, header, dialect)
    repeated = repeated_names(header)
    part, before = _next(path, rows, most), 0
    while part or not before:
        cells = [(line, [dialect.cell(cell) for cell in row]) for line, row in part] if dialect.decimal == "," else part
        yield Samples(_columns(path, header, cells), [line for line, _ in part], before, repeated, path.parent)
        before += len(part)
        if len(part) < most:
            return
        part = _next(path, rows, most)


def _header(path: Path, rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    """The first of these rows; empty if there is none."""
    return next((row for _, row in _next(path, rows, 1)), [])


def _next(path: Path, rows: Iterator[tuple[int, list[str]]], count: int) -> list[tuple[int, list[str]]]:
    """The next rows, at most `count`."""
    with _long_cells():
        try:
            return list(islice(rows, count))
        except csv.Error as error:
            raise InvalidSamples(f"{path}: not a CSV file with a header: {error}") from error


def _columns(path: Path, header: list[str], rows: list[tuple[int, list[str]]]) -> dict[str, list[str]]:
    """The cells of each column by name; of several columns of one name the first."""
    for line, row in rows:
        if len(row) != len(header):
            raise InvalidSamples(f"{path}:{line}: {len(row)} cells, the header has {len(header)}")
    cells = zip(*(row for _, row in rows), strict=True) if rows else [()] * len(header)
    columns: dict[str, list[str]] = {}
    for name, column in zip(header, cells, strict=True):
        if name:
            columns.setdefault(name, list(column))
    return columns


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let the reader of CSV take cells of `CELL_CHARACTERS`, a setting of the whole process."""
    before = csv.field_size_limit(CELL_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _check_header(path: Path, header: list[str], dialect: Dialect) -> None:
    if not all(map(is_decoded, header)):
        raise InvalidSamples(f"{path}: not {dialect.encoding_name} text: save it with that encoding, or name its own")
    for other in DELIMITERS:
        if len(header) == 1 and other != dialect.delimiter and other in header[0]:
            problem = f"its values seem to be separated by {other!r} instead of {dialect.delimiter!r}"
            raise InvalidSamples(f"{path}: one column, {header[0]!r:.100}: {problem}")


def _rows(file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its first line."""
    rows, line = csv.reader(file, delimiter=delimiter), 1
    for row in rows:
        if row:
            yield line, row
        line = rows.line_num + 1


def _idx(path: Path) -> dict[str, Any]:
    """The images of an IDX file and, if they are beside it, their labels."""
    import numpy as np

    labels, arrays = labels_of(path), {}
    files = {DEFAULT_ARRAY: path} | ({DEFAULT_LABEL: labels} if labels and labels.is_file() else {})
    for name, file in files.items():
        try:
            with open_idx(file) as opened:
                arrays[name] = np.frombuffer(opened.values(), np.uint8).reshape(opened.shape)
        except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidSamples(f"{path}: not an IDX file that can be read: {error}") from error
    return arrays


def _archive(path: Path) -> "_Archive":
    try:
        return _Archive(path)
    except InvalidSamples as error:
        raise InvalidSamples(f"{path}: {error}") from error


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
            raise InvalidSamples(f"not an NPZ file: {error}") from error
