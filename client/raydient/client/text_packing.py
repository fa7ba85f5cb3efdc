"""Packs lines of text files, or files of folders, into a CSV file, which is uploaded and gives the same bits."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from raydient.spec.csv_text import Dialect
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.patterns import DataPath, files_of
from raydient.spec.text_files import TextError, as_csv, is_text_file, read_texts, text_files

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
    as_written = replace(dialect, decimal=".")  # the reader of the new file exchanges them
    output = folder / f"{files[0].name.partition('.')[0]}.csv"
    with output.open("w", encoding=dialect.encoding, newline="") as packed:
        packed.writelines(as_csv(_texts(files, as_written, field), dialect))
    return output


def _texts(files: Sequence[Path], dialect: Dialect, field: str) -> Iterator[tuple[str, str]]:
    """Yield text and label of each sample of all files. Raises InvalidSpec."""
    for file in files:
        with naming(field, file):
            try:
                _check(file, files[0])
                yield from read_texts(file, dialect)
            except TextError as error:
                raise InvalidSpec([FieldError(field, f"'{file.name}' {error}")]) from error


def _check(file: Path, first: Path) -> None:
    """Raise TextError if a file has no texts, or another format than the first one."""
    if file.is_dir() != first.is_dir() or not (file.is_dir() or is_text_file(file)):
        raise TextError(f"is in another format than '{first.name}'", "to be uploaded as one, all need the same")
    if file.is_dir() and not any(text_files(file)):
        raise TextError("has no texts", "its sub-folders, named as labels, hold .txt files")
