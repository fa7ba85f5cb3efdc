"""Several data files by one path, whose last part has wildcards, or by several paths."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from .idx import is_idx, labels_of

WILDCARDS = frozenset("*?[")

DataPath = Path | tuple[Path, ...]
"""Where the rows of a data set lie: a file, files by wildcards, or several of both, whose rows follow each other."""


def paths_of(data: DataPath) -> tuple[Path, ...]:
    """Return the paths as a tuple, also if there is one."""
    return (data,) if isinstance(data, Path) else data


def data_path(paths: Iterable[Path]) -> DataPath:
    """Return these paths, at least one, as data."""
    several = tuple(paths)
    return several[0] if len(several) == 1 else several


def to_texts(data: DataPath | None) -> list[str]:
    """Return the paths for another process; none for None."""
    return [] if data is None else [str(path) for path in paths_of(data)]


def from_texts(texts: Iterable[str]) -> DataPath | None:
    """Inverse of `to_texts`."""
    paths = [Path(text) for text in texts]
    return data_path(paths) if paths else None


def name_of(data: DataPath) -> str:
    """Return the name of the file for messages; of several paths the first, and their number."""
    first, *further = paths_of(data)
    return f"{first.name} and {len(further)} more" if further else first.name


def is_pattern(path: Path) -> bool:
    """True if a path names the files of a folder by wildcards, and is no file itself."""
    return not WILDCARDS.isdisjoint(path.name) and not path.exists()


def are_several(data: DataPath) -> bool:
    """True if there may be several files."""
    return not isinstance(data, Path) or is_pattern(data)


def files_of(data: DataPath) -> list[Path]:
    """Return the files that paths name: themselves, or those that match their last part, sorted by name.

    `*` stands for any characters, `?` for one, `[abc]` for one of these. Hidden files and folders are left out.

    Raises:
        OSError: a folder cannot be read.
    """
    return [file for path in paths_of(data) for file in _files_of(path)]


def _files_of(path: Path) -> list[Path]:
    if not is_pattern(path):
        return [path]
    names = sorted(file.name for file in path.parent.iterdir() if not file.name.startswith("."))
    return [file for name in names if fnmatchcase(name, path.name) and not (file := path.with_name(name)).is_dir()]


def opened_files(data: DataPath) -> list[Path]:
    """Return all files that reading data opens: `files_of`, and the labels beside the images of IDX files.

    Raises:
        OSError: a folder cannot be read.
    """
    files = files_of(data)
    return [*files, *(labels for file in files if is_idx(file) and (labels := labels_of(file)))]


def are_files(data: DataPath) -> bool:
    """True if each path names a file, or by wildcards at least one."""
    try:
        return all(_are_files(_files_of(path)) for path in paths_of(data))
    except OSError:  # a name that is too long, a folder that may not be searched
        return False


def _are_files(files: list[Path]) -> bool:
    return bool(files) and all(file.is_file() for file in files)


def repeated(files: Iterable[Path]) -> Path | None:
    """Return a file that occurs twice, also by another path or a link; None if there is none."""
    known: set[Path] = set()
    for file in files:
        if (real := file.resolve()) in known:
            return file
        known.add(real)
    return None
