"""A job is prepared on a thread beside the one that answers the service."""

import errno
import threading

import pytest

from raydient.server.training.reading import LONG_SECONDS, prepare_beside
from raydient.server.training.reports import Finished, Notice, Outcome
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.wire import control


class Beside:
    """A reader that reads until it is released, and a service that acts at each turn."""

    def __init__(self, tmp_path):
        self.data = tmp_path / "a.csv"
        self.data.write_bytes(bytes(1 << 20))
        self.orders, self.reports, self.now, self.turns = [], [], 0.0, []
        self.released = threading.Event()

    def prepare(self):
        self.released.wait()
        return "prepared"

    def answer(self, seconds):
        turn = self.turns.pop(0) if self.turns else self.released.set
        turn()

    def pass_time(self):
        self.now += LONG_SECONDS

    def run(self, prepare=None):
        return prepare_beside(
            prepare or self.prepare,
            self.data,
            answer=self.answer,
            orders=self.orders,
            report=self.reports.append,
            step=lambda: 120,
            clock=lambda: self.now,
        )


@pytest.fixture
def beside(tmp_path):
    made = Beside(tmp_path)
    yield made
    made.released.set()


def fail(error):
    def prepare():
        raise error

    return prepare


def test_the_service_is_answered_until_the_job_is_prepared(beside):
    scale = control.Scale(3, 1)
    beside.turns = [lambda: None, lambda: beside.orders.append(scale)]
    assert beside.run() == "prepared"
    assert (beside.turns, beside.orders, beside.reports) == ([], [scale], [])


def test_reading_that_takes_long_is_reported_once(beside):
    beside.turns = [beside.pass_time] * 5
    assert beside.run() == "prepared"
    assert beside.reports == [Notice("READING_DATA", "reading 1.0 MiB of data")]


@pytest.mark.parametrize(
    ("order", "outcome"),
    [(control.Order.CANCEL, Outcome.CANCELLED), (control.Order.PAUSE, Outcome.PAUSED)],
)
def test_an_order_to_stop_does_not_wait_for_the_reader(beside, order, outcome):
    beside.turns = [lambda: beside.orders.append(control.Command(order))]
    assert beside.run() == Finished(outcome, 120)
    assert not beside.released.is_set()


def test_data_that_changed_since_it_was_checked(beside):
    broken = InvalidSpec([FieldError("dataset.label", "gone"), FieldError("dataset.uri", "odd")])
    finished = beside.run(fail(broken))
    message = "dataset.label: gone; dataset.uri: odd"
    assert finished == Finished(Outcome.FAILED, 120, "", "INVALID_SPEC", message)


def test_too_little_memory_is_reported(beside):
    finished = beside.run(fail(MemoryError()))
    message = "reading a.csv takes more memory than the coordinator's machine has"
    assert finished == Finished(Outcome.FAILED, 120, "", "OUT_OF_MEMORY", message)


@pytest.mark.parametrize("path", [None, "/jobs/a/initial.safetensors"])
def test_a_full_disk_is_reported_without_its_path(beside, path):
    finished = beside.run(fail(OSError(errno.ENOSPC, "No space left on device", path)))
    name = "initial.safetensors" if path else "a.csv"
    message = f"the job could not be prepared: {name}: No space left on device"
    assert finished == Finished(Outcome.FAILED, 120, "", "STORAGE", message)


def test_data_that_is_gone_while_it_is_read_is_left_to_the_reader(beside):
    beside.data.unlink()
    beside.turns = [beside.pass_time, beside.pass_time]
    assert beside.run() == "prepared"
    assert beside.reports == [Notice("READING_DATA", "reading the data")]


def test_an_internal_error_is_raised(beside):
    with pytest.raises(ZeroDivisionError):
        beside.run(fail(ZeroDivisionError()))
