"""Metrics as Prometheus is told them: names, types and help, from plain values."""

import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from raydient.server.jobs.states import State
from raydient.server.training.reports import STEP_SECONDS_BUCKETS, CheckpointTaken, EpochEnded, Progress
from raydient.steps.health import GradientHealth

from .series import QueueWaits, Series, Slots

JOB = "training_job"
"""Label of a training job's id; `job` is Prometheus' own."""


def of_service(counts: Mapping[State, int], slots: Slots) -> Iterator[Metric]:
    """The service as a whole."""
    jobs = GaugeMetricFamily("raydient_jobs", "Jobs in the store.", labels=["state"])
    for state, count in counts.items():
        jobs.add_metric([state.value], count)
    yield jobs
    family = GaugeMetricFamily("raydient_worker_slots", "Worker processes that there is room for.", labels=["state"])
    family.add_metric(["total"], slots.total)
    family.add_metric(["held"], slots.held)
    yield family
    build = InfoMetricFamily("raydient_build", "Versions of what runs here.")
    build.add_metric([], {"version": version("raydient"), "python": platform.python_version()})
    yield build


def of_queue(length: int, waits: QueueWaits, oldest: float | None) -> Iterator[Metric]:
    """Jobs that wait: how many, since when (seconds since the epoch), and how long those waited that have started."""
    yield GaugeMetricFamily("raydient_queue_length", "Jobs that wait for room.", value=length)
    yield HistogramMetricFamily(
        "raydient_queue_wait_seconds", "From being queued to being started.", waits.buckets, waits.seconds
    )
    since = GaugeMetricFamily("raydient_queue_oldest_timestamp_seconds", "Since when the one waits that waits longest.")
    if oldest is not None:
        since.add_metric([], oldest)
    yield since


def of_jobs(jobs: Mapping[str, Series]) -> Iterator[Metric]:
    """Every job."""
    yield from _states(jobs)
    going, health = {}, {}
    for job, series in jobs.items():
        if series.progress is not None:
            going[job] = series, series.progress
            if series.progress.gradient_health is not None:
                health[job] = series.progress.gradient_health
    yield from _evaluations({job: series.epoch for job, series in jobs.items() if series.epoch is not None})
    yield from _gauges(going)
    yield from _counters(going)
    yield from _health(health)
    taken = {job: (series, series.checkpoint) for job, series in jobs.items() if series.checkpoint is not None}
    yield from _checkpoints(taken)
    yield from _checkpoint_problems(jobs)


def _states(jobs: Mapping[str, Series]) -> Iterator[Metric]:
    state = GaugeMetricFamily("raydient_job_state", "1 for the state that the job is in.", labels=[JOB, "state"])
    failed = GaugeMetricFamily("raydient_job_failed", "1 for a job that failed, and why.", labels=[JOB, "reason"])
    info = InfoMetricFamily("raydient_job", "What people call the job.", labels=[JOB])
    for job, series in jobs.items():
        state.add_metric([job, series.state.value], 1)
        info.add_metric([job], {"display_name": series.display_name})
        if series.state is State.FAILED:
            failed.add_metric([job, series.reason], 1)
    yield from (state, failed, info)


def _evaluations(epochs: Mapping[str, EpochEnded]) -> Iterator[Metric]:
    loss = GaugeMetricFamily("raydient_job_loss", "Loss over the last epoch.", labels=[JOB, "split"])
    other = GaugeMetricFamily("raydient_job_metric", "Other results of it.", labels=[JOB, "split", "name"])
    seconds = GaugeMetricFamily("raydient_job_epoch_seconds", "Wall time of the last epoch.", labels=[JOB])
    for job, epoch in epochs.items():
        seconds.add_metric([job], epoch.seconds)
        for split, values in epoch.metrics.items():
            for name, value in values.items():
                if name == "loss":
                    loss.add_metric([job, split], value)
                else:
                    other.add_metric([job, split, name], value)
    yield from (loss, other, seconds)


_Going = Mapping[str, tuple[Series, Progress]]


def _gauges(jobs: _Going) -> Iterator[Metric]:
    plain: dict[str, tuple[str, Callable[[Series, Progress], float]]] = {
        "step_loss": ("Loss of the last step, training part.", lambda s, p: p.loss),
        "learning_rate": ("Of the last update.", lambda s, p: p.learning_rate),
        "epochs": ("Epochs completed.", lambda s, p: p.epoch),
        "progress_ratio": ("Share of the steps that are done.", lambda s, p: p.step / p.steps if p.steps else 0.0),
        "progress_timestamp_seconds": ("When it was heard of last.", lambda s, p: s.progress_time),
    }
    for name, (text, value) in plain.items():
        family = GaugeMetricFamily(f"raydient_job_{name}", text, labels=[JOB])
        for job, (series, progress) in jobs.items():
            family.add_metric([job], value(series, progress))
        yield family
    initial = GaugeMetricFamily("raydient_job_initial_loss", "Loss of the first step.", labels=[JOB])
    peak = GaugeMetricFamily(
        "raydient_job_recent_peak_loss",
        "Largest training loss of an epoch within the last five minutes.",
        labels=[JOB],
    )
    for job, (series, _) in jobs.items():
        for gauge, known in ((initial, series.initial_loss), (peak, series.recent_peak_loss)):
            if known is not None:
                gauge.add_metric([job], known)
    yield from (initial, peak)
    workers = GaugeMetricFamily("raydient_job_workers", "Worker processes.", labels=[JOB, "state"])
    for job, (series, progress) in jobs.items():
        alive, wanted = progress.workers_alive, progress.workers_wanted
        states = {"alive": alive, "wanted": wanted, "starting": wanted - alive, "minimum": progress.workers_minimum}
        for state, count in states.items():
            workers.add_metric([job, state], max(0, count) if series.state.running else 0)
    yield workers


