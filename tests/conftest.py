"""Fixtures that tests of several rooms share."""

import os
import queue
import re
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy  # noqa: F401  (whose BLAS is limited below)
import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

from raydient.server.training.reports import EpochEnded, Finished, NumberedReport, Outcome, Started
from raydient.spec.validation import validate_job

from .rays import Rays
from .waiting import eventually

# Durations say nothing on a machine that does other things too, and a test leaves no file behind.
settings.register_profile("raydient", deadline=None, database=None)
settings.load_profile("raydient")

# As in every process of a job: tests play members, and more threads compute other bits.
threadpool_limits(1, "blas")

LONG = ("benchmarks", "end_to_end")
"""Folders of tests that take seconds each."""
OUR_THREADS = ("run", "update")
"""How names of threads begin that a test must not leave behind."""


def _children(process="self"):
    """Process ids of a process's children, of those too that have ended and were not waited for."""
    children = set()
    with suppress(FileNotFoundError, ProcessLookupError):  # a process or a thread that ended meanwhile
        for task in Path(f"/proc/{process}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                children.update((task / "children").read_text().split())
    return children


def _left(children):
    """Return the children that are new, and those of fork servers, which stay until this process ends."""
    left = set()
    for child in _children() - children:
        with suppress(FileNotFoundError):
            serves = re.search(rb"fork.server", Path(f"/proc/{child}/cmdline").read_bytes())
            left |= _children(child) if serves else {child}
    return left


def _no_ray(*arguments, **options):
    raise AssertionError("only tests marked `ray` start it")


@pytest.fixture(scope="session", autouse=True)
def _no_cache():
    """Keep no prepared data sets in the user's folder, here and in processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYDIENT_CACHE_GIB", "0")
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Return the number of processes for `-n auto`: one more than cores, because tests wait for other processes."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items):
    """Put files with long tests first, so that in the end no process waits for another with many of them."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


def pytest_collection_finish():
    """Refuse a test file that imports Ray, because Ray then reads its variables before a cluster has set them."""
    if "ray" in sys.modules:
        raise pytest.UsageError("a test file imports ray; import it in a fixture or in a test marked `ray`")


@pytest.fixture(autouse=True)
def _a_test_of_its_own(request):
    """Keep unmarked tests from starting Ray; no test joins one or leaves a process or a thread of ours behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        starts_ray = request.node.get_closest_marker("ray") is not None
        if not starts_ray and "ray" in sys.modules:
            patch.setattr("ray.init", _no_ray)
        elif not starts_ray:
            patch.setitem(sys.modules, "ray", None)  # importing it is an error
        children, threads = _children(), set(threading.enumerate())
        sigterm = signal.getsignal(signal.SIGTERM)
        yield
        signal.signal(signal.SIGTERM, sigterm)  # nodes that a test starts replace it
        left = [t for t in threading.enumerate() if t not in threads and t.name.startswith(OUR_THREADS)]
        for thread in left:
            thread.join(10)
        assert not [thread.name for thread in left if thread.is_alive()]
        assert starts_ray or eventually(lambda: not _left(children), 10)


@pytest.fixture(scope="session")
def rays():
    """Rays for the tests that ask, ended with the last test."""
    with closing(Rays()) as opened:
        yield opened


@pytest.fixture
def ray_cluster(rays):
    """A Ray of the tests' own, as `--cluster ray` starts it."""
    return rays.own()


@pytest.fixture
def ray_nodes(rays):
    """A Ray of several nodes, of which there is the first; those that a test adds are gone after it."""
    nodes = rays.nodes()
    yield nodes
    nodes.remove_all()


@pytest.fixture
def open_descriptors():
    """Counts the descriptors that this process has open."""
    return lambda: len(os.listdir("/proc/self/fd"))


class FakeRun:
    """A run that does what the test says, on a thread of its own as RunListener demands."""

    def __init__(self, runner, request, listener, attachment, after=0):
        self.runner = runner
        self.request = request
        self.attachment = attachment
        self.listener = listener
        self._number = after
        self._ended = False
        self._thread = ThreadPoolExecutor(1)

    def say(self, *reports):
        """Deliver reports; returns when they were taken."""
        for report in reports:
            self._ended = isinstance(report, Finished)
            self._thread.submit(self.listener.report, [self._numbered(report)]).result()

    def say_together(self, *reports):
        """Deliver reports in one batch; returns when they were taken."""
        self._ended = any(isinstance(report, Finished) for report in reports)
        self._thread.submit(self.listener.report, [self._numbered(report) for report in reports]).result()

    def repeat(self, number, report):
        """Deliver a report under a number of the past."""
        self._thread.submit(self.listener.report, [NumberedReport(number, report)]).result()

    def _numbered(self, report):
        if isinstance(report, EpochEnded):
            return NumberedReport(0, report)
        self._number += 1
        return NumberedReport(self._number, report)

    def begin(self):
        self.say(Started(step=0, workers=self.request.workers))

    def succeed(self, digest="d" * 64, step=10):
        self.say(Finished(Outcome.SUCCEEDED, step=step, digest=digest))

    def vanish(self, reason="it was killed"):
        self._ended = True
        self._thread.submit(self.listener.lost, reason).result()

    def cancel(self):
        self.runner.calls.append(("cancel", self.request.job))
        self._stop(Outcome.CANCELLED)

    def pause(self):
        self.runner.calls.append(("pause", self.request.job))
        self._stop(Outcome.PAUSED)

    def scale(self, workers, minimum):
        self.runner.calls.append(("scale", self.request.job, workers, minimum))

    def amend(self, amendment):
        self.runner.calls.append(("amend", self.request.job, amendment))

    def _stop(self, outcome):
        if self.runner.obedient and not self._ended:
            self._ended = True
            self._thread.submit(self.listener.report, [self._numbered(Finished(outcome, step=1))])

    def detach(self):
        self.runner.calls.append(("detach", self.request.job))
        self.join(0)

    def join(self, timeout_seconds):
        self._thread.shutdown(wait=True)
        return True


class FakeRunner:
    """A cluster on which nothing runs. `runs` holds the runs that were started, in order, for the test to play."""

    def __init__(self, slots=4, obedient=True, detaches=False):
        self.slots, self.reserves, self.detaches = slots, False, detaches
        self.obedient = obedient
        self.runs = queue.Queue()
        self.alive = set()
        self.calls = []
        self._count = 0

    def start(self, request, listener):
        self._count += 1
        self.calls.append(("start", request.job))
        return self.make_run(request, listener, f"run-{self._count}")

    def attach(self, request, attachment, after, listener):
        self.calls.append(("attach", request.job))
        return self.make_run(request, listener, attachment, after) if attachment in self.alive else None

    def close(self):
        self.calls.append(("close", ""))

    def next(self):
        """The next run that was started; waits for it."""
        return self.runs.get(timeout=20)

    def make_run(self, *arguments):
        run = FakeRun(self, *arguments)
        self.runs.put(run)
        return run


@pytest.fixture
def fake_runner():
    """The class of a cluster on which nothing runs."""
    return FakeRunner


@pytest.fixture
def make_spec():
    """Builds the specification of a small job; keywords replace parts."""

    def make(uri="datasets/none", **parts):
        network = {"layers": [{"dense": {"units": 3}}], "loss": "softmax_cross_entropy"}
        return validate_job({"dataset": {"uri": uri}, "network": network, **parts})

    return make
