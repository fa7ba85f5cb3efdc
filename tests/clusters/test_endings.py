"""Descriptions of exit statuses; a process that ran out of memory is described as such."""

import signal
import subprocess
import sys

import pytest

from raydient.server.clusters.cluster import OUT_OF_MEMORY
from raydient.server.clusters.local import describe_status, memory_kills
from raydient.server.clusters.member import OUT_OF_MEMORY_STATUS, PEER_GONE_STATUS

MEMBER = """
import sys, types
from raydient.server.clusters import member

def work(*arguments):
    {work}

sys.modules["raydient.workers.worker"] = types.SimpleNamespace(main=work)
sys.exit(member.main("worker"))
"""


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with status 0"),
        (1, "ended with status 1"),
        (-signal.SIGKILL, "killed by SIGKILL"),
        (-signal.SIGSEGV, "killed by SIGSEGV"),
        (PEER_GONE_STATUS, "ended because a process it works with is gone"),
        (OUT_OF_MEMORY_STATUS, OUT_OF_MEMORY),
    ],
)
def test_a_status_in_words(status, words):
    assert describe_status(status) == words


def test_a_process_that_the_kernel_killed_for_memory():
    assert describe_status(-signal.SIGKILL, killed_for_memory=True).startswith(OUT_OF_MEMORY)
    assert describe_status(-signal.SIGTERM, killed_for_memory=True) == "killed by SIGTERM"


def test_kills_are_counted():
    assert memory_kills() >= 0


@pytest.mark.parametrize(
    ("work", "status"),
    [
        ("return None", 0),
        ("raise ConnectionResetError", PEER_GONE_STATUS),
        ("raise ZeroDivisionError", 1),
        ("import numpy; numpy.empty(1 << 50)", OUT_OF_MEMORY_STATUS),
    ],
)
def test_the_exit_status_of_a_member_gives_the_reason(work, status):
    command = [sys.executable, "-c", MEMBER.format(work=work)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.wait(60) == status
