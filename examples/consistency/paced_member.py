"""A process of a job in which each microbatch takes a fixed time.

A worker computes a microbatch and sleeps until the time is over. So a worker at a quarter of the speed is one whose
microbatches take four times as long, and several workers need no core each. `compare.py` starts this file instead of
raydient's own entry of a process, which it then runs.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from raydient.server.clusters import member
from raydient.workers.network import Program


def paced(forward: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    """Return a function that does what `forward` does and takes at least `seconds`."""

    @wraps(forward)
    def sleeping(*arguments: Any) -> Any:
        end = time.perf_counter() + seconds
        sums = forward(*arguments)
        time.sleep(max(0.0, end - time.perf_counter()))
        return sums

    return sleeping


def main(milliseconds: str, role: str) -> int:
    """Run a process of this role whose microbatches take this time. Returns the exit status."""
    Program.forward = paced(Program.forward, float(milliseconds) / 1000)  # type: ignore[method-assign]
    return member.main(role)
