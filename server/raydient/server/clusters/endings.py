"""Describes how a process ended, from its exit status and the kernel's count of out-of-memory kills."""

import errno
import signal
from pathlib import Path

OUT_OF_MEMORY = "ran out of memory"
"""Begin of the description of a process that ran out of memory, on every cluster."""
PEER_GONE_STATUS = 3
"""Exit status of a member that ends because a process it works with has ended."""
OUT_OF_MEMORY_STATUS = errno.ENOMEM
"""Exit status of a member that could not get memory."""


def describe_status(status: int, *, killed_for_memory: bool = False) -> str:
    """Describe an exit status of `subprocess`: below 0 it is the signal that ended the process.

    `killed_for_memory` says that the kernel has killed processes of this machine for lack of memory meanwhile.
    """
    if status == OUT_OF_MEMORY_STATUS:
        return OUT_OF_MEMORY
    if status == -signal.SIGKILL and killed_for_memory:
        return f"{OUT_OF_MEMORY}, and was killed by the kernel"
    if status == PEER_GONE_STATUS:
        return "ended because a process it works with is gone"
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def memory_kills() -> int:
    """Number of processes that the kernel has killed for lack of memory since it started; 0 if unknown."""
    try:
        counters = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counters.splitlines() if line.startswith("oom_kill ")), 0)
