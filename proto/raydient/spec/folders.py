"""Folders of files as tables: each sub-folder has the samples of one label."""

import os
from collections.abc import Iterator
from pathlib import Path


def labelled_files(folder: Path, suffixes: tuple[str, ...], *, are_labelled: bool = True) -> Iterator[tuple[str, str]]:
    """Yield path and label of each file in a folder, sorted; the label is the name of its sub-folder.

    Paths are relative to the folder, with slashes. Files may lie deeper in a sub-folder. Hidden files and folders,
    links to folders and files with other suffixes are left out.

    Args:
        folder: an existing folder.
        suffixes: ends of the files' names, in lower case.
        are_labelled: leave out files that lie in no sub-folder, whose label is empty.

    Raises:
        OSError: a folder cannot be read.
    """
    for path in _below(folder, "", suffixes):
        label, _, rest = path.partition("/")
        if rest:
            yield path, label
        elif not are_labelled:
            yield path, ""


def _below(folder: Path, prefix: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        shown = [one for one in entries if not one.name.startswith(".")]
        names = sorted(one.name for one in shown if one.name.lower().endswith(suffixes) and one.is_file())
        folders = sorted(one.name for one in shown if one.is_dir(follow_symlinks=False))
    yield from (prefix + name for name in names)
    for name in folders:
        yield from _below(folder / name, f"{prefix}{name}/", suffixes)
