"""A coordinator that has stopped answering is detected, with times from the test."""

import pytest

from raydient.server.training.liveness import LOOK_SECONDS, ORDER_SECONDS, SILENT_SECONDS, START_SECONDS, Liveness


class Coordinator:
    def __init__(self):
        self.now = 1000.0
        self.liveness = Liveness(lambda: self.now)

    def silent_for(self, seconds):
        """Return True if it counts as stopped after this number of seconds without an answer."""
        stopped = False
        for _ in range(int(seconds / LOOK_SECONDS)):
            self.now += LOOK_SECONDS
            stopped = self.liveness.look()
        return stopped


@pytest.fixture
def coordinator():
    return Coordinator()


def test_a_starting_coordinator_has_more_time(coordinator):
    assert not coordinator.silent_for(START_SECONDS)
    assert coordinator.silent_for(LOOK_SECONDS)


def test_a_coordinator_of_an_earlier_service_has_started():
    coordinator = Coordinator()
    coordinator.liveness = Liveness(lambda: coordinator.now, started=True)
    assert coordinator.silent_for(SILENT_SECONDS + LOOK_SECONDS)


def test_one_that_has_started_but_answered_nothing_yet_has_the_usual_time(coordinator):
    assert not coordinator.silent_for(START_SECONDS / 2)
    coordinator.liveness.started()
    assert not coordinator.silent_for(SILENT_SECONDS)
    assert coordinator.silent_for(LOOK_SECONDS)


def test_a_coordinator_that_stops_answering_is_stopped(coordinator):
    coordinator.liveness.answered()
    assert not coordinator.silent_for(SILENT_SECONDS)
    assert coordinator.silent_for(LOOK_SECONDS)
    assert coordinator.liveness.silence == SILENT_SECONDS + LOOK_SECONDS


def test_an_answer_begins_the_time_anew(coordinator):
    for _ in range(3):
        coordinator.liveness.answered()
        assert not coordinator.silent_for(SILENT_SECONDS)


def test_an_order_is_not_kept_waiting(coordinator):
    coordinator.liveness.answered()
    coordinator.liveness.order()
    assert not coordinator.silent_for(ORDER_SECONDS)
    assert coordinator.silent_for(LOOK_SECONDS)


def test_an_order_that_was_followed_by_an_answer_is_heard(coordinator):
    coordinator.liveness.answered()
    coordinator.liveness.order()
    coordinator.liveness.answered()
    assert not coordinator.silent_for(SILENT_SECONDS)


def test_an_order_to_one_that_starts_waits_for_the_start(coordinator):
    coordinator.liveness.order()
    assert not coordinator.silent_for(START_SECONDS)


def test_time_in_which_the_service_stood_still_does_not_count(coordinator):
    coordinator.liveness.answered()
    coordinator.now += 3600.0
    assert not coordinator.liveness.look()
    assert not coordinator.silent_for(SILENT_SECONDS - 2 * LOOK_SECONDS)
    assert coordinator.silent_for(LOOK_SECONDS)
