"""Bounds on the memory that reading a data file takes."""

import resource
from contextlib import suppress
from pathlib import Path

from raydient.spec.errors import FieldError, InvalidSpec

SHARE = 0.9
"""Share of the available memory for the data of one job."""

TEXT_BYTES = 80
"""Bytes of one short text as a Python object, with its place in a list."""

_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


class Budget:
    """Limit on the memory of one file's values and of the training arrays that are made from them.

    Args:
        available: bytes free on this machine; None reads them from the system.

    Attributes:
        spent: bytes that have been accounted for.
    """

    def __init__(self, available: int | None = None) -> None:
        self._available = available_bytes() if available is None else available
        self.spent = 0

    def spend(self, stored: int, *, values: int = 0, texts: int = 0) -> None:
        """Account for values that are about to be read or were just read.

        Args:
            stored: bytes of the values in the file's types; the rows of a part are copied once.
            values: number of values that become float32.
            texts: number of texts.

        Raises:
            InvalidSpec: the file takes more than its share.
        """
        self.spent += 2 * stored + 4 * values + TEXT_BYTES * texts
        if self.spent > SHARE * self._available:
            spent, available = size_text(self.spent), size_text(self._available)
            text = f"its data take more than {spent} of memory, but {available} are available"
            mend = "name fewer columns or arrays, or use a machine with more memory"
            raise InvalidSpec([FieldError("dataset.uri", f"{text}: {mend}")])


def available_bytes() -> int:
    """Return the bytes that this process can still allocate: the least of machine, control group and its own limit."""
    left = [2**63]
    most, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        left.append(max(0, most - data_bytes()))
    if (free := _kibibytes("/proc/meminfo", "MemAvailable")) is not None:
        left.append(free)
    for limit, used in _CGROUPS:
        with suppress(OSError, ValueError):  # the limit may be the word `max`
            left.append(max(0, int(limit.read_text()) - int(used.read_text())))
    return min(left)


def machine_bytes() -> int:
    """Return the memory of this machine, or of this process's control group if that is less."""
    sizes = [size] if (size := _kibibytes("/proc/meminfo", "MemTotal")) is not None else [2**63]
    for limit, _ in _CGROUPS:
        with suppress(OSError, ValueError):
            sizes.append(int(limit.read_text()))
    return min(sizes)


def data_bytes() -> int:
    """Return the bytes of this process that count against RLIMIT_DATA; 0 if unknown."""
    return _kibibytes("/proc/self/status", "VmData") or 0


def _kibibytes(path: str, name: str) -> int | None:
    """Return the value of a line `NAME:  123 kB` of a kernel file, in bytes; None if there is no such line."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(path).read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
    return None


def size_text(count: int) -> str:
    """Format a number of bytes: `1.5 GiB`, `20.0 MiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
