from hypothesis import given
from hypothesis import strategies as st

from raydient.server.jobs.scheduler import Scheduler


def filled(*workers):
    scheduler = Scheduler()
    for number, wanted in enumerate(workers, 1):
        scheduler.enqueue(f"job{number}", number, wanted)
    return scheduler


def test_the_oldest_start_first_as_long_as_there_is_room():
    scheduler = filled(2, 1, 2)
    assert scheduler.take(4) == ["job1", "job2"]
    assert scheduler.take(4) == []
    scheduler.release("job2")
    assert scheduler.take(4) == ["job3"]


def test_a_small_job_does_not_overtake_a_big_one():
    scheduler = filled(3, 2, 1)
    assert scheduler.take(4) == ["job1"]
    assert scheduler.positions() == {"job2": 1, "job3": 2}


def test_a_job_that_the_cluster_cannot_hold_holds_nobody_up():
    scheduler = filled(8, 1)
    assert scheduler.take(4) == ["job2"]
    scheduler.release("job2")
    assert scheduler.take(8) == ["job1"]


def test_an_interrupted_job_comes_back_to_its_old_place():
    scheduler = filled(4, 4)
    assert scheduler.take(4) == ["job1"]
    scheduler.enqueue("job3", 3, 4)
    scheduler.release("job1")
    scheduler.enqueue("job1", 1, 4)
    assert scheduler.positions() == {"job1": 1, "job2": 2, "job3": 3}


def test_a_withdrawn_head_lets_the_next_one_through():
    scheduler = filled(3, 3, 1)
    scheduler.take(4)
    scheduler.withdraw("job2")
    scheduler.withdraw("job2")
    assert scheduler.take(4) == ["job3"]


def test_runs_found_at_the_start_hold_their_slots():
    scheduler = filled(2)
    scheduler.occupy("old", 3)
    assert not scheduler.idle
    assert scheduler.take(4) == []
    scheduler.release("old")
    assert scheduler.idle
    assert scheduler.take(4) == ["job1"]


def test_nothing_starts_after_closing():
    scheduler = filled(1)
    scheduler.close()
    assert scheduler.take(4) == []
    assert scheduler.waiting == 1


class Naive:
    """Says the rule again, in the plainest words."""

    def __init__(self):
        self.waiting, self.held = {}, {}

    def take(self, slots):
        taken = []
        for number in sorted(self.waiting):
            workers = self.waiting[number]
            if workers > slots:
                continue
            if workers + sum(self.held.values()) > slots:
                break
            self.held[number] = self.waiting.pop(number)
            taken.append(str(number))
        return taken


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 6)),
            st.tuples(st.just("take"), st.integers(0, 8)),
            st.tuples(st.sampled_from(["end", "interrupt", "withdraw"]), st.integers(0, 5)),
        ),
        max_size=60,
    )
)
def test_agrees_with_a_naive_twin_and_never_gives_more_than_there_is(happenings):
    scheduler, naive, count = Scheduler(), Naive(), 0
    for what, number in happenings:
        held, waiting = sorted(naive.held), sorted(naive.waiting)
        if what == "add":
            count += 1
            scheduler.enqueue(str(count), count, number)
            naive.waiting[count] = number
        elif what == "take":
            before = sum(naive.held.values())
            assert scheduler.take(number) == naive.take(number)
            assert sum(naive.held.values()) <= max(before, number)
        elif what == "withdraw" and waiting:
            gone = waiting[number % len(waiting)]
            scheduler.withdraw(str(gone))
            del naive.waiting[gone]
        elif what in ("end", "interrupt") and held:
            ended = held[number % len(held)]
            workers = naive.held.pop(ended)
            scheduler.release(str(ended))
            if what == "interrupt":
                scheduler.enqueue(str(ended), ended, workers)
                naive.waiting[ended] = workers
        assert scheduler.positions() == {str(n): place for place, n in enumerate(sorted(naive.waiting), 1)}
        assert scheduler.idle == (not naive.held)
