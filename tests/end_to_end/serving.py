"""The real server as a process, for tests."""

import os
import re
import select
import subprocess
import sys
from contextlib import contextmanager

import pytest

from raydient.client import Client


@contextmanager
def serving(state, *options):
    """Start `raydient serve` on free ports; yields the process and a client, and kills the process in the end."""
    command = [sys.executable, "-m", "raydient.client.cli", "serve", "--state", str(state)]
    ports = ["--address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"]
    server = subprocess.Popen([*command, *ports, *options], stderr=subprocess.PIPE, text=True)
    try:
        heard = []
        for line in server.stderr:
            heard.append(line)
            if match := re.match(r"raydient serving on (\S+), metrics on (\S+)$", line.strip()):
                break
        else:
            pytest.fail(f"the server did not start: {''.join(heard)}")
        server.address, server.metrics = match[1], match[2]
        with Client(match[1]) as client:
            yield server, client
    finally:
        server.kill()
        server.wait()
        server.stderr.close()


def messages(job):
    """Yield the events of a job as the service sent them."""
    return (event.message for event in job.watch())


def wait_for_step(job, step):
    """Follow a job until it has made this number of steps."""
    for event in messages(job):
        if event.WhichOneof("event") == "progress" and event.progress.step >= step:
            return
    pytest.fail("the job ended too soon")


def wait_until(job, holds):
    """Follow a job until `holds` is true of its progress."""
    for event in messages(job):
        if event.WhichOneof("event") == "progress" and holds(event.progress):
            return
    pytest.fail("the job ended too soon")


def wait_for_notices(job, reason, number):
    """Follow a job until it has reported an event this number of times."""
    for event in messages(job):
        number -= event.WhichOneof("event") == "notice" and event.notice.reason == reason
        if not number:
            return
    pytest.fail("the job ended too soon")


def notices(job):
    """Return the reasons of all notices of a job that has ended."""
    return [event.notice.reason for event in messages(job) if event.WhichOneof("event") == "notice"]


def events_so_far(job):
    """Return the events up to the job's present step."""
    now = job.refresh().resource.progress.step
    events = []
    for event in messages(job):
        events.append(event)
        if event.WhichOneof("event") == "progress" and event.progress.step >= now:
            return events
    return events


def descendants(pid):
    """Return the processes below this one, except zombies."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry))
    below_pid, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        below_pid += below
        waiting += below
    return below_pid


def members(pid, roles=("coordinator", "parameter_server", "worker")):
    """Return the processes of jobs below this one, or those of some roles alone."""
    return [process for process in descendants(pid) if _role(process) in roles]


@contextmanager
def ending(pids):
    """Require that processes, which run now, have ended within 30 seconds after what is done inside."""
    descriptors = [os.pidfd_open(pid) for pid in pids]
    try:
        yield
        assert all(becomes_readable(descriptor, 30) for descriptor in descriptors), "a process outlives its parent"
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def kill_all(server):
    """Kill a service and wait until it and the processes of its jobs have ended."""
    with ending(members(server.pid)):
        server.kill()
        server.wait()


def _role(pid):
    """Return the role of a process of ours from its title; empty if it has none."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            name, _, title = file.read().strip("\0").partition(": ")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return title.split()[0] if name == "raydient" else ""


def becomes_readable(descriptor, seconds):
    """Return True if a descriptor becomes readable in time; that of a process does when the process ends."""
    return bool(select.select([descriptor], [], [], seconds)[0])
