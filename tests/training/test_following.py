"""Following a coordinator: every failure is reported to the listener as a loss."""

import queue
import threading
from contextlib import closing

import pytest

from raydient.server.training import liveness, watch
from raydient.server.training.address import Address
from raydient.server.training.reports import EpochEnded, Notice, NumberedReport, WentBack, to_json
from raydient.server.training.runs import Run, have_after
from raydient.wire import control
from raydient.wire.endpoint import new_unix_name
from raydient.wire.handshake import new_secret
from raydient.wire.hub import Hub
from raydient.wire.network import Closed


class Coordinator:
    """Listens, and sends `answer` to every message, on a thread of its own until the run has ended."""

    def __init__(self, answer=None):
        self.unix, self.secret = new_unix_name(), new_secret()
        self._hub, self._answer = Hub(self.secret, 1 << 20), answer
        self._hub.listen("", self.unix)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        with closing(self._hub):
            while not self._over.is_set():
                for connection, frame in self._hub.poll(0.01):
                    if self._answer is not None and not isinstance(frame, Closed):
                        control.send(connection, self._answer)

    def close(self):
        self._over.set()
        self._thread.join()


class Listener:
    def __init__(self):
        self.lost_for = queue.Queue()

    def report(self, reports):
        raise ZeroDivisionError

    def lost(self, reason):
        self.lost_for.put(reason)


class Process:
    """The process of a coordinator on a cluster that has trouble at first."""

    def __init__(self):
        self.killed, self._asked = False, 0

    def ended(self):
        self._asked += 1
        if self._asked == 1:
            raise RuntimeError("the cluster does not answer")

    def kill(self):
        self.killed = True


@pytest.fixture
def follow(tmp_path):
    """Return a function that follows a coordinator with a failing listener and returns the listener."""
    runs = []

    def follow(unix, secret, process=None):
        listener = Listener()
        address, network = Address(unix, secret), Hub(secret, 1 << 20)
        have = control.Follow(0, 0)
        runs.append(Run(address, network, have, directory=tmp_path, listener=listener, process=process))
        return listener

    yield follow
    for run in runs:
        assert run.join(20)


def test_a_follower_counts_no_epoch_that_is_computed_again():
    seven, eight, ten = (EpochEnded(number, number, 0.5, {}) for number in (7, 8, 10))
    have = control.Follow(4, 9)
    for numbered in (NumberedReport(0, ten), NumberedReport(5, WentBack(seven)), NumberedReport(0, eight)):
        have = have_after(have, numbered)
    assert have == control.Follow(5, 8)


def test_a_cluster_that_fails_is_a_loss(follow):
    process = Process()
    listener = follow(new_unix_name(), new_secret(), process)
    assert listener.lost_for.get(timeout=20) == "it could not be followed any more: RuntimeError"
    assert process.killed


def test_a_listener_that_fails_is_a_loss(follow):
    reports = control.Reports([control.Numbered(1, to_json(Notice("R", "m")))], last=False)
    with closing(Coordinator(reports)) as coordinator:
        listener = follow(coordinator.unix, coordinator.secret)
        assert listener.lost_for.get(timeout=20) == "it could not be followed any more: ZeroDivisionError"


def test_a_coordinator_that_is_stopped_and_cannot_be_ended_is_lost(follow, monkeypatch):
    for module in (liveness, watch):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 0.05)
    with closing(Coordinator()) as coordinator:
        listener = follow(coordinator.unix, coordinator.secret)
        assert listener.lost_for.get(timeout=20).startswith("the coordinator was stopped: no answer for ")
