"""Several data files by one path, whose last part has wildcards."""

from fnmatch import fnmatchcase
from pathlib import Path

from .idx import is_idx, labels_of

WILDCARDS = frozenset("*?[")


def is_pattern(path: Path) -> bool:
    """True if a path names the files of a folder by wildcards, and is no file itself."""
    return not WILDCARDS.isdisjoint(path.name) and not path.exists()


def files_of(path: Path) -> list[Path]:
    """Return the files that a path names: itself, or those that match its last part, sorted by name.

    `*` stands for any characters, `?` for one, `[abc]` for one of these. Hidden files and folders are left out.

    Raises:
        OSError: the folder cannot be read.
    """
    if not is_pattern(path):
        return [path]
    names = sorted(file.name for file in path.parent.iterdir() if not file.name.startswith("."))
    return [file for name in names if fnmatchcase(name, path.name) and not (file := path.with_name(name)).is_dir()]


def opened_files(path: Path) -> list[Path]:
    """Return all files that reading a path opens: `files_of`, and the labels beside the images of an IDX file.

    Raises:
        OSError: the folder cannot be read.
    """
    files = files_of(path)
    return [*files, *(labels for file in files if is_idx(file) and (labels := labels_of(file)))]


def are_files(path: Path) -> bool:
    """True if a path names a file, or by wildcards at least one."""
    try:
        files = files_of(path)
        return bool(files) and all(file.is_file() for file in files)
    except OSError:  # a name that is too long, a folder that may not be searched
        return False
