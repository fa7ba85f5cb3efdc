"""How a process ended, in words: by its exit status, and by what the kernel says of memory."""

import errno
import signal
from pathlib import Path

OUT_OF_MEMORY = "ran out of memory"
"""Begins the words of a process that did, on every cluster."""
PEER_GONE_STATUS = 3
"""Exit status of a member that ends because a process it works with is gone."""
OUT_OF_MEMORY_STATUS = errno.ENOMEM
"""Exit status of a member that could not get memory."""


def describe_status(status: int, *, killed_for_memory: bool = False) -> str:
    """Words for an exit status, as `subprocess` gives it: below 0 the signal that ended the process.

    `killed_for_memory`: the kernel has killed processes of this machine for want of memory meanwhile.
    """
    if status == OUT_OF_MEMORY_STATUS:
        return OUT_OF_MEMORY
    if status == -signal.SIGKILL and killed_for_memory:
        return f"{OUT_OF_MEMORY}, and was killed by the kernel"
    if status == PEER_GONE_STATUS:
        return "ended because a process it works with is gone"
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def memory_kills() -> int:
    """Processes that the kernel has killed for want of memory since it started; 0 where that is not known."""
    try:
        counters = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counters.splitlines() if line.startswith("oom_kill ")), 0)
