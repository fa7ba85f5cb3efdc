from hypothesis import given
from hypothesis import strategies as st

from raydient.server.jobs.scheduler import Scheduler
from raydient.spec.job import WorkerRange

exactly = WorkerRange.of


def filled(*workers):
    """A scheduler with waiting jobs, for a number or a range of workers each."""
    scheduler = Scheduler()
    for number, wanted in enumerate(workers, 1):
        scheduler.enqueue(
            f"job{number}",
            number,
            exactly(wanted) if isinstance(wanted, int) else WorkerRange(min=wanted[0], max=wanted[1]),
        )
    return scheduler


def positions(scheduler, *jobs):
    return [scheduler.position(job) for job in jobs]


def started(scheduler, slots):
    return [job for job, _ in scheduler.take(slots)]


def test_the_oldest_jobs_start_first_while_slots_are_free():
    scheduler = filled(2, 1, 2)
    assert started(scheduler, 4) == ["job1", "job2"]
    assert started(scheduler, 4) == []
    scheduler.release("job2")
    assert started(scheduler, 4) == ["job3"]


def test_a_small_job_does_not_overtake_a_big_one():
    scheduler = filled(3, 2, 1)
    assert started(scheduler, 4) == ["job1"]
    assert positions(scheduler, "job1", "job2", "job3") == [0, 1, 2]


def test_a_job_too_large_for_the_cluster_is_skipped():
    scheduler = filled(8, 1)
    assert started(scheduler, 4) == ["job2"]
    scheduler.release("job2")
    assert started(scheduler, 8) == ["job1"]


def test_a_paused_job_returns_to_its_place_in_the_queue():
    scheduler = filled(4, 4)
    assert started(scheduler, 4) == ["job1"]
    scheduler.enqueue("job3", 3, exactly(4))
    scheduler.release("job1")
    scheduler.enqueue("job1", 1, exactly(4))
    assert positions(scheduler, "job1", "job2", "job3") == [1, 2, 3]


def test_withdrawing_the_oldest_job_lets_the_next_one_start():
    scheduler = filled(3, 3, 1)
    scheduler.take(4)
    scheduler.withdraw("job2")
    scheduler.withdraw("job2")
    assert started(scheduler, 4) == ["job3"]


def test_running_jobs_of_an_earlier_server_hold_their_slots():
    scheduler = filled(2)
    scheduler.occupy("old", 0, exactly(3), 3)
    assert not scheduler.idle
    assert started(scheduler, 4) == []
    scheduler.release("old")
    assert scheduler.idle
    assert started(scheduler, 4) == ["job1"]


def test_nothing_starts_after_closing():
    scheduler = filled(1)
    scheduler.close()
    assert started(scheduler, 4) == []
    assert scheduler.waiting == 1


def test_a_job_starts_with_the_free_slots_and_grows_when_no_job_waits():
    scheduler = filled((1, 3), 2, (2, 9))
    assert scheduler.take(4) == [("job1", 3)]
    assert scheduler.grow(4) == [], "job2 waits"
    scheduler.release("job1")
    assert scheduler.take(4) == [("job2", 2), ("job3", 2)]
    scheduler.release("job2")
    assert scheduler.grow(4) == [("job3", 4)]
    assert scheduler.grow(6) == [("job3", 6)], "the cluster has grown"
    assert scheduler.grow(2) == [], "it does not take anything away"


def test_scaling_down_frees_slots_at_once():
    scheduler = filled(4, 3)
    scheduler.take(4)
    scheduler.resize("job1", exactly(1))
    assert scheduler.allotment("job1").slots == 1
    assert scheduler.take(4) == [("job2", 3)]


def test_scaling_up_waits_for_free_slots():
    scheduler = filled(1, 3)
    scheduler.take(4)
    scheduler.resize("job1", WorkerRange(min=1, max=3))
    assert scheduler.grow(4) == []
    scheduler.release("job2")
    assert scheduler.grow(4) == [("job1", 3)]


