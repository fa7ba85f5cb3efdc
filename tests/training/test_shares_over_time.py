"""Plans follow the speed of workers, with hysteresis, in a clock that the test sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.training.plans import FEWEST_INTERVALS, IDLE_SECONDS, INTERVAL_SECONDS, PATIENCE, Plans
from raydient.wire.control import Computed, Plan

from .coordinating import plans, running_with, status

SOON = FEWEST_INTERVALS + PATIENCE - 1
"""Measurements after which shares change at the earliest."""

SECONDS = 0.25
"""Time from one measurement to the next; a binary fraction, so that sums of it are exact."""
assert SECONDS > INTERVAL_SECONDS


class Training:
    """Workers with the paces of the test, which compute the leaves of the plan in force."""

    def __init__(self, leaves, workers):
        self.leaves, self.now, self.step = leaves, 0.0, 0
        self.plans = Plans(leaves, lambda: self.now)
        self.totals = {}
        self.made = [self.plans.make(workers)]

    @property
    def shares(self):
        return dict(zip(self.made[-1].workers, self.made[-1].shares, strict=True))

    def steps(self, paces, times=1):
        """Let 10 steps pass, `times` times, each with a measurement."""
        for _ in range(times):
            self.now += SECONDS
            self.step += 10
            for worker, share in self.shares.items():
                count = 10 * round(self.leaves * share / sum(self.shares.values()))
                before = self.totals.get(worker, Computed(0, 0.0))
                self.totals[worker] = Computed(before.leaves + count, before.seconds + count * paces[worker])
            if self.plans.measured(self.step, dict(self.totals), sorted(paces)):
                self.made.append(self.plans.make(sorted(paces)))


EQUAL, SLOW = dict.fromkeys((1, 2, 3, 4), 0.01), {1: 0.01, 2: 0.01, 3: 0.04, 4: 0.01}


@pytest.fixture
def training():
    return Training(16, [1, 2, 3, 4])


def test_shares_follow_a_worker_that_slows_down_and_recovers(training):
    training.steps(EQUAL, 20)
    assert training.made == [Plan(1, [1, 2, 3, 4], [1.0] * 4)]
    training.steps(SLOW, SOON + 1)
    assert training.made[1:] == [Plan(2, [1, 3, 2, 4], [5, 1, 5, 5])]
    training.steps(SLOW, 200)
    assert len(training.made) == 2
    training.steps(EQUAL, SOON + 1)
    assert training.made[2:] == [Plan(3, [1, 2, 3, 4], [1.0] * 4)]


def test_a_short_disturbance_changes_nothing(training):
    for _ in range(10):
        training.steps(EQUAL, 8)
        training.steps(SLOW, PATIENCE - 1)
    assert len(training.made) == 1


def test_measurements_that_come_too_soon_are_one(training):
    training.steps(EQUAL)
    for _ in range(100):
        training.now += INTERVAL_SECONDS / 1000
        assert not training.plans.measured(1, {w: Computed(900, 90.0 * w) for w in EQUAL}, [1, 2, 3, 4])


@given(
    noise=st.lists(st.lists(st.floats(0.955, 1.045), min_size=4, max_size=4), min_size=30, max_size=60),
    slow=st.sampled_from([1.0, 4.0]),
    leaves=st.sampled_from([8, 16, 32]),
)
def test_noise_does_not_make_shares_flap(noise, slow, leaves):
    training = Training(leaves, [1, 2, 3, 4])
    for row in noise:
        factors = dict(enumerate(row, 1))
        training.steps({w: 0.01 * factor * (slow if w == 3 else 1) for w, factor in factors.items()})
    assert len(training.made) == (1 if slow == 1 else 2)


def test_a_worker_without_leaves_is_measured_again_now_and_then():
    training = Training(8, [1, 2, 3, 4])
    training.steps(SLOW, SOON)
    assert training.shares[3] < 0.001
    training.steps(SLOW, int(0.9 * IDLE_SECONDS / SECONDS))
    assert len(training.made) == 2
    training.steps(SLOW, int(0.1 * IDLE_SECONDS / SECONDS) + 2 * SOON)
    assert [plan.shares for plan in training.made[2:]] == [[1.0] * 4, training.made[1].shares]
    training.steps(EQUAL, int(IDLE_SECONDS / SECONDS) + 2 * SOON)
    assert training.shares == dict.fromkeys((1, 2, 3, 4), 1.0)


def test_a_plan_for_other_workers_keeps_what_is_measured(training):
    training.steps(SLOW, SOON)
    five = training.plans.make([1, 2, 3, 4, 5])
    assert dict(zip(five.workers, five.shares, strict=True)) == {1: 4, 2: 4, 3: 1, 4: 4, 5: 3}
    training.plans.restart()
    assert training.plans.make([1, 2, 3]).shares == [1.0] * 3


def test_the_coordinator_sends_a_plan_with_the_new_shares(make_coordinator, clock):
    coordinator = running_with(make_coordinator(2, 1))
    sent = []
    for number in range(1, 2 * SOON):
        clock.now += SECONDS
        work = {1: Computed(20 * number, 1.0 * number), 2: Computed(20 * number, 3.0 * number)}
        sent += plans(coordinator.status(status(number, computed=work)))
    assert sent == [Plan(2, [1, 2], [3, 1])], "worker 2 has a third of the speed of worker 1"
