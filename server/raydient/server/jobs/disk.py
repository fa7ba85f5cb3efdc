"""Free space of the disk below the state directory, and the errors of a full disk."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raydient.server.errors import Exhausted

LEAST_RESERVE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Reserve:
    """Space that uploads leave free, for the database, checkpoints and models.

    Attributes:
        size_bytes: None for the default: 1 GiB or 2 % of the disk, whichever is more, and at most 10 % of it.
    """

    size_bytes: int | None = None

    def check(self, folder: Path, needed_bytes: int) -> None:
        """Raise Exhausted unless `needed_bytes` fit beside the reserve. Costs one `statvfs`, about 2 µs."""
        disk = shutil.disk_usage(folder)
        reserve = self.size_bytes
        if reserve is None:
            reserve = min(max(LEAST_RESERVE_BYTES, disk.total // 50), disk.total // 10)
        if needed_bytes > disk.free - reserve:
            message = (
                f"no space for {needed_bytes} bytes: {disk.free} bytes of the server's disk are free, and {reserve} of "
                "them are reserved for checkpoints"
            )
            metadata = {"free_bytes": str(disk.free), "reserve_bytes": str(reserve)}
            raise Exhausted(message, reason="STORE_FULL", metadata=metadata)


@contextmanager
def disk_may_be_full() -> Iterator[None]:
    """Translate the errors of a full disk to Exhausted."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Exhausted("the server's disk is full", reason="STORE_FULL") from error
        raise
