"""Iterates over the rows of a CSV file: in batches, by Arrow's reader, or singly with line numbers."""

import csv
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import pyarrow as pa
import pyarrow.csv as pa_csv

from raydient.spec.csv_text import GZIP, UTF8, open_text

from .csv_blocks import Blocks
from .csv_header import ROW_BYTES, Header, Lines
from .csv_text import open_utf8
from .pipelined import pipelined
from .raw import unreadable

PARSED_BYTES = 2**20
"""Bytes that a thread parses at a time, so that they and their values stay in its core's cache."""
COPIED_BYTES = 2**20


def read_batches(path: Path, header: Header, types: Mapping[int, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Read some columns of a table, some rows at a time; missing values are null.

    A quoted value is never missing. Other columns are not parsed. All cores parse, block by block, while the caller
    uses the batches of the block before; where blocks cannot be cut, Arrow reads the rest as a stream, whose rows may
    be longer.

    Args:
        path: of the file.
        header: of the file.
        types: type of each column, by its place; the columns of a batch are in this order.

    Raises:
        ArrowInvalid: a row differs in length from the header, or a value is not of the type.
    """
    for batches in pipelined(_parsed(path, header, types)):
        yield from batches


def _parsed(path: Path, header: Header, types: Mapping[int, pa.DataType]) -> Iterator[list[pa.RecordBatch]]:
    """Yield the batches of each block."""
    names = [str(place) for place in range(len(header.names))]
    columns = [str(place) for place in types]
    convert = pa_csv.ConvertOptions(
        include_columns=columns,
        column_types=dict(zip(columns, types.values(), strict=True)),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        decimal_point=header.dialect.decimal,
    )
    with open_rows(path, header) as file:
        blocks = Blocks(file, header.delimiter)
        for block, has_breaks in blocks:
            parse = pa_csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=has_breaks)
            try:
                options = pa_csv.ReadOptions(block_size=PARSED_BYTES, column_names=names)
                table = pa_csv.read_csv(pa.BufferReader(pa.py_buffer(block)), options, parse, convert)
            except pa.ArrowInvalid:  # an error, or a row that is longer than the part for one thread
                options = pa_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names)
                table = pa_csv.read_csv(pa.BufferReader(pa.py_buffer(block)), options, parse, convert)
            yield table.to_batches()
        if not blocks.rest:
            return
        stream = pa_csv.open_csv(
            _native(file, blocks.rest),
            pa_csv.ReadOptions(use_threads=False, block_size=ROW_BYTES, column_names=names),
            pa_csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=True),
            convert,
        )
        for batch in stream:
            yield [batch]


def _native(file: IO[bytes] | pa.NativeFile, rest: bytes) -> pa.NativeFile:
    """Return a file that Arrow reads by itself and that begins with `rest`, which was read from `file` last.

    The reader of a stream has a thread that reads in advance. After an error it may go on while the process ends, when
    a call of Python would abort that, so what Python unpacks or decodes goes through a temporary file.
    """
    if isinstance(file, pa.NativeFile):
        file.seek(file.tell() - len(rest))
        return file
    with NamedTemporaryFile(prefix="raydient-") as unpacked:
        unpacked.write(rest)
        shutil.copyfileobj(file, unpacked, COPIED_BYTES)
        unpacked.flush()
        return pa.OSFile(unpacked.name)  # open, so it outlives the name


def open_rows(path: Path, header: Header) -> IO[bytes] | pa.NativeFile:
    """Open the rows as UTF-8; a plain file so that Arrow reads it by itself."""
    if header.dialect.encoding != UTF8 or path.suffix.lower() == GZIP:
        return open_utf8(path, header.dialect, header.start)
    with open_utf8(path, header.dialect, header.start) as plain:
        start = plain.tell()
    file = pa.OSFile(str(path))
    file.seek(start)
    return file


def walk(path: Path, header: Header) -> Iterator[tuple[int, list[str]]]:
    """Yield each row after the header: the number of its last line, from 1, and its cells.

    Raises:
        InvalidSpec: a row differs in length from the header, or cannot be parsed.
    """
    with open_text(path, header.dialect) as file:
        rows = csv.reader(Lines(file), delimiter=header.delimiter)
        try:
            next(row for row in rows if row)
            for number, row in enumerate((row for row in rows if row), start=1):
                if len(row) != len(header.names):
                    where = f"row {number} (line {rows.line_num})"
                    raise unreadable(f"has {len(header.names)} columns in its header but {len(row)} in {where}")
                yield rows.line_num, row
        except csv.Error as error:
            raise unreadable(f"is not a CSV file: {error} in line {rows.line_num}") from error
