"""Text files as tables with the columns TEXT_COLUMNS: each line is a sample, or in a folder each file."""

import io
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path, PurePath

from .csv_text import Dialect, is_decoded, open_bytes
from .folders import labelled_files

TEXT_COLUMNS = ("text", "label")
"""The label of a line is the name of its file without the suffix, that of a file in a folder its sub-folder."""
TEXT_SUFFIXES = (".txt", ".txt.gz")
LONGEST = 2**24
"""Most characters of a line, or of a file that is one sample."""
_CHUNK = 2**20
_SETTINGS = "(`dataset.csv.encoding`, `--encoding`)"


class TextError(ValueError):
    """A file that cannot be read as text. The message continues a sentence whose subject is the file.

    Attributes:
        problem: the message without the remedy.
    """

    def __init__(self, problem: str, mend: str = "") -> None:
        super().__init__(f"{problem}: {mend}" if mend else problem)
        self.problem = problem


def is_text_file(path: PurePath) -> bool:
    """True if the name of a file is one of a text file."""
    name = path.name.lower()
    return name.endswith(TEXT_SUFFIXES) and name not in TEXT_SUFFIXES


def label_of(path: PurePath) -> str:
    """Return the label of the lines of a text file. Raises TextError if its name is not valid Unicode."""
    suffix = next(suffix for suffix in reversed(TEXT_SUFFIXES) if path.name.lower().endswith(suffix))
    label = path.name[: -len(suffix)]
    if not is_decoded(label):
        raise TextError("has a name that is not UTF-8 text, and so no label: rename it")
    return label


def read_lines(path: Path, dialect: Dialect) -> Iterator[list[str]]:
    """Yield the lines of a file without their ends, some at a time.

    A line ends with a line feed, a carriage return or both. The last one may lack its end. Blank lines are lines.

    Args:
        path: of the file.
        dialect: its encoding, and the decimals of a line that is a number.

    Raises:
        TextError: a line is not of the encoding, has a NUL character or is longer than LONGEST.
        UnicodeError, OSError, EOFError, zlib.error: see `open_text`.
    """
    before, rest = 0, ""
    with _open(path, dialect) as file:
        while chunk := file.read(_CHUNK):
            _check(chunk, before, dialect)
            *lines, rest = (rest + chunk).split("\n")
            before += len(lines)
            if len(rest) > LONGEST:
                raise TextError(f"has more than {LONGEST >> 20} MiB in line {before + 1}")
            yield _cells(lines, dialect)
    if rest:
        yield _cells([rest], dialect)


def read_text(path: Path, dialect: Dialect) -> str:
    """Return the text of a whole file, with line feeds at the ends of lines. Raises what `read_lines` raises."""
    with _open(path, dialect) as file:
        text = file.read(LONGEST + 1)
    if len(text) > LONGEST:
        raise TextError(f"has more than {LONGEST >> 20} MiB, and is one sample: cut it")
    _check(text, 0, dialect)
    return dialect.cell(text)


def read_texts(path: Path, dialect: Dialect, *, are_labelled: bool = True) -> Iterator[tuple[str, str]]:
    """Yield text and label of each sample of a text file, or of a folder of them; see `text_files`.

    Raises what `read_lines` raises; of a folder the message names the file in it.
    """
    if not path.is_dir():
        label = label_of(path)
        for lines in read_lines(path, dialect):
            yield from ((line, label) for line in lines)
        return
    for name, label in text_files(path, are_labelled=are_labelled):
        try:
            yield read_text(path / name, dialect), label
        except TextError as error:
            raise TextError(f"has {name!r}, which {error}") from error


def as_csv(texts: Iterable[tuple[str, str]], dialect: Dialect) -> Iterator[str]:
    """Yield the rows of a CSV file with texts and labels, the header first.

    All cells are in quotes, so none is taken for a missing value.
    """
    for row in chain([TEXT_COLUMNS], texts):
        cells = ('"' + cell.replace('"', '""') + '"' for cell in row)
        yield (dialect.delimiter or ",").join(cells) + "\n"


def text_files(folder: Path, *, are_labelled: bool = True) -> Iterator[tuple[str, str]]:
    """Yield path and label of each text file in a folder; see `labelled_files`."""
    return labelled_files(folder, TEXT_SUFFIXES, are_labelled=are_labelled)


def _open(path: Path, dialect: Dialect) -> io.TextIOWrapper:
    return io.TextIOWrapper(open_bytes(path), dialect.codec, errors="surrogateescape", newline=None)


def _cells(lines: list[str], dialect: Dialect) -> list[str]:
    return [dialect.cell(line) for line in lines] if dialect.decimal == "," else lines


def _check(text: str, before: int, dialect: Dialect) -> None:
    """Raise TextError if a part of a file, with `before` lines before it, is no text."""
    if (place := text.find("\0")) >= 0:
        line = before + 1 + text.count("\n", 0, place)
        mend = f"name its encoding {_SETTINGS} if that is not {dialect.encoding_name}"
        raise TextError(f"has a NUL character in line {line}, which no text has", mend)
    try:
        text.encode()
    except UnicodeEncodeError as error:  # of a lone surrogate
        line = before + 1 + text.count("\n", 0, error.start)
        mend = f"save it with that encoding, or name its own {_SETTINGS}"
        raise TextError(f"is not {dialect.encoding_name} text in line {line}", mend) from None
