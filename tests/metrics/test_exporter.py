import gzip
import math
import socket
import urllib.error
import urllib.request
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from raydient.server.errors import StartError
from raydient.server.jobs.records import Change, Job, JobEvent, StateChanged
from raydient.server.jobs.states import State
from raydient.server.metrics import LINGER_SECONDS, Exporter, JobCollector
from raydient.server.metrics.job_table import JOBS
from raydient.server.metrics.series import PEAK_SECONDS
from raydient.server.metrics.service_table import SERVICE
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Notice, Progress
from raydient.spec.job import JobSpec
from raydient.steps.measurements import STEP_SECONDS_BUCKETS, GradientHealth, LayerHealth, Measurements

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPEC = JobSpec.model_validate(
    {
        "display_name": "digits",
        "dataset": {"uri": "a.csv"},
        "network": {"layers": [{"dense": {"units": 1}}], "loss": {"mean_squared_error": {}}},
    }
)
HEALTH = GradientHealth(3, (LayerHealth("dense_1", 0.5, 0.125, 2, 0.25), LayerHealth("relu", dead_units_ratio=0.0)))
BUCKETS = tuple(range(1, len(STEP_SECONDS_BUCKETS) + 2))
MEASUREMENTS = Measurements(
    loss=0.5,
    learning_rate=0.1,
    phase_seconds={"forward": 0.5, "push": 0.25},
    step_seconds_buckets=BUCKETS,
    step_seconds_sum=1.5,
    exchange_bytes={"push": 7, "pull": 9},
    gradient_health=HEALTH,
)


def progress(step=3, samples=300, epoch=1, **measured):
    measurements = replace(MEASUREMENTS, **measured)
    return Progress(step, 100, epoch, 10, samples, 99.5, 1, 2, measurements, {"worker": 1})


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Scraped:
    """A collector, what happens to its jobs, and what a scrape shows."""

    def __init__(self):
        self.clock = Clock()
        self.collector = JobCollector(self.clock)
        self.states = {}

    def happen(self, job, state, *payloads, after=0, reason=""):
        """The job is in this state, `after` so many seconds; what it told."""
        before, when = self.states.get(job), NOW + timedelta(seconds=after)
        self.states[job] = after = state and Job(job, SPEC, NOW, state=state, reason=reason)
        events = tuple(JobEvent(job, 1, when, payload) for payload in payloads)
        self.collector.publish(Change(before, after, events))

    def samples(self):
        registry = CollectorRegistry()
        registry.register(self.collector)
        families = text_string_to_metric_families(generate_latest(registry).decode())
        return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


@pytest.fixture
def scraped():
    return Scraped()


