"""Packs lines of text files, or files of folders, into a CSV file, which is uploaded and gives the same bits."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from raydient.spec.csv_text import Dialect
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.patterns import DataPath, files_of
from raydient.spec.text_files import TEXT_COLUMNS, TextError, is_text_file, label_of, read_lines, read_text, text_files

from .joining import naming


def pack_texts(data: DataPath, dialect: Dialect, field: str, folder: Path) -> Path:
    """Return the path of a new CSV file with texts and labels.

    Args:
        data: text files, whose lines are samples, or folders of them, whose files are.
        dialect: encoding, decimals and delimiter of the texts and of the new file.
        field: path of the setting that names them.
        folder: an existing folder for the new file.

    Raises:
        InvalidSpec: a file cannot be read, or is no text.
    """
    files = files_of(data)
    if files[0].is_dir() and not any(text_files(files[0])):
        text = f"'{files[0].name}': the folder has no texts: its sub-folders, named as labels, hold .txt files"
        raise InvalidSpec([FieldError(field, text)])
    output = folder / f"{files[0].name.partition('.')[0]}.csv"
    as_written = replace(dialect, decimal=".")  # the reader of the new file exchanges them
    with output.open("w", encoding=dialect.encoding, newline="") as packed:
        # a text in quotes is never taken for a missing value
        writer = csv.writer(packed, delimiter=dialect.delimiter or ",", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(TEXT_COLUMNS)
        for file in files:
            with naming(field, file), _refusing_no_text(field, file.name):
                writer.writerows(_rows(file, files[0], as_written))
    return output


def _rows(file: Path, first: Path, dialect: Dialect) -> Iterator[tuple[str, str]]:
    """Yield text and label of each sample. Raises TextError, OSError, UnicodeError, EOFError, zlib.error."""
    if file.is_dir() != first.is_dir() or not (file.is_dir() or is_text_file(file)):
        raise TextError(f"is in another format than '{first.name}': to be uploaded as one, all need the same")
    if not file.is_dir():
        label = label_of(file)
        for lines in read_lines(file, dialect):
            yield from ((line, label) for line in lines)
        return
    for name, label in text_files(file):
        try:
            yield read_text(file / name, dialect), label
        except TextError as error:
            raise TextError(f"has '{name}', which {error}") from error


@contextmanager
def _refusing_no_text(field: str, name: str) -> Iterator[None]:
    try:
        yield
    except TextError as error:
        raise InvalidSpec([FieldError(field, f"'{name}' {error}")]) from error
