"""Joins the files of a table into one, which is uploaded. Its rows give the same bits as those of the files."""

import csv
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raydient.spec.csv_text import GZIP, Dialect, open_text
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.patterns import DataPath, files_of, paths_of

from .arrow_samples import SUFFIXES, open_table
from .extras import importing
from .samples import read_header, with_delimiter

BATCH_ROWS = 1 << 16
"""Rows of a Parquet or Arrow file that are copied at a time."""


def join(data: DataPath, dialect: Dialect, field: str, folder: Path) -> Path:
    """Return the path of a file with the rows of all files, one after another.

    Args:
        data: tables of one format; each has the columns of the first in the same order.
        dialect: of CSV files.
        field: path of the setting that names them.
        folder: an existing folder for the file.

    Raises:
        InvalidSpec: the columns of a file differ from those of the first, or it cannot be read.
        MissingExtra: pyarrow is not installed, which Parquet and Arrow files need.
    """
    files, name = files_of(data), paths_of(data)[0]
    kinds = [_kind(file) for file in files]
    for file, kind in zip(files, kinds, strict=True):
        if kind != kinds[0]:
            mend = "to be uploaded as one, all need the same format"
            message = f"'{file.name}': its format is not that of '{files[0].name}': {mend}"
            raise InvalidSpec([FieldError(field, message)])
    if kinds[0] == "csv":
        return _join_text(files, dialect, field, folder / (name.stem if name.suffix.lower() == GZIP else name.name))
    if kinds[0] in SUFFIXES:
        return _join_tables(files, field, folder / f"{name.stem}.arrow")
    raise InvalidSpec([FieldError(field, f"only tables are read from several files, and there are {len(files)}")])


def _kind(file: Path) -> str:
    """Return the format of a file: `csv`, also if it is compressed, or its suffix."""
    return "csv" if file.name.lower().endswith((".csv", f".csv{GZIP}")) else file.suffix.lower()


def _join_text(files: Sequence[Path], dialect: Dialect, field: str, output: Path) -> Path:
    with naming(field, files[0]):
        dialect = with_delimiter(files[0], dialect)
    with output.open("w", encoding=dialect.encoding, errors="surrogateescape", newline="") as joined:
        first: list[str] = []
        for file in files:
            with naming(field, file), open_text(file, dialect) as text:
                names = read_header(file, text, dialect)
                if file is files[0]:
                    first = names
                    csv.writer(joined, delimiter=dialect.delimiter or ",", lineterminator="\n").writerow(names)
                elif names != first:
                    raise _differs(field, file, files[0])
                shutil.copyfileobj(_Ended(text), joined, 2**20)
    return output


class _Ended:
    """The rest of a text file, whose last line has an end."""

    def __init__(self, file: Any) -> None:
        self._file, self._last = file, "\n"

    def read(self, size: int = -1) -> str:
        """Return the next characters, at most `size`; empty at the end."""
        text: str = self._file.read(size)
        if not text and self._last not in "\r\n":
            text = "\n"
        self._last = text[-1:] or "\n"
        return text


def _join_tables(files: Sequence[Path], field: str, output: Path) -> Path:
    with importing("Joining files", "local"):
        import pyarrow as pa
    with naming(field, files[0]):
        schema = plain(open_table(files[0], BATCH_ROWS)[0])
    with pa.OSFile(str(output), "wb") as joined, pa.ipc.new_file(joined, schema) as writer:
        for file in files:
            with naming(field, file):
                of_file, batches = open_table(file, BATCH_ROWS)
                if not plain(of_file).equals(schema):
                    raise _differs(field, file, files[0])
                for batch in batches:
                    writer.write_batch(batch.cast(schema))
    return output


def plain(schema: Any) -> Any:
    """A schema without metadata and without dictionaries, which differ between files of the same columns."""
    import pyarrow as pa

    types = [one.value_type if pa.types.is_dictionary(one) else one for one in schema.types]
    return pa.schema(list(zip(schema.names, types, strict=True)))


@contextmanager
def naming(field: str, file: Path) -> Iterator[None]:
    """Translate the errors of a file that cannot be read."""
    try:
        yield
    except InvalidSpec:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidSpec([FieldError(field, f"'{file.name}': the file cannot be read: {reason}")]) from error


def _differs(field: str, file: Path, first: Path) -> InvalidSpec:
    mend = "to be uploaded as one, all need the same columns in the same order"
    return InvalidSpec([FieldError(field, f"'{file.name}': its columns are not those of '{first.name}': {mend}")])