def test_everything_that_a_running_job_tells(scraped):
    metrics = {"train": {"loss": 0.25, "accuracy": 0.5}, "test": {"loss": math.inf}}
    scraped.happen("a", State.RUNNING, progress(), EpochEnded(1, 3, 0.75, metrics), CheckpointTaken(3, 0.125, 99))
    found = {key: value for key, value in scraped.samples().items() if "a" in key[1:]}
    histogram = {key: value for key, value in found.items() if key[0] == "raydient_job_step_seconds_bucket"}
    bounds = [*map(str, STEP_SECONDS_BUCKETS), "+Inf"]
    assert {key[1 if key[2] == "a" else 2]: value for key, value in histogram.items()} == dict(
        zip(bounds, map(float, BUCKETS), strict=True)
    )
    assert {key: value for key, value in found.items() if key not in histogram} == {
        ("raydient_job_loss", "a", "train"): 0.25,
        ("raydient_job_loss", "a", "test"): math.inf,
        ("raydient_job_metric", "a", "accuracy", "train"): 0.5,
        ("raydient_job_epoch_seconds", "a"): 0.75,
        ("raydient_job_recent_peak_loss", "a"): 0.25,
        ("raydient_job_step_loss", "a"): 0.5,
        ("raydient_job_learning_rate", "a"): 0.1,
        ("raydient_job_epochs", "a"): 1,
        ("raydient_job_progress_ratio", "a"): 0.03,
        ("raydient_job_progress_timestamp_seconds", "a"): NOW.timestamp(),
        ("raydient_job_workers", "a", "alive"): 1,
        ("raydient_job_workers", "a", "wanted"): 2,
        ("raydient_job_workers", "a", "starting"): 1,
        ("raydient_job_workers", "a", "minimum"): 1,
        ("raydient_job_state", "a", "running"): 1,
        ("raydient_job_info", "a", "digits"): 1,
        ("raydient_job_health_step", "a"): 3,
        ("raydient_job_layer_info", "01", "a", "dense_1"): 1,
        ("raydient_job_layer_info", "02", "a", "relu"): 1,
        ("raydient_job_gradient_norm", "a", "dense_1"): 0.5,
        ("raydient_job_update_ratio", "a", "dense_1"): 0.125,
        ("raydient_job_dead_units_ratio", "a", "dense_1"): 0.25,
        ("raydient_job_dead_units_ratio", "a", "relu"): 0.0,
        ("raydient_job_non_finite_values", "a", "dense_1"): 2,
        ("raydient_job_steps_total", "a"): 3,
        ("raydient_job_samples_total", "a"): 300,
        ("raydient_job_step_seconds_count", "a"): BUCKETS[-1],
        ("raydient_job_step_seconds_sum", "a"): 1.5,
        ("raydient_job_phase_seconds_total", "a", "forward"): 0.5,
        ("raydient_job_phase_seconds_total", "a", "push"): 0.25,
        ("raydient_job_restarts_total", "a", "worker"): 1,
        ("raydient_exchange_bytes_total", "a", "push"): 7,
        ("raydient_exchange_bytes_total", "a", "pull"): 9,
        ("raydient_job_checkpoints_total", "a"): 1,
        ("raydient_job_failed_checkpoints_total", "a"): 0,
        ("raydient_job_damaged_checkpoints_total", "a"): 0,
        ("raydient_job_checkpoint_step", "a"): 3,
        ("raydient_job_checkpoint_seconds", "a"): 0.125,
        ("raydient_job_checkpoint_size_bytes", "a"): 99,
        ("raydient_job_checkpoint_interval_seconds", "a"): 10.0,
        ("raydient_job_checkpoint_timestamp_seconds", "a"): NOW.timestamp(),
    }


OTHER = Measurements(0.75, 0.2, {"forward": 1.5}, (0, *BUCKETS[1:]), 2.5, {"push": 8}, replace(HEALTH, step=4))


@pytest.mark.parametrize("field", [f.name for f in fields(Measurements)])
def test_every_measurement_is_exported(scraped, field):
    """A measurement without a row in the table of families changes nothing in a scrape."""
    scraped.happen("a", State.RUNNING, progress())
    before = scraped.samples()
    scraped.happen("a", State.RUNNING, progress(**{field: getattr(OTHER, field)}))
    assert scraped.samples() != before


@pytest.mark.parametrize("field", [f.name for f in fields(LayerHealth) if f.name != "layer"])
def test_every_measurement_of_a_layer_is_exported(scraped, field):
    scraped.happen("a", State.RUNNING, progress())
    before = scraped.samples()
    other = replace(HEALTH, layers=(replace(HEALTH.layers[0], **{field: 5}), *HEALTH.layers[1:]))
    scraped.happen("a", State.RUNNING, progress(gradient_health=other))
    assert scraped.samples() != before


def test_names_of_families_are_unique():
    names = [family.name for family in (*SERVICE, *JOBS)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("layers", "digits"), [(1, 2), (99, 2), (100, 3)])
def test_positions_sort_as_the_network_does(scraped, layers, digits):
    names = [f"dense_{n}" for n in range(layers)]
    health = GradientHealth(3, tuple(LayerHealth(name, 0.5, 0.125, 0) for name in names))
    scraped.happen("a", State.RUNNING, progress(gradient_health=health))

    positions = sorted(key[1:] for key in scraped.samples() if key[0] == "raydient_job_layer_info")
    assert [layer for _, _, layer in positions] == names
    assert {len(position) for position, _, _ in positions} == {digits}


