"""A disk in memory that loses power: content that is not synced, and names whose folder is not synced, may be lost.

`kill` is the end of a process: nothing is lost. `crash` is the end of the machine: of the changes since the last sync
each one survives or is lost by itself. After a sync of a file that failed, a later one does not make the same changes
durable, as on Linux, where the pages count as written; only another write of them does. `faults` is called with the
name of each operation and its path; it may raise OSError, or `Stopped` to end the process or the machine at that point.
"""

import errno
import os
from io import RawIOBase, UnsupportedOperation


class Stopped(BaseException):
    """The process has ended; every later operation raises it too, until `kill` or `crash`."""


class Content:
    """A file: its bytes now, the bytes of the last sync, and the changes since."""

    def __init__(self):
        self.data, self.durable, self.changes = bytearray(), b"", []

    def write(self, offset, data):
        self.changes.append((offset, bytes(data)))
        _apply(self.data, offset, data)

    def truncate(self, size):
        self.changes.append((size, None))
        _apply(self.data, size, None)

    def sync(self):
        self._make_durable(lambda: 1)

    def fail_to_sync(self):
        """Forget the changes since the last sync, which reading shows all the same."""
        self.changes = []

    def crash(self, survives):
        """Keep the changes that survive; a write may survive in part."""
        self._make_durable(survives)
        self.data = bytearray(self.durable)

    def after_power_loss(self):
        content = Content()
        content.data, content.durable = bytearray(self.durable), self.durable
        return content

    def _make_durable(self, survives):
        durable = bytearray(self.durable)
        for offset, change in self.changes:
            part = survives()
            if change is None and part:
                _apply(durable, offset, None)
            elif change is not None and (size := round(part * len(change))):
                _apply(durable, offset, change[:size])
        self.durable, self.changes = bytes(durable), []


class Folder:
    """A folder: its entries now, those of the last sync, and the changes since."""

    def __init__(self):
        self.entries, self.durable, self.changes = {}, {}, []

    def change(self, **entries):
        """Set entries, or remove those that are None, as one change."""
        self.changes.append(entries)
        _change(self.entries, entries)

    def sync(self):
        self.durable, self.changes = dict(self.entries), []

    def crash(self, survives):
        self.entries = dict(self.durable)
        for change in self.changes:
            if survives() == 1:
                _change(self.entries, change)
        self.sync()
        for entry in self.entries.values():
            entry.crash(survives)

    def after_power_loss(self):
        folder = Folder()
        folder.durable = {name: entry.after_power_loss() for name, entry in self.durable.items()}
        folder.entries = dict(folder.durable)
        return folder