def _counters(jobs: _Going) -> Iterator[Metric]:
    steps = CounterMetricFamily("raydient_job_steps", "Updates, repeated ones included.", labels=[JOB])
    samples = CounterMetricFamily("raydient_job_samples", "Training samples, likewise.", labels=[JOB])
    seconds = HistogramMetricFamily("raydient_job_step_seconds", "Time of a step.", labels=[JOB])
    for job, (series, progress) in jobs.items():
        steps.add_metric([job], series.steps)
        samples.add_metric([job], series.samples)
        if len(progress.step_seconds_buckets) == len(STEP_SECONDS_BUCKETS) + 1:
            bounds = [*map(str, STEP_SECONDS_BUCKETS), "+Inf"]
            buckets = list(zip(bounds, progress.step_seconds_buckets, strict=True))
            seconds.add_metric([job], buckets, progress.step_seconds_sum)
    yield from (steps, samples, seconds)
    labelled: dict[str, tuple[str, str, Callable[[Progress], Mapping[str, float]]]] = {
        "raydient_job_phase_seconds": ("phase", "Time spent, over all workers.", lambda p: p.phase_seconds),
        "raydient_job_restarts": ("role", "Members replaced.", lambda p: p.restarts),
        "raydient_exchange_bytes": ("direction", "Payload of the data plane.", lambda p: p.exchange_bytes),
    }
    for name, (label, text, values) in labelled.items():
        family = CounterMetricFamily(name, text, labels=[JOB, label])
        for job, (_, progress) in jobs.items():
            for key, value in values(progress).items():
                family.add_metric([job, key], value)
        yield family


def _health(jobs: Mapping[str, GradientHealth]) -> Iterator[Metric]:
    names = {
        "gradient_norm": "Euclidean norm of the gradient by the layer's parameters, of the whole batch.",
        "update_ratio": "Euclidean norm of the layer's last measured update over that of its weights before it.",
        "dead_units_ratio": "Share of the layer's units whose output was zero for every sample of the batch.",
        "non_finite_values": "Values of the layer's gradient that are NaN or infinite.",
    }
    step = GaugeMetricFamily("raydient_job_health_step", "Step at which the layers were measured last.", labels=[JOB])
    for job, health in jobs.items():
        step.add_metric([job], health.step)
    yield step
    # Prometheus sorts series by their labels: with leading zeros, by the layers' places in the network.
    place = InfoMetricFamily("raydient_job_layer", "Where in the network the layer is.", labels=[JOB])
    for job, health in jobs.items():
        digits = max(2, len(str(len(health.layers))))
        for position, layer in enumerate(health.layers, start=1):
            place.add_metric([job], {"layer": layer.layer, "position": f"{position:0{digits}}"})
    yield place
    for name, text in names.items():
        family = GaugeMetricFamily(f"raydient_job_{name}", text, labels=[JOB, "layer"])
        for job, health in jobs.items():
            for layer in health.layers:
                value = getattr(layer, name)
                if value is not None:
                    family.add_metric([job, layer.layer], value)
        yield family


def _checkpoints(jobs: Mapping[str, tuple[Series, CheckpointTaken]]) -> Iterator[Metric]:
    taken = CounterMetricFamily("raydient_job_checkpoints", "Checkpoints taken.", labels=[JOB])
    step = GaugeMetricFamily("raydient_job_checkpoint_step", "Step of the newest checkpoint.", labels=[JOB])
    seconds = GaugeMetricFamily("raydient_job_checkpoint_seconds", "Time to write it.", labels=[JOB])
    size = GaugeMetricFamily("raydient_job_checkpoint_size_bytes", "Its size on disk.", labels=[JOB])
    when = GaugeMetricFamily("raydient_job_checkpoint_timestamp_seconds", "When it was taken.", labels=[JOB])
    interval = GaugeMetricFamily("raydient_job_checkpoint_interval_seconds", "As the job asks for.", labels=[JOB])
    for job, (series, newest) in jobs.items():
        interval.add_metric([job], series.checkpoint_interval)
        taken.add_metric([job], series.checkpoints)
        step.add_metric([job], newest.step)
        seconds.add_metric([job], newest.seconds)
        size.add_metric([job], newest.size_bytes)
        when.add_metric([job], series.checkpoint_time)
    yield from (taken, step, seconds, size, when, interval)


def _checkpoint_problems(jobs: Mapping[str, Series]) -> Iterator[Metric]:
    failed = CounterMetricFamily("raydient_job_failed_checkpoints", "Checkpoints not written.", labels=[JOB])
    damaged = CounterMetricFamily("raydient_job_damaged_checkpoints", "Checkpoints found damaged.", labels=[JOB])
    for job, series in jobs.items():
        failed.add_metric([job], series.failed_checkpoints)
        damaged.add_metric([job], series.damaged_checkpoints)
    yield from (failed, damaged)
