"""The first code of every process of a job, on either cluster: one thread for BLAS, then the role's own `main`.

Run as `python -m raydient.server.clusters.member ROLE` it reads its launch from the first line of standard input and
ends when standard input is closed, so no process outlives the one that started it, even if that was killed. The kernel
kills a member that is frozen.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
from importlib import import_module

from raydient.server import logs
from raydient.server.clusters.endings import OUT_OF_MEMORY_STATUS, PEER_GONE_STATUS

BLAS_ENVIRONMENT = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
)
"""Has to be in the environment before NumPy is loaded. One thread: more would give other bits, and fight for cores."""

_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""

_MAINS = {
    "coordinator": "raydient.server.training.process",
    "parameter_server": "raydient.server.parameters.process",
    "worker": "raydient.workers.worker",
}


def run(role: str, launch: str, host: str, node: str) -> bool:
    """Run a process of this role. True when its work is done, False if a process that it works with has ended.

    `host` is the address at which other machines reach this one, `node` the cluster's name for it; see `Cluster`.
    Raises MemoryError.
    """
    logs.configure("%(asctime)s %(name)s %(levelname)s %(message)s")
    main = import_module(_MAINS[role]).main
    try:
        main(launch, host, node)
    except ConnectionError as error:
        logging.getLogger(role).info("ends because a peer is gone: %s", error)
        return False
    return True


def end_with_input() -> None:
    """End this process when its standard input is closed: its parent has ended. Returns at once."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    # Not sys.stdin: this thread would hold its lock for ever and block the interpreter's exit.
    while os.read(0, 4096):
        pass
    os._exit(1)


def _be_killed_with_parent() -> None:
    """Have the kernel kill this process, even if it is frozen, when the thread that started it ends (Linux).

    For members only: one thread runs a whole run, whereas a service starts coordinators from threads that may end.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(role: str) -> int:
    """Run a process of this role with the launch on standard input; returns the exit status."""
    if role != "coordinator":
        _be_killed_with_parent()
    told = sys.stdin.buffer.readline().decode()
    end_with_input()
    try:
        return 0 if run(role, told, "127.0.0.1", "") else PEER_GONE_STATUS
    except MemoryError:
        logging.getLogger(role).exception("ends because it is out of memory")
        return OUT_OF_MEMORY_STATUS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
