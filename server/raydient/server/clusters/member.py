"""The entry of every process of a job, on either cluster: limits BLAS to one thread, then runs the role's `main`.

A process reads the launch from the first line of standard input and ends when standard input is closed. So no process
outlives the process that started it, even if that was killed.
"""

import errno
import logging
import os
import sys
import threading
from importlib import import_module

from raydient.server import logs
from raydient.workers.portable import PORTABLE

from .forking import become_able_to_fork

BLAS_ENVIRONMENT = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
)
"""Must be set before NumPy is loaded. More threads would change the bits of results and compete for cores."""
PORTABLE_ENVIRONMENT = {
    PORTABLE: "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": (
        "X86_V4 AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
    ),
    "NPY_ENABLE_CPU_FEATURES": "",
}
"""Must be set before NumPy is loaded. OpenBLAS and NumPy then use their code for x86-64-v3 (AVX2 and FMA3, from 2013
on), also on processors for which they have other code. The disabled features are those above this level for which a
supported version of NumPy has code; NumPy ignores the names that its version lacks.
"""
PEER_GONE_STATUS = 3
"""Exit status of a member that ends because a process it works with has ended."""
OUT_OF_MEMORY_STATUS = errno.ENOMEM
"""Exit status of a member that could not allocate memory."""

_MAINS = {
    "coordinator": "raydient.server.training.process",
    "parameter_server": "raydient.server.parameters.shell",
    "worker": "raydient.workers.worker",
}


def environment(*, portable: bool = False) -> dict[str, str]:
    """Return the environment variables for a process that computes for a job, besides those of this process.

    With `portable` they replace a choice of instructions that the user has made in the environment.
    """
    return {**BLAS_ENVIRONMENT, **(PORTABLE_ENVIRONMENT if portable else {PORTABLE: "0"})}


def run(role: str, launch: str, host: str, node: str) -> bool:
    """Run a process of this role to its end. Returns False if it ends early because a peer has ended.

    `host` is the address of this machine for other machines, `node` its name in the cluster; see `Cluster`.
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
    """End this process when its parent ends, which closes standard input. Returns at once."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    # Not sys.stdin, because this thread would hold its lock and block the exit of the interpreter.
    while os.read(0, 4096):
        pass
    os._exit(1)


def main(role: str) -> int:
    """Run a process of this role with the launch on standard input. Returns the exit status."""
    if role == "coordinator":
        become_able_to_fork()
    launch = sys.stdin.buffer.readline().decode()
    end_with_input()
    try:
        return 0 if run(role, launch, "127.0.0.1", "") else PEER_GONE_STATUS
    except MemoryError:
        logging.getLogger(role).exception("ends because it is out of memory")
        return OUT_OF_MEMORY_STATUS