def test_the_initial_loss_is_that_of_the_first_step_and_stays(scraped):
    first, second = progress(1, epoch=0, loss=2.5), progress(2, epoch=0, loss=2.0)
    scraped.happen("a", State.RUNNING, first, second, progress(50))
    scraped.happen("diverged", State.RUNNING, progress(1, epoch=0, loss=math.inf), progress(50))
    scraped.happen("late", State.RUNNING, progress(50))
    found = {key[1]: value for key, value in scraped.samples().items() if key[0] == "raydient_job_initial_loss"}
    assert found == {"a": 2.5}


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


def test_steps_made_again_after_a_loss_are_counted_again(scraped):
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
    found = {state: samples["raydient_jobs", state.value] for state in State}
    assert found == {**dict.fromkeys(State, 0), State.SUCCEEDED: 5, State.QUEUED: 1, State.STARTING: 1}
    assert samples["raydient_queue_length",] == 1


def test_a_job_that_failed_tells_why(scraped):
    scraped.happen("a", State.RUNNING)
    scraped.happen("a", State.FAILED, StateChanged(State.FAILED, "NON_FINITE"), reason="NON_FINITE")
    found = {key: value for key, value in scraped.samples().items() if "a" in key[1:]}
    assert found == {
        ("raydient_job_state", "a", "failed"): 1,
        ("raydient_job_failed", "NON_FINITE", "a"): 1,
        ("raydient_job_info", "a", "digits"): 1,
        ("raydient_job_failed_checkpoints_total", "a"): 0,
        ("raydient_job_damaged_checkpoints_total", "a"): 0,
    }


def test_problems_with_checkpoints_are_counted_as_the_record_counts_them(scraped):
    job = Job("a", SPEC, NOW, state=State.RUNNING, failed_checkpoints=3, damaged_checkpoints=2)
    scraped.collector.begin([job], {State.RUNNING: 1}, NOW)
    samples = scraped.samples()
    assert samples["raydient_job_failed_checkpoints_total", "a"] == 3, "also after a restart of the service"
    assert samples["raydient_job_damaged_checkpoints_total", "a"] == 2


def test_slots_are_those_last_heard_of(scraped):
    assert scraped.samples()["raydient_worker_slots", "total"] == 0
    scraped.collector.use_slots(8, 3)
    samples = scraped.samples()
    assert (samples["raydient_worker_slots", "total"], samples["raydient_worker_slots", "held"]) == (8, 3)


def waits(samples):
    """Jobs that waited, seconds in all, and how many waited at most a second."""
    name = "raydient_queue_wait_seconds"
    return tuple(samples[key] for key in ((f"{name}_count",), (f"{name}_sum",), (f"{name}_bucket", "1.0")))


def test_the_queue_tells_how_long_jobs_waited_and_since_when_one_does(scraped):
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
    # Its run is paused, it waits anew.
    scraped.happen("a", State.QUEUED, StateChanged(State.QUEUED), after=100)
    scraped.happen("a", State.STARTING, StateChanged(State.STARTING), after=100.5)
    assert waits(scraped.samples()) == (2, 30.5, 1)


def test_jobs_that_wait_since_an_earlier_server(scraped):
    waiting = Job("a", SPEC, NOW)
    scraped.collector.begin([waiting], {State.QUEUED: 1}, NOW + timedelta(seconds=60))
    assert scraped.samples()["raydient_queue_oldest_timestamp_seconds",] == NOW.timestamp()
    scraped.collector.begin([replace(waiting, run=2)], {State.QUEUED: 1}, NOW + timedelta(seconds=60))
    assert scraped.samples()["raydient_queue_oldest_timestamp_seconds",] == NOW.timestamp() + 60


