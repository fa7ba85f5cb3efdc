"""Writes files atomically and durably, with the permissions that the umask leaves, and keeps caches within bounds.

A run reads and writes its files through a `Disk`, so that tests can simulate full disks, errors and loss of power.
"""

import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, FileIO, IOBase, RawIOBase
from pathlib import Path
from typing import BinaryIO, Protocol

_PREFIX, _SUFFIX = ".raydient-", ".part"
_ABANDONED_SECONDS = 86_400.0
"""Age of what a process has left half-written in a cache; what is younger may belong to one that writes it."""


class Disk(Protocol):
    """The operations on files that a run needs. Methods raise OSError.

    The content of a file is durable after `sync`, and its name after `sync_folder` of the folder.
    """

    def unique(self) -> str:
        """Return a text that no file on this disk has in its name."""

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, in any order."""

    def exists(self, path: Path) -> bool:
        """Return True if there is a file, a folder or a link."""

    def is_folder(self, path: Path) -> bool:
        """Return True for a folder, False for a link to one."""

    def make_folder(self, path: Path) -> None:
        """Create a folder, with its parents; an existing one is left as it is."""

    def create(self, path: Path) -> BinaryIO:
        """Open a new file for writing. Raises FileExistsError."""

    def open_record(self, path: Path) -> RawIOBase:
        """Open a file for reading and writing, unbuffered; an absent file is created."""

    def open_plain(self, path: Path) -> BufferedReader | None:
        """Open a file for reading; None if it is not a plain file. A link as the file or as its folder is refused."""

    def sync(self, file: IOBase | BinaryIO) -> None:
        """Make the content of an open file durable."""

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""

    def rename(self, path: Path, target: Path) -> None:
        """Rename an entry within its folder, atomically; a file replaces an earlier file."""

    def remove(self, path: Path) -> None:
        """Remove a file or a link."""

    def remove_tree(self, path: Path) -> None:
        """Remove a folder with its content as far as possible; errors are ignored."""


class LocalDisk:
    """The disk of the machine."""

    def unique(self) -> str:
        return secrets.token_hex(8)

    def names(self, folder: Path) -> list[str]:
        return os.listdir(folder)

    def exists(self, path: Path) -> bool:
        return os.path.lexists(path)

    def is_folder(self, path: Path) -> bool:
        return path.is_dir() and not path.is_symlink()

    def make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)

    def create(self, path: Path) -> BinaryIO:
        return path.open("xb")

    def open_record(self, path: Path) -> RawIOBase:
        return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b")

    def open_plain(self, path: Path) -> BufferedReader | None:
        within = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # Nonblocking, because opening a FIFO waits for its other end.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(path.name, flags, dir_fd=within)
        finally:
            os.close(within)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        return open(descriptor, "rb")

    def sync(self, file: IOBase | BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, path: Path, target: Path) -> None:
        path.replace(target)

    def remove(self, path: Path) -> None:
        path.unlink()

    def remove_tree(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)


LOCAL = LocalDisk()


@contextmanager
def replacing(path: Path, disk: Disk = LOCAL) -> Iterator[BinaryIO]:
    """Open a new file that replaces `path`, durably, when the block ends without an error.

    After an error `path` is unchanged. A process that is killed meanwhile leaves a file for `remove_leftovers`.
    """
    part = path.with_name(f"{_PREFIX}{disk.unique()}{_SUFFIX}")
    try:
        with disk.create(part) as file:
            yield file
            disk.sync(file)
        disk.rename(part, path)
    except BaseException:
        with suppress(FileNotFoundError):
            disk.remove(part)
        raise
    disk.sync_folder(path.parent)


def write_durably(path: Path, content: bytes, disk: Disk = LOCAL) -> None:
    """Write a file atomically; durable on return. Raises OSError."""
    with replacing(path, disk) as file:
        file.write(content)


def write_new(path: Path, content: bytes, disk: Disk = LOCAL) -> None:
    """Write a new file, flushed to disk; its name is durable after `sync_folder`. Raises OSError."""
    with disk.create(path) as file:
        file.write(content)
        disk.sync(file)


def remove_leftovers(folder: Path, disk: Disk = LOCAL) -> None:
    """Remove partial files of killed processes in `folder`. No other process may be writing there."""
    with suppress(OSError):
        for name in disk.names(folder):
            if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                with suppress(OSError):
                    disk.remove(folder / name)


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal. Raises OSError."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_private(folder: Path) -> bool:
    """Return True if this user alone may write to an existing folder."""
    try:
        status = folder.stat()
    except OSError:  # removed meanwhile
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def remove_abandoned(paths: Iterable[Path]) -> None:
    """Remove those among half-written files and folders of a cache that no process can be writing any more."""
    for path in paths:
        with suppress(OSError):  # another process may remove it too
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                if path.is_dir():
                    LOCAL.remove_tree(path)
                else:
                    LOCAL.remove(path)


def evict(entries: Iterable[tuple[float, int, Path]], most_bytes: int) -> None:
    """Remove the entries of a cache that were used the longest time ago, until all take at most some bytes.

    Args:
        entries: time of the last use, bytes and folder of each.
        most_bytes: of all together.
    """
    kept = sorted(entries)
    together = sum(size for _, size, _ in kept)
    for _, size, folder in kept:
        if together <= most_bytes:
            break
        LOCAL.remove_tree(folder)
        together -= size


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    LOCAL.sync_folder(folder)
