"""Local processes never outlive the process that started them."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from raydient.server.clusters.forking import Entry
from raydient.server.clusters.local import LocalCluster
from raydient.wire import control, launch
from raydient.wire.control import Role
from raydient.wire.handshake import new_secret
from raydient.wire.hub import CLOSED, Hub
from tests.waiting import eventually

FORKED = str(Path(__file__).with_name("forked.py"))
PARENT = """
import sys, threading
from pathlib import Path
from raydient.server.clusters.local import LocalCluster
from raydient.wire.control import Role
cluster = LocalCluster(1)
cluster.start(Role.WORKER, sys.argv[1], Path(sys.argv[2]))
threading.Event().wait()
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_a_process_ends_with_a_parent_that_was_killed(tmp_path, stopped):
    secret = new_secret()
    hub = Hub(secret, 1 << 20)
    launched = launch.to_json(launch.Launch("job", 1, hub.listen("127.0.0.1"), secret.hex()))
    parent = subprocess.Popen([sys.executable, "-c", PARENT, launched, str(tmp_path / "log")])

    def next_frame():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for _, frame in hub.poll(1.0):
                return frame
        raise TimeoutError

    while not isinstance(hello := control.decode(next_frame()).message, control.Hello):
        pass  # its lifeline
    child = hello.process
    if stopped:
        os.kill(child, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    assert next_frame() is CLOSED
    eventually(lambda: _state(child) == "Z")
    hub.close()


def test_blas_has_one_thread(tmp_path):
    class Describing(LocalCluster):
        def entry(self, role):
            return Entry(FORKED, ("blas",))

    with closing(Describing(1)) as cluster:
        process = cluster.start(Role.WORKER, "", tmp_path / "log")
        assert eventually(process.ended) == "ended with status 0"
    assert set(json.loads((tmp_path / "log").read_text())) == {1}


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"