class SimulatedDisk:
    """Satisfies `raydient.files.Disk`. `capacity` is the number of bytes that files may still be given."""

    def __init__(self, faults=lambda operation, path: None):
        self.faults, self.capacity = faults, 1 << 40
        self._root, self._stopped, self._life = Folder(), False, 0
        self._uniques = 0  # unique texts

    # ---- the end of processes

    def kill(self):
        """End the process and let another one use the disk."""
        self._stopped, self._life = False, self._life + 1

    def crash(self, random=None):
        """End the machine and start it again. Without `random` every change since the last sync is lost."""
        self._root.crash((lambda: random.choice((0, 0.5, 1, 1))) if random else lambda: 0)
        self.kill()

    def after_power_loss(self):
        """Return a disk without faults that holds what is durable at this moment."""
        disk = SimulatedDisk()
        disk._root, disk._uniques = self._root.after_power_loss(), self._uniques
        return disk

    def before(self, operation, path, life=None):
        """Let the faults act. Called before each operation."""
        if self._stopped or life not in (None, self._life):
            raise Stopped
        try:
            self.faults(operation, path)
        except Stopped:
            self._stopped = True
            raise

    # ---- operations

    def unique(self):
        self._uniques += 1
        return f"{self._uniques:016x}"

    def names(self, folder):
        self.before("list", folder)
        return list(self._folder(folder).entries)

    def exists(self, path):
        self.before("look", path)
        return self._entry(path) is not None

    def is_folder(self, path):
        self.before("look", path)
        return isinstance(self._entry(path), Folder)

    def make_folder(self, path):
        for folder in (*reversed(path.parents), path):
            if self._entry(folder) is None:
                self.before("make", folder)
                self._folder(folder.parent).change(**{folder.name: Folder()})

    def create(self, path):
        self.before("create", path)
        if self._entry(path) is not None:
            raise _error(errno.EEXIST, path)
        return self._new(path, whole=True)

    def open_record(self, path):
        self.before("open", path)
        content = self._entry(path)
        return File(self, path, content, self._life) if content else self._new(path)

    def open_plain(self, path):
        self.before("read", path)
        content = self._entry(path)
        if content is None:
            raise _error(errno.ENOENT, path)
        return None if isinstance(content, Folder) else File(self, path, content, self._life)

    def sync(self, file):
        try:
            self.before("sync", file.path)
        except OSError:
            file.content.fail_to_sync()
            raise
        file.content.sync()

    def sync_folder(self, folder):
        self.before("sync folder", folder)
        self._folder(folder).sync()

    def rename(self, path, target):
        self.before("rename", path)
        assert path.parent == target.parent, "a rename across folders is not simulated"
        entry = self._entry(path)
        if entry is None:
            raise _error(errno.ENOENT, path)
        if isinstance(self._entry(target), Folder):
            raise _error(errno.ENOTEMPTY, target)
        self._folder(path.parent).change(**{path.name: None, target.name: entry})

    def remove(self, path):
        self.before("remove", path)
        if self._entry(path) is None:
            raise _error(errno.ENOENT, path)
        self._folder(path.parent).change(**{path.name: None})

    def remove_tree(self, path):
        folder = self._entry(path)
        for name in list(folder.entries):
            if isinstance(folder.entries[name], Folder):
                self.remove_tree(path / name)
            else:
                self.remove(path / name)
        self.remove(path)

    def _new(self, path, *, whole=False):
        content = Content()
        self._folder(path.parent).change(**{path.name: content})
        return File(self, path, content, self._life, whole=whole)

    def _entry(self, path):
        entry = self._root
        for name in path.parts[1:]:
            entry = entry.entries.get(name) if isinstance(entry, Folder) else None
        return entry

    def _folder(self, path):
        folder = self._entry(path)
        if not isinstance(folder, Folder):
            raise _error(errno.ENOENT if folder is None else errno.ENOTDIR, path)
        return folder


class File(RawIOBase):
    """An open file of a simulated disk; `whole` writes all bytes of a call or raises, as a buffered file."""

    def __init__(self, disk, path, content, life, *, whole=False):
        super().__init__()
        self.path, self.content = path, content
        self._disk, self._life, self._whole, self._offset = disk, life, whole, 0

    def readable(self):
        return True

    def writable(self):
        return True

    def seekable(self):
        return True

    def fileno(self):
        raise UnsupportedOperation("a file in memory has no descriptor")

    def seek(self, offset, whence=os.SEEK_SET):
        self._offset = offset + (0, self._offset, len(self.content.data))[whence]
        return self._offset

    def tell(self):
        return self._offset

    def readinto(self, buffer):
        self._disk.before("read", self.path, self._life)
        data = self.content.data[self._offset : self._offset + len(buffer)]
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def write(self, data):
        self._disk.before("write", self.path, self._life)
        fits = bytes(data)[: self._disk.capacity]
        self.content.write(self._offset, fits)
        self._disk.capacity -= len(fits)
        self._offset += len(fits)
        if len(fits) < len(data) and (self._whole or not fits):
            raise _error(errno.ENOSPC, self.path)
        return len(fits)

    def truncate(self, size=None):
        self._disk.before("truncate", self.path, self._life)
        self.content.truncate(self._offset if size is None else size)
        return size


def _apply(data, offset, change):
    """Write at an offset, beyond the end after zeros; without a change, cut the data off there."""
    if change is None:
        del data[offset:]
        return
    data.extend(bytes(max(0, offset - len(data))))
    data[offset : offset + len(change)] = change


def _change(entries, change):
    for name, entry in change.items():
        if entry is None:
            entries.pop(name, None)
        else:
            entries[name] = entry


def _error(number, path):
    return OSError(number, os.strerror(number), str(path))
