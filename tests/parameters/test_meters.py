"""The meters of a parameter server, with a clock that the test sets."""

import pytest

from raydient.server.parameters.meters import Meters, staleness_of
from raydient.steps.measurements import STALENESS_BUCKETS, STEP_SECONDS_BUCKETS, Measurements


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meters(clock):
    return Meters(clock)


def read(meters):
    return meters.read(0.5, 0.1, None)


def test_buckets_are_cumulative_and_end_with_all(meters, clock):
    meters.stepped(0.0)
    for seconds in (0.001, 0.0009, 0.02, 59.0, 61.0):
        clock.now = round(clock.now + seconds, 6)
        meters.stepped(0.0)

    measured = read(meters)
    counts = measured.step_seconds_buckets

    assert len(counts) == len(STEP_SECONDS_BUCKETS) + 1
    assert list(counts) == sorted(counts)
    assert counts[STEP_SECONDS_BUCKETS.index(0.0025)] == 2
    assert counts[STEP_SECONDS_BUCKETS.index(0.01)] == 2
    assert counts[STEP_SECONDS_BUCKETS.index(0.025)] == 3
    assert counts[STEP_SECONDS_BUCKETS.index(60.0)] == 4
    assert counts[-1] == 5
    assert measured.step_seconds_sum == pytest.approx(120.0219)


def test_a_step_that_takes_exactly_a_bound_is_within_it(meters, clock):
    meters.stepped(0.0)
    clock.now += 0.25
    meters.stepped(0.0)

    counts = read(meters).step_seconds_buckets
    assert counts[STEP_SECONDS_BUCKETS.index(0.1)] == 0
    assert counts[STEP_SECONDS_BUCKETS.index(0.25)] == 1


def test_the_first_step_has_no_duration(meters):
    meters.stepped(0.5)

    assert not any(read(meters).step_seconds_buckets)
    assert read(meters).step_seconds_sum == 0.0


def test_phases_and_bytes_add_up(meters):
    meters.pushed([0.25, 1.0, 2.0, 0.5, 4.0], 100)
    meters.pushed([0.5, 0.5, 0.5, 0.5, 0.5], 11)
    meters.pulled(70)
    meters.stepped(0.125)

    measured = read(meters)
    expected = {"data": 0.75, "forward": 1.5, "backward": 2.5, "push": 1.0, "wait": 4.5, "apply": 0.125}
    assert measured.phase_seconds == expected
    assert measured.exchange_bytes == {"push": 111, "pull": 70}


def test_measurements_do_not_change_after_they_were_read(meters):
    before = read(meters)
    meters.pushed([0.25, 1.0, 2.0, 0.5, 4.0], 100)
    meters.stepped(0.125)

    assert before == Measurements(
        0.5, 0.1, dict.fromkeys(before.phase_seconds, 0.0), (0,) * 15, 0.0, {"push": 0, "pull": 0}
    )
    assert read(meters) != before


def test_staleness_is_a_cumulative_histogram():
    measured = staleness_of({0: 5, 2: 3, 3: 1, 1024: 1, 1025: 2})
    at_most = dict(zip((*STALENESS_BUCKETS, None), measured.buckets, strict=True))
    assert (at_most[0], at_most[1], at_most[2], at_most[4], at_most[512]) == (5, 5, 8, 9, 9)
    assert (at_most[1024], at_most[None]) == (10, 12)
    assert measured.sum == 2 * 3 + 3 + 1024 + 2 * 1025


def test_without_gradients_there_is_no_staleness():
    assert staleness_of({}) is None
