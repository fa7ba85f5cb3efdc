"""The work of the processes of `test_forking`."""

import json
import os
import signal
import sys


def main(what="describe", *arguments):
    """Do something, and return the exit status."""
    return {"describe": _describe, "blas": _blas, "status": int, "read": _read, "fail": _fail}[what](*arguments)


def _describe():
    facts = {
        "text": sys.stdin.readline(),
        "folder": os.getcwd(),
        "variable": os.environ.get("RAYDIENT_TEST"),
        "umask": os.umask(0),
        "leads_session": os.getsid(0) == os.getpid(),
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "sigchld": signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL,
        "loaded": "raydient.workers.worker" in sys.modules,
    }
    sys.stdout.write(json.dumps(facts))


def _blas():
    from threadpoolctl import threadpool_info

    sys.stdout.write(json.dumps([library["num_threads"] for library in threadpool_info()]))


def _read():
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()


def _fail():
    raise ZeroDivisionError("a fault")
