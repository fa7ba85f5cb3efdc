"""Converts remote text files, each line of which is a sample, to the CSV files that are stored."""

import codecs
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePath
from tempfile import NamedTemporaryFile

from raydient.server.calls import Call
from raydient.spec.csv_text import Dialect
from raydient.spec.text_files import TextError, as_csv, label_of, read_lines
from raydient.workers.data.remote import RemoteError, RemoteFile

from .disk import disk_may_be_full

ROWS = 4096
"""Rows that are written at a time."""


def table_name(file: RemoteFile) -> str:
    """Return the name of the CSV file of a text file. Raises RemoteError if the file's name is no label."""
    return f"{_label(file)}.csv"


def as_table(file: RemoteFile, chunks: Iterator[bytes], dialect: Dialect, call: Call) -> Iterator[bytes]:
    """Yield the content of a CSV file with the lines of a text file and their label; nothing of an empty file.

    Args:
        file: the text file.
        chunks: its content.
        dialect: encoding, decimals and delimiter of the text and of the CSV file.
        call: is checked before each chunk.

    Raises:
        RemoteError: the file is no text.
        Exhausted: the disk is full.
        Abandoned: the call was abandoned.
    """
    label = _label(file)
    with NamedTemporaryFile(prefix="raydient-", suffix=PurePath(file.name).suffix) as copy:
        for chunk in chunks:
            call.check()
            with disk_may_be_full():
                copy.write(chunk)
        with disk_may_be_full():
            copy.flush()
        if not copy.tell():
            return
        parts = read_lines(Path(copy.name), replace(dialect, decimal="."))  # the reader of the table exchanges them
        rows = as_csv(((line, label) for lines in parts for line in lines), dialect)
        encoder = codecs.getincrementalencoder(dialect.encoding)()
        try:
            while part := list(islice(rows, ROWS)):
                yield encoder.encode("".join(part))
        except TextError as error:
            raise RemoteError(f"{file.url}: the file {error}") from error
        except (UnicodeError, EOFError, zlib.error, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RemoteError(f"{file.url}: the file cannot be read: {reason}") from error


def _label(file: RemoteFile) -> str:
    try:
        return label_of(PurePath(file.name))
    except TextError as error:
        raise RemoteError(f"{file.url}: the file {error}") from error
