"""The formats of data files. A new format is a reader module and one row of `FORMATS`."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePath

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.idx import SUFFIXES as IDX_SUFFIXES
from raydient.spec.patterns import DataPath, files_of, paths_of, repeated
from raydient.spec.text_files import TEXT_SUFFIXES
from raydient.spec.values import quoted

from .limits import Budget
from .raw import RawData, refusing_unreadable, unreadable

Reader = Callable[[Sequence[Path], DatasetSpec, Collection[str], Budget], RawData]
"""`read(files, spec, as_written, budget)` reads what `spec` selects of these files, one after another. Labels whose
names are in `as_written` are returned as texts too. It raises InvalidSpec if one cannot be read as this format.
"""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of data files.

    Attributes:
        name: the format's value in the API's `DatasetFormat`, without the prefix, if the server stores such files.
        suffixes: suffixes of the files' names, in lower case.
        module: module of this package whose function `read` is the `Reader`.
        is_table: samples are rows of named columns, so an input has as many values as it names columns.
        is_stored: the server stores uploaded files of this format. The client converts all others.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    is_table: bool
    is_stored: bool = True

    @property
    def read(self) -> Reader:
        """Reader of the format. Its module is imported at first use, because workers read no files."""
        reader: Reader = import_module(f".{self.module}", __package__).read
        return reader


FORMATS = (
    Format("CSV", (".csv", ".csv.gz"), "csv_file", is_table=True),
    Format("NPZ", (".npz",), "npz_file", is_table=False),
    Format("PARQUET", (".parquet",), "parquet_file", is_table=True),
    Format("ARROW", (".arrow", ".feather"), "feather_file", is_table=True),
    Format("TEXT", TEXT_SUFFIXES, "text_file", is_table=True, is_stored=False),
    Format("IDX", IDX_SUFFIXES, "idx_file", is_table=False, is_stored=False),
)
FOLDER = Format("FOLDER", (), "folder", is_table=True, is_stored=False)
SUFFIXES = tuple(suffix for format_ in FORMATS for suffix in format_.suffixes)


def find_format(name: str | PurePath) -> Format | None:
    """Return the format of a file by the suffix of its name, in upper or lower case; None if there is none."""
    suffix = find_suffix(name)
    return next((format_ for format_ in FORMATS if suffix in format_.suffixes), None)


def format_of(data: DataPath) -> Format | None:
    """Return the format of existing files, by the first, or, if its name has no suffix of a file, of a folder."""
    first = paths_of(data)[0]
    return find_format(first) or (FOLDER if first.is_dir() else None)


def array_mend(name: str | PurePath) -> str:
    """Return the remedy for a file of one array, which has no labels; empty for another file."""
    is_array = PurePath(name).suffix.lower() == ".npy"
    mend = "write samples and labels to one NPZ file, `numpy.savez('data.npz', x=x, y=y)`"
    return f"it has one array and no labels: {mend}" if is_array else ""


def find_suffix(name: str | PurePath) -> str:
    """Return the suffix of a file's name that selects its format, in lower case; empty if there is none."""
    file = PurePath(name).name.lower()
    return next((suffix for suffix in SUFFIXES if file.endswith(suffix) and file != suffix), "")


def read(spec: DatasetSpec, path: DataPath, as_written: Collection[str] = (), budget: Budget | None = None) -> RawData:
    """Read the file at `path`, or the files that it names, with the reader of their format.

    Args:
        spec: selects columns or arrays.
        path: of the file or files, see `files_of`.
        as_written: names of labels to return as texts, even if they are numbers.
        budget: limit on the memory; None: one of this reading alone.

    Raises:
        InvalidSpec: the file does not exist or cannot be read.
    """
    format_ = _only_format(paths_of(path))
    with refusing_unreadable(spec.csv.encoding):
        for one in paths_of(path):
            if not files_of(one):
                raise unreadable(f"is missing: none has a name like {quoted(one.name)}")
        files = files_of(path)
        for file in files:
            if not (file.is_file() or format_ is FOLDER):
                name = f"{quoted(file.name)}: " if len(files) > 1 else ""
                raise _invalid(f"{name}{'it is not a file' if file.exists() else 'there is no such file'}")
        if (twice := repeated(files)) is not None:
            raise _invalid(f"{quoted(twice.name)} is named twice, so its rows would be read twice: name it once")
        return format_.read(files, spec, as_written, budget or Budget())


def _only_format(paths: Sequence[Path]) -> Format:
    """Return the format that all files have. Raises InvalidSpec."""
    first: Format | None = None
    for path in paths:
        format_ = format_of(path)
        name = f"{quoted(path.name)}: " if len(paths) > 1 else ""
        if format_ is None:
            mend = array_mend(path) or f"those of data files are {', '.join(SUFFIXES)}"
            raise _invalid(f"{name}the file's suffix is {quoted(path.suffix)}; {mend}")
        if first is not None and format_ != first:
            raise _invalid(f"{name}the file is {format_.name}, {quoted(paths[0].name)} is {first.name}: use one format")
        first = format_
    assert first is not None
    return first


def _invalid(message: str) -> InvalidSpec:
    return InvalidSpec([FieldError("dataset.uri", message)])