def test_a_hundred_jobs_of_ten_layers_stay_within_their_series(scraped):
    layers = tuple(LayerHealth(f"dense_{n}", 0.5, 0.125, 2, 0.25) for n in range(10))
    metrics = {split: {"loss": 0.25, "accuracy": 0.5} for split in ("train", "test")}
    told = (progress(gradient_health=GradientHealth(3, layers)), EpochEnded(1, 3, 0.75, metrics))
    for number in range(100):
        scraped.happen(f"j{number}", State.RUNNING, *told, CheckpointTaken(3, 0.125, 99))
    assert 5_000 < sum(len(family.samples) for family in scraped.collector.collect()) < 20_000


def names_of(scraped, job):
    return {key[0] for key in scraped.samples() if job in key[1:]}


def test_a_job_vanishes_some_minutes_after_its_end(scraped):
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


def test_a_deleted_job_vanishes_at_once(scraped):
    scraped.happen("a", State.RUNNING, progress())
    scraped.happen("a", State.SUCCEEDED)
    scraped.happen("a", None)
    assert not names_of(scraped, "a")


def test_jobs_of_an_earlier_server_begin_with_what_is_known(scraped):
    job = Job("a", SPEC, NOW, state=State.RUNNING, progress=progress(50))
    scraped.collector.begin([job], {State.RUNNING: 1}, NOW)
    samples = scraped.samples()
    assert samples["raydient_job_steps_total", "a"] == 0
    assert samples["raydient_job_progress_ratio", "a"] == 0.5
    scraped.states["a"] = job
    scraped.happen("a", State.RUNNING, progress(55), Notice("R", "m"))
    assert scraped.samples()["raydient_job_steps_total", "a"] == 5


def test_a_histogram_that_is_not_whole_is_left_out(scraped):
    scraped.happen("a", State.RUNNING, progress(step_seconds_buckets=()))
    assert ("raydient_job_step_seconds_count", "a") not in scraped.samples()


def test_hostile_names_do_not_break_the_exposition(scraped):
    name = 'a"} 1\n\\evil{x="'
    scraped.happen("a", State.RUNNING, EpochEnded(1, 3, 0.75, {name: {name: 1.0}}))
    assert scraped.samples()["raydient_job_metric", *sorted(["a", name, name])] == 1.0


def test_no_series_bears_the_id_of_a_worker(scraped):
    scraped.happen("a", State.RUNNING, progress(), EpochEnded(1, 3, 0.75, {"test": {"loss": 1.0}}))
    labels = {label for family in scraped.collector.collect() for s in family.samples for label in s.labels}
    assert labels == {
        "state",
        "training_job",
        "split",
        "phase",
        "role",
        "direction",
        "le",
        "version",
        "python",
        "layer",
        "position",
        "display_name",
    }


def test_answers_prometheus_with_compressed_text(scraped):
    scraped.happen("a", State.RUNNING, progress())
    exporter = Exporter("127.0.0.1", 0, scraped.collector)
    headers = {"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1", "Accept-Encoding": "gzip"}
    address = f"http://127.0.0.1:{exporter.port}/metrics"
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        body = gzip.decompress(response.read()).decode()
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(address, b"posted")
    exporter.close()
    assert "raydient_job_steps" in {family.name for family in text_string_to_metric_families(body)}


def test_serves_over_http_and_ends(scraped):
    scraped.happen("a", State.RUNNING, progress())
    exporter = Exporter("127.0.0.1", 0, scraped.collector)
    exporter.observe_call("/s/M", "OK", 0.003)
    with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}/metrics") as response:
        families = {f.name: f for f in text_string_to_metric_families(response.read().decode())}
    assert {"raydient_job_steps", "raydient_build_info", "process_cpu_seconds"} <= set(families)
    buckets = [s for s in families["raydient_rpc_seconds"].samples if s.name.endswith("_bucket")]
    assert [s.value for s in buckets if s.labels["le"] in ("0.0025", "0.005")] == [0, 1]
    with pytest.raises(StartError, match=f"cannot serve metrics on 127.0.0.1:{exporter.port}: address already in use"):
        Exporter("127.0.0.1", exporter.port, scraped.collector)
    exporter.close()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", exporter.port)):
        pass
