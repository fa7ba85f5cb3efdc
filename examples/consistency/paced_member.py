"""A process of a job in which each microbatch takes a fixed time: `paced_member.py MILLISECONDS ROLE`.

A worker computes a microbatch and sleeps until the time is over. So a worker at a quarter of the speed is one whose
microbatches take four times as long, and several workers need no core each. `compare.py` starts this script instead of
raydient's own entry of a process, which it then runs.
"""

import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from raydient.server.clusters.member import main
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


if __name__ == "__main__":
    Program.forward = paced(Program.forward, float(sys.argv[1]) / 1000)  # type: ignore[method-assign]
    sys.exit(main(sys.argv[2]))
