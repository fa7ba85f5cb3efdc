"""A service in a process of its own, for benchmarks of its API."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from raydient.client import Client


@contextmanager
def serving() -> Iterator[tuple[Client, str, int]]:
    """Start a service on a free port; yields a client, its address and the process' number, and ends it."""
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        state = Path(directory) / "state"
        command = [sys.executable, "-m", "raydient.client.cli", "serve", "--state", str(state)]
        ports = ["--address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"]
        with subprocess.Popen([*command, *ports], stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            matches = (re.match(r"raydient serving on ([^,\s]+)", line) for line in server.stderr)
            match = next((one for one in matches if one), None)
            if match is None:
                raise RuntimeError("the service did not start")
            try:
                with Client(match[1]) as client:
                    yield client, match[1], server.pid
            finally:
                server.terminate()
                server.communicate()


def resident_bytes(process: int) -> int:
    """The resident memory of a process, with what it had at most so far."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
