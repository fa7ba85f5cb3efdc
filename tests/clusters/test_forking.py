"""Forked processes are as if they had been started, and none outlives its fork server, its client or its object."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from raydient.server.clusters.forking import Entry, ForkServer, server_with
from raydient.server.clusters.member import environment
from tests.waiting import eventually

FORKED = str(Path(__file__).with_name("forked.py"))
VARIABLES = {**os.environ, **environment()}
CLIENT = """
import os, sys
from raydient.server.clusters.forking import Entry, become_able_to_fork, server_with
if sys.argv[1] == "forked":
    become_able_to_fork()
child = server_with(os.environ).fork(Entry(sys.argv[2], ("read",)), "raydient: test", os.environ)
print(child.stdout.readline().decode(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server():
    with closing(ForkServer.spawn(VARIABLES)) as made:
        yield made


@pytest.fixture
def fork(server):
    """Return a function that forks a process, which is ended after the test."""
    children = []

    def fork(*arguments, by=server, variables=VARIABLES, **options):
        children.append(by.fork(Entry(FORKED, arguments), "raydient: test", variables, **options))
        return children[-1]

    yield fork
    for child in children:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                pipe.close()


def is_gone(pid):
    """True if a process has ended; the one that adopted it may not have waited for it."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_a_process_is_as_if_it_had_been_started(fork, tmp_path, monkeypatch):
    fork("read")  # its descriptors are not those of the next
    monkeypatch.chdir(tmp_path)
    umask = os.umask(0o027)
    try:
        child = fork(variables={**VARIABLES, "RAYDIENT_TEST": "1"})
    finally:
        os.umask(umask)
    child.stdin.write(b"a line\n")
    child.stdin.close()
    facts = json.loads(child.stdout.read())
    assert child.wait() == 0
    assert facts == {
        "text": "a line\n",
        "folder": str(tmp_path),
        "variable": "1",
        "umask": 0o027,
        "leads_session": True,
        "threads": 1,
        "descriptors": 4,  # three and that of the list
        "sigchld": True,
        "loaded": True,
    }


def test_it_has_its_title(fork):
    child = fork("read")
    child.stdout.readline()
    assert Path(f"/proc/{child.pid}/cmdline").read_text().startswith("raydient: test")


@pytest.mark.parametrize(("arguments", "status"), [(("status", "0"), 0), (("status", "7"), 7), (("fail",), 1)])
def test_the_exit_status(fork, arguments, status, tmp_path):
    with open(tmp_path / "log", "wb") as log:
        child = fork(*arguments, output=log)
    assert child.wait() == child.poll() == child.returncode == status
    assert ("ZeroDivisionError: a fault" in (tmp_path / "log").read_text()) == (arguments == ("fail",))


def test_a_signal_is_a_negative_status(fork):
    child = fork("read")
    assert child.poll() is None
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM


@pytest.mark.parametrize("frozen", [False, True])
def test_a_killed_process_has_ended(fork, frozen):
    child = fork("read")
    if frozen:
        os.kill(child.pid, signal.SIGSTOP)
    child.kill()
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert is_gone(child.pid)
    child.kill()


def test_many_run_at_a_time(fork):
    children = [fork("read") for _ in range(8)]
    assert len({child.pid for child in children}) == 8
    for child in reversed(children):
        assert child.poll() is None
        child.stdin.close()
        assert child.wait() == 0


def test_processes_end_with_their_server(fork):
    with closing(ForkServer.spawn(VARIABLES)) as server:
        child = fork("read", by=server)
        os.kill(child.pid, signal.SIGSTOP)
        pid = child.pid
    assert child.wait() == -signal.SIGKILL
    assert is_gone(pid)
    assert server.ended
    late = fork("read", by=server)
    assert late.wait() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        _ = late.pid


@pytest.mark.parametrize("kind", ["spawned", "forked"])
def test_processes_end_with_a_client_that_was_killed(kind):
    command = [sys.executable, "-c", CLIENT, kind, FORKED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        pid = int(client.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        client.kill()
    eventually(lambda: is_gone(pid))


def test_one_server_for_each_environment_that_counts_at_its_start():
    usual = server_with(VARIABLES)
    assert server_with({**VARIABLES, "HOME": "elsewhere"}) is usual
    other = server_with({**VARIABLES, "OPENBLAS_CORETYPE": "Nehalem"})
    assert other is not usual
    other.close()
    assert server_with({**VARIABLES, "OPENBLAS_CORETYPE": "Nehalem"}) is not other
    assert server_with(VARIABLES) is usual
