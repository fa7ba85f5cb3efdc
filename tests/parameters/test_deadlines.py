"""Overdue workers, with times from the test."""

import pytest

from raydient.server.parameters.deadlines import FIRST_SECONDS, LEAST_SECONDS, LOOK_SECONDS, TIMES, deadlines_of
from raydient.spec.consistency import SYNCHRONOUS, Consistency
from raydient.steps.schedule import Schedule

SCHEDULE = Schedule(train_rows=100, test_rows=1000, epochs=9, batch_size=40, microbatches=8)
EVALUATION = SCHEDULE.steps_per_epoch
ASYNCHRONOUS, BOUNDED = (Consistency.model_validate(model) for model in ("asynchronous", "bounded_staleness"))


class Rounds:
    """Plays rounds whose leaves are divided evenly. Time passes only here; `overdue` is called as often as in use."""

    def __init__(self, consistency=SYNCHRONOUS):
        self.now = 1000.0
        self.deadlines = deadlines_of(consistency)
        self.deadlines.overdue({}, self.now)
        self.number = 0

    def complete(self, seconds, workers=(1, 2), number=0):
        self.open(workers, number)
        assert self.look_for(seconds, {}) == {}
        for worker in workers:
            self.deadlines.pushed(worker, self.now)
        self.deadlines.completed(self.now)

    def open(self, workers=(1, 2), number=0):
        self.round = SCHEDULE.round(number)
        leaves = self.round.leaves // len(workers)
        for worker in workers:
            self.deadlines.assigned(worker, self.round, leaves, self.now)

    def look_for(self, seconds, owing):
        """Return the first overdue workers within `seconds`, while `owing` stays the same."""
        end, overdue = self.now + seconds, {}
        while self.now < end and not overdue:
            self.now = min(end, self.now + LOOK_SECONDS)
            overdue = self.deadlines.overdue(owing, self.now)
        return overdue


@pytest.fixture
def rounds():
    return Rounds()


def test_a_worker_is_overdue_after_the_least_time_when_rounds_are_short(rounds):
    rounds.complete(0.125)
    rounds.open()
    assert rounds.look_for(LEAST_SECONDS, {2: 4}) == {}
    assert rounds.look_for(LOOK_SECONDS, {2: 4}) == {2: LEAST_SECONDS + LOOK_SECONDS}


def test_long_rounds_have_a_long_deadline(rounds):
    for _ in range(3):
        rounds.complete(3.0)
    rounds.open()
    assert rounds.look_for(TIMES * 3.0, {2: 4}) == {}
    assert 2 in rounds.look_for(LOOK_SECONDS, {2: 4})


def test_the_median_follows_workers_that_all_become_slower(rounds):
    seconds = 1.0
    for _ in range(40):
        rounds.complete(seconds)
        seconds *= 1.2
    assert seconds > 1000


def test_a_push_begins_the_time_anew(rounds):
    rounds.complete(0.125)
    rounds.open()
    for _ in range(4):
        assert rounds.look_for(LEAST_SECONDS, {2: 4}) == {}
        rounds.deadlines.pushed(2, rounds.now)


def test_a_worker_that_owes_nothing_is_not_overdue(rounds):
    rounds.complete(0.125)
    rounds.open()
    assert rounds.look_for(100.0, {}) == {}


def test_leaves_handed_out_later_have_the_whole_time(rounds):
    rounds.complete(0.125)
    rounds.open()
    assert rounds.look_for(100.0, {2: 4}).keys() == {2}
    rounds.deadlines.assigned(1, rounds.round, 4, rounds.now)
    assert rounds.look_for(LEAST_SECONDS, {1: 4}) == {}
    assert rounds.look_for(LOOK_SECONDS, {1: 4}).keys() == {1}


def test_the_first_round_of_all_has_a_generous_deadline(rounds):
    rounds.open()
    assert rounds.look_for(FIRST_SECONDS, {1: 4, 2: 4}) == {}
    assert rounds.look_for(LOOK_SECONDS, {1: 4}).keys() == {1}


@pytest.mark.parametrize("number", [2, EVALUATION], ids=["last batch", "evaluation"])
def test_the_first_round_of_another_shape_has_a_generous_deadline(rounds, number):
    rounds.complete(0.125)
    rounds.open(number=number)
    assert rounds.look_for(FIRST_SECONDS, {2: 1}) == {}


def test_a_first_evaluation_of_many_rows_may_take_as_much_longer(rounds):
    for _ in range(3):
        rounds.complete(100.0)
    rounds.open(number=EVALUATION)
    assert rounds.look_for(TIMES * 100.0 * 1000 / 40, {2: 1}) == {}


def test_a_replacement_has_a_generous_deadline_in_its_first_round(rounds):
    rounds.complete(0.125)
    rounds.open((1, 3))
    assert rounds.look_for(100.0, {3: 4}) == {}
    assert rounds.look_for(100.0, {1: 4}).keys() == {1}


def test_a_worker_that_does_something_else_first_has_a_generous_deadline_for_one_round(rounds):
    rounds.complete(0.125)
    rounds.deadlines.interrupted([2])
    rounds.open()
    assert rounds.look_for(100.0, {2: 4}) == {}
    assert rounds.look_for(100.0, {1: 4}).keys() == {1}
    rounds.complete(0.125)
    rounds.open()
    assert rounds.look_for(100.0, {2: 4}).keys() == {2}


def test_fewer_workers_have_as_much_more_time(rounds):
    workers = range(1, 9)
    for _ in range(3):
        rounds.complete(1.0, workers)
    rounds.open([1])
    assert rounds.look_for(TIMES * 8 * 1.0, {1: 8}) == {}
    assert rounds.look_for(LOOK_SECONDS, {1: 8}).keys() == {1}


def test_time_in_which_the_parameter_server_stood_still_counts_for_no_worker(rounds):
    rounds.complete(0.125)
    rounds.open()
    assert rounds.look_for(2.0, {1: 4, 2: 4}) == {}
    rounds.now += 3600.0
    assert rounds.look_for(1.0, {1: 4, 2: 4}) == {}
    assert rounds.look_for(LEAST_SECONDS, {1: 4, 2: 4}).keys() == {1, 2}


def test_where_workers_do_not_wait_for_each_other_the_time_of_their_own_leaves_counts():
    rounds = Rounds(ASYNCHRONOUS)
    for _ in range(3):
        rounds.complete(3.0)  # four leaves each
    rounds.open((1,))
    assert rounds.look_for(TIMES * 2 * 3.0, {1: 8}) == {}
    assert rounds.look_for(LOOK_SECONDS, {1: 8}).keys() == {1}


@pytest.mark.parametrize("consistency", [SYNCHRONOUS, ASYNCHRONOUS], ids=["synchronous", "asynchronous"])
def test_an_amendment_that_keeps_the_kind_of_consistency_keeps_the_paces_of_workers(consistency):
    rounds = Rounds(consistency)
    rounds.complete(0.125)
    rounds.open()
    after = BOUNDED if consistency.is_stale else SYNCHRONOUS
    rounds.deadlines = deadlines_of(after, rounds.deadlines)
    assert rounds.look_for(LEAST_SECONDS, {2: 4}) == {}
    assert rounds.look_for(LOOK_SECONDS, {2: 4}).keys() == {2}


def test_other_deadlines_know_no_paces():
    rounds = Rounds()
    rounds.complete(0.125)
    rounds.deadlines = deadlines_of(ASYNCHRONOUS, rounds.deadlines)
    rounds.open()
    assert rounds.look_for(FIRST_SECONDS, {2: 4}) == {}
