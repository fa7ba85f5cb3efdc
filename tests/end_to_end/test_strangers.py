"""Processes without the secret connect to all sockets of a job."""

import os
import socket
import threading
from contextlib import suppress

import pytest

from raydient.server.training.reports import Outcome
from raydient.wire.hub import MAXIMUM_STRANGERS

from .conftest import execute
from .serving import descendants

LISTENING = "0A"
"""The state of a socket in /proc/net/tcp."""


class Strangers(threading.Thread):
    """Connects to all sockets of a cluster's processes repeatedly, and holds as many connections as it can."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over, self.connected = threading.Event(), 0

    def run(self):
        held = []
        while not self.over.wait(0.001):
            for family, address in [*listeners()] * 16:
                sock = socket.socket(family, socket.SOCK_STREAM)
                sock.settimeout(0.01)
                with suppress(OSError):
                    sock.connect(address)
                    self.connected += 1
                held.append(sock)
            while len(held) > 8 * MAXIMUM_STRANGERS:
                held.pop(0).close()
        for sock in held:
            sock.close()


def listeners():
    """Return the sockets at which this process and those below it listen, or are connected by a name."""
    ours = sockets([os.getpid(), *descendants(os.getpid())])
    addresses = set()
    with open("/proc/net/unix") as file:
        for fields in (line.split() for line in file):
            if fields[6] in ours and "@raydient-" in fields[-1]:
                addresses.add((socket.AF_UNIX, "\0" + fields[-1][1:]))
    with open("/proc/net/tcp") as file:
        for fields in (line.split() for line in file):
            if fields[9] in ours and fields[3] == LISTENING:
                addresses.add((socket.AF_INET, ("127.0.0.1", int(fields[1].partition(":")[2], 16))))
    return addresses


def sockets(processes):
    """Return the inodes of the sockets that these processes have open."""
    sockets = set()
    for process in processes:
        with suppress(OSError):
            for entry in os.scandir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    sockets.add(os.readlink(entry.path).removeprefix("socket:[").removesuffix("]"))
    return sockets


@pytest.mark.parametrize("transport", ["shared-memory", "tcp"])
def test_strangers_that_take_every_place_do_not_disturb_a_job(job, local, undisturbed, tmp_path, transport):
    prepared = job(3, epochs=100)
    strangers = Strangers()
    strangers.start()
    try:
        finished = execute(prepared, local, tmp_path, transport=transport)
    finally:
        strangers.over.set()
        strangers.join()
    assert strangers.connected > 4 * MAXIMUM_STRANGERS
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, undisturbed(prepared))
