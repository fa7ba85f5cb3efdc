"""The samples of a job: every family of the table, with its labels."""

import math
from dataclasses import fields, replace

import pytest

from raydient.server.jobs.records import Job, StateChanged
from raydient.server.jobs.states import State
from raydient.server.metrics.job_table import JOBS
from raydient.server.metrics.service_table import SERVICE
from raydient.server.training.reports import CheckpointTaken, EpochEnded
from raydient.steps.measurements import (
    STALENESS_BUCKETS,
    STEP_SECONDS_BUCKETS,
    GradientHealth,
    LayerHealth,
    Measurements,
)

from .scraped import BUCKETS, HEALTH, NOW, SPEC, STALENESS, progress


def test_all_samples_of_a_running_job(scraped):
    metrics = {"train": {"loss": 0.25, "accuracy": 0.5}, "test": {"loss": math.inf}}
    scraped.happen("a", State.RUNNING, progress(), EpochEnded(1, 3, 0.75, metrics), CheckpointTaken(3, 0.125, 99))
    samples = {key: value for key, value in scraped.samples().items() if "a" in key[1:]}
    buckets = {key: value for key, value in samples.items() if key[0].endswith("_bucket")}
    assert buckets == {
        (f"{name}_bucket", *sorted(["a", bound])): count
        for name, bounds, counts in (
            ("raydient_job_step_seconds", STEP_SECONDS_BUCKETS, BUCKETS),
            ("raydient_job_staleness_steps", map(float, STALENESS_BUCKETS), STALENESS.buckets),
        )
        for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True)
    }
    assert {key: value for key, value in samples.items() if key not in buckets} == {
        ("raydient_job_loss", "a", "train"): 0.25,
        ("raydient_job_loss", "a", "test"): math.inf,
        ("raydient_job_metric", "a", "accuracy", "train"): 0.5,
        ("raydient_job_epoch_seconds", "a"): 0.75,
        ("raydient_job_recent_peak_loss", "a"): 0.25,
        ("raydient_job_step_loss", "a"): 0.5,
        ("raydient_job_learning_rate", "a"): 0.1,
        ("raydient_job_clip_factor", "a"): 0.25,
        ("raydient_job_clipped_steps_total", "a"): 2,
        ("raydient_job_skipped_steps_total", "a"): 3,
        ("raydient_job_rollbacks_total", "a"): 2,
        ("raydient_exchange_saved_bytes_total", "a"): 4,
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
        ("raydient_job_staleness_steps_count", "a"): STALENESS.buckets[-1],
        ("raydient_job_staleness_steps_sum", "a"): STALENESS.sum,
        ("raydient_job_phase_seconds_total", "a", "forward"): 0.5,
        ("raydient_job_phase_seconds_total", "a", "push"): 0.25,
        ("raydient_job_restarts_total", "a", "worker"): 1,
        ("raydient_exchange_bytes_total", "a", "push"): 7,
        ("raydient_exchange_bytes_total", "a", "pull"): 9,
        ("raydient_job_refused_connections_total", "a", "peer"): 2,
        ("raydient_job_checkpoints_total", "a"): 1,
        ("raydient_job_failed_checkpoints_total", "a"): 0,
        ("raydient_job_damaged_checkpoints_total", "a"): 0,
        ("raydient_job_checkpoint_step", "a"): 3,
        ("raydient_job_checkpoint_seconds", "a"): 0.125,
        ("raydient_job_checkpoint_size_bytes", "a"): 99,
        ("raydient_job_checkpoint_interval_seconds", "a"): 10.0,
        ("raydient_job_checkpoint_timestamp_seconds", "a"): NOW.timestamp(),
    }


OTHER = Measurements(0.75, 0.2, {"forward": 1.5}, (0, *BUCKETS[1:]), 2.5, {"push": 8}, replace(HEALTH, step=4), 0.5, 3)


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
def test_positions_sort_in_the_order_of_the_network(scraped, layers, digits):
    names = [f"dense_{n}" for n in range(layers)]
    health = GradientHealth(3, tuple(LayerHealth(name, 0.5, 0.125, 0) for name in names))
    scraped.happen("a", State.RUNNING, progress(gradient_health=health))

    positions = sorted(key[1:] for key in scraped.samples() if key[0] == "raydient_job_layer_info")
    assert [layer for _, _, layer in positions] == names
    assert {len(position) for position, _, _ in positions} == {digits}


def test_a_failed_job_has_its_reason(scraped):
    scraped.happen("a", State.RUNNING)
    scraped.happen("a", State.FAILED, StateChanged(State.FAILED, "NON_FINITE"), reason="NON_FINITE")
    samples = {key: value for key, value in scraped.samples().items() if "a" in key[1:]}
    assert samples == {
        ("raydient_job_state", "a", "failed"): 1,
        ("raydient_job_failed", "NON_FINITE", "a"): 1,
        ("raydient_job_info", "a", "digits"): 1,
        ("raydient_job_failed_checkpoints_total", "a"): 0,
        ("raydient_job_damaged_checkpoints_total", "a"): 0,
    }


def test_problems_with_checkpoints_are_counted_in_the_record(scraped):
    job = Job("a", SPEC, NOW, state=State.RUNNING, failed_checkpoints=3, damaged_checkpoints=2)
    scraped.collector.begin([job], {State.RUNNING: 1}, NOW)
    samples = scraped.samples()
    assert samples["raydient_job_failed_checkpoints_total", "a"] == 3, "also after a restart of the service"
    assert samples["raydient_job_damaged_checkpoints_total", "a"] == 2


def test_a_hundred_jobs_of_ten_layers_stay_within_their_series(scraped):
    layers = tuple(LayerHealth(f"dense_{n}", 0.5, 0.125, 2, 0.25) for n in range(10))
    metrics = {split: {"loss": 0.25, "accuracy": 0.5} for split in ("train", "test")}
    reports = (progress(gradient_health=GradientHealth(3, layers)), EpochEnded(1, 3, 0.75, metrics))
    for number in range(100):
        scraped.happen(f"j{number}", State.RUNNING, *reports, CheckpointTaken(3, 0.125, 99))
    assert 5_000 < sum(len(family.samples) for family in scraped.collector.collect()) < 20_000


def test_a_synchronous_job_has_no_series_of_staleness(scraped):
    scraped.happen("a", State.RUNNING, progress(staleness=None))
    assert not [key for key in scraped.samples() if key[0].startswith("raydient_job_staleness")]


def test_a_histogram_with_other_buckets_is_left_out(scraped):
    scraped.happen("a", State.RUNNING, progress(step_seconds_buckets=()))
    assert ("raydient_job_step_seconds_count", "a") not in scraped.samples()


def test_hostile_names_do_not_break_the_exposition(scraped):
    name = 'a"} 1\n\\evil{x="'
    scraped.happen("a", State.RUNNING, EpochEnded(1, 3, 0.75, {name: {name: 1.0}}))
    assert scraped.samples()["raydient_job_metric", *sorted(["a", name, name])] == 1.0


def test_no_series_has_the_id_of_a_worker(scraped):
    scraped.happen("a", State.RUNNING, progress(), EpochEnded(1, 3, 0.75, {"test": {"loss": 1.0}}))
    labels = {label for family in scraped.collector.collect() for s in family.samples for label in s.labels}
    assert labels == {
        "state",
        "training_job",
        "split",
        "phase",
        "role",
        "direction",
        "reason",
        "le",
        "version",
        "python",
        "layer",
        "position",
        "display_name",
    }
