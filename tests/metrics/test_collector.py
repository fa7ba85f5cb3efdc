"""The collector: counts of jobs, waits in the queue, and series that appear and vanish with their job."""

import math
from dataclasses import replace
from datetime import timedelta
from random import Random

from raydient.server.jobs.records import Job, StateChanged
from raydient.server.jobs.states import State
from raydient.server.metrics import LINGER_SECONDS
from raydient.server.metrics.series import PEAK_SECONDS
from raydient.server.training.reports import EpochEnded, Notice

from .scraped import NOW, SPEC, progress


def test_the_initial_loss_is_that_of_the_first_step_and_stays(scraped):
    first, second = progress(1, epoch=0, loss=2.5), progress(2, epoch=0, loss=2.0)
    scraped.happen("a", State.RUNNING, first, second, progress(50))
    scraped.happen("diverged", State.RUNNING, progress(1, epoch=0, loss=math.inf), progress(50))
    scraped.happen("late", State.RUNNING, progress(50))
    losses = {key[1]: value for key, value in scraped.samples().items() if key[0] == "raydient_job_initial_loss"}
    assert losses == {"a": 2.5}


def test_the_recent_peak_is_the_largest_loss_of_the_last_minutes(scraped):
    drawn, losses, recent = Random(3), [], {}
    scraped.happen("a", State.RUNNING, progress())
    for number in range(1, 200):
        scraped.clock.now += drawn.choice((0, 1, 40, PEAK_SECONDS))
        losses.append((scraped.clock.now, drawn.random()))
        scraped.happen("a", State.RUNNING, EpochEnded(number, number, 1.0, {"train": {"loss": losses[-1][1]}}))
        later = scraped.clock.now + drawn.choice((0, 0, 100))
        scraped.clock.now = later
        recent[number] = max(loss for when, loss in losses if later - when <= PEAK_SECONDS)
        assert scraped.samples()["raydient_job_recent_peak_loss", "a"] == recent[number]
    scraped.clock.now += 2 * PEAK_SECONDS
    assert ("raydient_job_recent_peak_loss", "a") not in scraped.samples()


def test_repeated_steps_after_a_loss_are_counted_again(scraped):
    for step in (10, 20, 15, 18):
        scraped.happen("a", State.RUNNING, progress(step, step * 100))
    samples = scraped.samples()
    assert samples["raydient_job_steps_total", "a"] == 23
    assert samples["raydient_job_samples_total", "a"] == 2300
    assert samples["raydient_job_progress_ratio", "a"] == 0.18


def test_jobs_are_counted_by_state(scraped):
    scraped.collector.begin([], {State.SUCCEEDED: 5}, NOW)
    scraped.happen("a", State.QUEUED)
    scraped.happen("b", State.QUEUED)
    scraped.happen("a", State.STARTING, StateChanged(State.STARTING))
    scraped.happen("c", State.FAILED)
    scraped.happen("c", None)
    samples = scraped.samples()
    counts = {state: samples["raydient_jobs", state.value] for state in State}
    assert counts == {**dict.fromkeys(State, 0), State.SUCCEEDED: 5, State.QUEUED: 1, State.STARTING: 1}
    assert samples["raydient_queue_length",] == 1


def test_the_last_numbers_of_slots_are_shown(scraped):
    assert scraped.samples()["raydient_worker_slots", "total"] == 0
    scraped.collector.use_slots(8, 3)
    samples = scraped.samples()
    assert (samples["raydient_worker_slots", "total"], samples["raydient_worker_slots", "held"]) == (8, 3)


def waits(samples):
    """Number of jobs that waited, their seconds, and the number that waited at most a second."""
    name = "raydient_queue_wait_seconds"
    return tuple(samples[key] for key in ((f"{name}_count",), (f"{name}_sum",), (f"{name}_bucket", "1.0")))


def test_times_in_the_queue_and_the_time_of_the_oldest_job(scraped):
    assert ("raydient_queue_oldest_timestamp_seconds",) not in scraped.samples()
    scraped.happen("a", State.QUEUED, StateChanged(State.QUEUED))
    scraped.happen("b", State.QUEUED, StateChanged(State.QUEUED), after=10)
    assert scraped.samples()["raydient_queue_oldest_timestamp_seconds",] == NOW.timestamp()
    scraped.happen("a", State.STARTING, StateChanged(State.STARTING), after=30)
    samples = scraped.samples()
    assert samples["raydient_queue_oldest_timestamp_seconds",] == NOW.timestamp() + 10
    assert waits(samples) == (1, 30, 0)
    scraped.happen("b", State.CANCELLED, StateChanged(State.CANCELLED), after=40)
    assert ("raydient_queue_oldest_timestamp_seconds",) not in scraped.samples()
    # After its run is paused it waits again.
    scraped.happen("a", State.QUEUED, StateChanged(State.QUEUED), after=100)
    scraped.happen("a", State.STARTING, StateChanged(State.STARTING), after=100.5)
    assert waits(scraped.samples()) == (2, 30.5, 1)


def test_jobs_queued_under_an_earlier_server(scraped):
    waiting = Job("a", SPEC, NOW)
    scraped.collector.begin([waiting], {State.QUEUED: 1}, NOW + timedelta(seconds=60))
    assert scraped.samples()["raydient_queue_oldest_timestamp_seconds",] == NOW.timestamp()
    scraped.collector.begin([replace(waiting, run=2)], {State.QUEUED: 1}, NOW + timedelta(seconds=60))
    assert scraped.samples()["raydient_queue_oldest_timestamp_seconds",] == NOW.timestamp() + 60


def names_of(scraped, job):
    return {key[0] for key in scraped.samples() if job in key[1:]}


def test_the_series_of_a_job_vanish_some_minutes_after_its_end(scraped):
    scraped.happen("a", State.RUNNING, progress())
    scraped.happen("b", State.RUNNING, progress())
    scraped.happen("a", State.SUCCEEDED)
    scraped.clock.now += LINGER_SECONDS
    assert names_of(scraped, "a")
    assert scraped.samples()["raydient_job_workers", "a", "alive"] == 0
    scraped.clock.now += 1
    assert not names_of(scraped, "a")
    assert names_of(scraped, "b")
    assert scraped.samples()["raydient_jobs", "succeeded"] == 1


def test_the_series_of_a_deleted_job_vanish_at_once(scraped):
    scraped.happen("a", State.RUNNING, progress())
    scraped.happen("a", State.SUCCEEDED)
    scraped.happen("a", None)
    assert not names_of(scraped, "a")


def test_jobs_of_an_earlier_server_begin_with_their_record(scraped):
    job = Job("a", SPEC, NOW, state=State.RUNNING, progress=progress(50))
    scraped.collector.begin([job], {State.RUNNING: 1}, NOW)
    samples = scraped.samples()
    assert samples["raydient_job_steps_total", "a"] == 0
    assert samples["raydient_job_progress_ratio", "a"] == 0.5
    scraped.states["a"] = job
    scraped.happen("a", State.RUNNING, progress(55), Notice("R", "m"))
    assert scraped.samples()["raydient_job_steps_total", "a"] == 5
