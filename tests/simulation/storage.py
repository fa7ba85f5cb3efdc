"""The disk of a job's coordinators and its faults: operations that fail, no room, a coordinator that ends at one."""

import errno
import math
import os
import random

from .disk import SimulatedDisk

ROOM = 1 << 40
READING = "list", "look", "read", "open"
"""Operations that do not fail: a checkpoint that cannot be read counts as damaged, and is not used again."""


class JobDisk(SimulatedDisk):
    """A disk whose user is a process of a world; a slow process lets time pass at each operation.

    Attributes:
        user: the process that uses the disk.
    """

    def __init__(self, world, directory):
        super().__init__()
        self.make_folder(directory)
        self.sync_folder(directory.parent)
        self.faults, self.user = self._meet, None
        self._world, self._fails_until, self._chance = world, 0.0, 0.0
        self._end = math.inf, None  # operations until the user ends, and its ending
        self._awaited = {}  # text of an operation and its path, and the action just before it

    def fail(self, chance, seconds):
        """Let operations that write fail with this chance for a while."""
        self._chance, self._fails_until = chance, self._world.now + seconds

    def fill(self, room=0):
        """Leave room for this number of bytes."""
        self.capacity = room

    def make_room(self):
        self.capacity = ROOM

    def end_user(self, ending):
        """End the user: the process alone, or its machine, which loses some or all unsynced changes.

        If all processes share the machine's memory, they end with it.
        """
        if ending % 3:
            self._world.note("disk", f"its machine ends, ending {ending}")
            for process in self._world.living() if self._world.local else ():
                process.end()
            self.crash(random.Random(ending) if ending % 3 == 1 else None)
        if self.user is not None:
            self.user.end()

    def end_user_in(self, operations, ending):
        """Do the same at the operation with this number from now on."""
        self._end = operations, ending

    def fail_at(self, text):
        """Let the next operation fail whose name and path contain this text."""
        self._awaited[text] = self._fail

    def end_user_at(self, text, ending):
        """End the user just before this operation; see `end_user`."""
        self._awaited[text] = lambda operation, path: self._end_here(operation, path, ending)

    def _meet(self, operation, path):
        if self.user is None:
            return
        self.user.breathe()
        operations, ending = self._end
        self._end = operations - 1, ending
        if operations <= 1:
            self._end = math.inf, None
            self._end_here(operation, path, ending)
        for text in [text for text in self._awaited if text in f"{operation} {path}"]:
            self._awaited.pop(text)(operation, path)
        fails = self._world.now < self._fails_until and operation not in READING
        if fails and self._world.random.random() < self._chance:
            self._fail(operation, path)

    def _fail(self, operation, path):
        self._world.note("disk", f"{operation} {path} fails")
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    def _end_here(self, operation, path, ending):
        self._world.note("disk", f"the coordinator ends at {operation} {path}")
        self.end_user(ending)
        self.user.stop_here()