def test_scaling_down_does_not_free_reserved_slots():
    scheduler = Scheduler(reserves=True)
    scheduler.enqueue("job1", 1, exactly(3))
    scheduler.enqueue("job2", 2, exactly(2))
    assert scheduler.take(4) == [("job1", 3)]
    scheduler.resize("job1", exactly(1))
    assert (scheduler.allotment("job1").slots, scheduler.held) == (1, 3)
    assert scheduler.take(4) == []
    scheduler.withdraw("job2")
    scheduler.resize("job1", WorkerRange(min=1, max=4))
    assert scheduler.grow(4) == [("job1", 4)], "its own reservation is free for it"


class Naive:
    """The rules of the scheduler, written naively."""

    def __init__(self, reserves):
        self.reserves, self.reserved = reserves, {}
        self.waiting, self.held = {}, {}  # number to (least, most), and to (slots, least, most)

    def free(self, slots, but=None):
        taken = {n: max(have, self.reserved[n] if n != but else 0) for n, (have, _, _) in self.held.items()}
        return slots - sum(taken.values())

    def take(self, slots):
        taken = []
        for number in sorted(self.waiting):
            least, most = self.waiting[number]
            if least > slots:
                continue
            if least > self.free(slots):
                break
            have = min(most, self.free(slots))
            del self.waiting[number]
            self.held[number] = have, least, most
            self.reserved[number] = least if self.reserves else 0
            taken.append((str(number), have))
        return taken

    def grow(self, slots):
        grown = []
        if any(least <= slots for least, _ in self.waiting.values()):
            return grown
        for number in sorted(self.held):
            have, least, most = self.held[number]
            while have < most and self.free(slots, but=number) > 0:
                have += 1
                self.held[number] = have, least, most
                if (str(number), have - 1) in grown:
                    grown.remove((str(number), have - 1))
                grown.append((str(number), have))
        return grown


ranges = st.tuples(st.integers(1, 6), st.integers(1, 6)).map(sorted).map(tuple)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.just(0), ranges),
            st.tuples(st.just("take"), st.integers(0, 8), ranges),
            st.tuples(st.sampled_from(["end", "pause", "withdraw", "resize"]), st.integers(0, 5), ranges),
        ),
        max_size=60,
    ),
    st.booleans(),
)
def test_agrees_with_a_naive_twin_and_never_exceeds_the_cluster(happenings, reserves):
    scheduler, naive, count = Scheduler(reserves=reserves), Naive(reserves), 0
    for what, number, (least, most) in happenings:
        held, waiting = sorted(naive.held), sorted(naive.waiting)
        workers = WorkerRange(min=least, max=most)
        if what == "add":
            count += 1
            scheduler.enqueue(str(count), count, workers)
            naive.waiting[count] = least, most
        elif what == "take":
            before = scheduler.held
            assert scheduler.take(number) == naive.take(number)
            assert scheduler.grow(number) == naive.grow(number)
            assert scheduler.held <= max(before, number)
        elif what == "withdraw" and waiting:
            gone = waiting[number % len(waiting)]
            scheduler.withdraw(str(gone))
            del naive.waiting[gone]
        elif what == "resize" and held + waiting:
            job = (held + waiting)[number % len(held + waiting)]
            scheduler.resize(str(job), workers)
            if job in naive.held:
                naive.held[job] = min(naive.held[job][0], most), least, most
            else:
                naive.waiting[job] = least, most
        elif what in ("end", "pause") and held:
            ended = held[number % len(held)]
            _, *had = naive.held.pop(ended)
            scheduler.release(str(ended))
            if what == "pause":
                scheduler.enqueue(str(ended), ended, WorkerRange(min=had[0], max=had[1]))
                naive.waiting[ended] = tuple(had)
        places = {n: place for place, n in enumerate(sorted(naive.waiting), 1)}
        for n in range(count + 2):
            assert scheduler.position(str(n)) == places.get(n, 0)
        assert scheduler.waiting == len(places)
        assert scheduler.idle == (not naive.held)
