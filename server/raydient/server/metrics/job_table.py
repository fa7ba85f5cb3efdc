"""The table of the metrics of a training job. A new measured quantity is a field of `Measurements` and a row here."""

from collections.abc import Callable, Mapping

from raydient.server.jobs.states import State
from raydient.server.training.reports import CheckpointTaken, Progress
from raydient.steps.measurements import STALENESS_BUCKETS, STEP_SECONDS_BUCKETS, GradientHealth

from .families import Family, Samples, histogram, single
from .series import Series

JOB = "training_job"
"""Label of a training job's id, before those of the table; `job` is Prometheus' own."""


def _progress(value: Callable[[Progress], float]) -> Callable[[Series], Samples]:
    return lambda series: {} if series.progress is None else {(): value(series.progress)}


def _checkpoint(value: Callable[[CheckpointTaken], float]) -> Callable[[Series], Samples]:
    return lambda series: {} if series.checkpoint is None else {(): value(series.checkpoint)}


def _measured(field: str) -> Callable[[Series], Samples]:
    """Return a function that gives a field of `Measurements`: one sample, or one for each key of a mapping."""

    def samples(series: Series) -> Samples:
        if series.progress is None:
            return {}
        value = getattr(series.progress.measurements, field)
        return {(key,): part for key, part in value.items()} if isinstance(value, Mapping) else {(): value}

    return samples


def _health(samples: Callable[[GradientHealth], Samples]) -> Callable[[Series], Samples]:
    def of_series(series: Series) -> Samples:
        health = series.progress.measurements.gradient_health if series.progress else None
        return samples(health) if health else {}

    return of_series


def _layers(field: str) -> Callable[[Series], Samples]:
    """Return a function that gives a field of `LayerHealth` for each layer that has a value."""
    return _health(
        lambda health: {(n.layer,): value for n in health.layers if (value := getattr(n, field)) is not None}
    )


def _positions(health: GradientHealth) -> Samples:
    # Prometheus sorts series by their labels: with leading zeros, by the layers' places in the network.
    digits = max(2, len(str(len(health.layers))))
    return {(layer.layer, f"{place:0{digits}}"): 1 for place, layer in enumerate(health.layers, start=1)}


def _step_seconds(series: Series) -> Samples:
    measured = series.progress and series.progress.measurements
    if not measured or len(measured.step_seconds_buckets) != len(STEP_SECONDS_BUCKETS) + 1:
        return {}  # an earlier version had other buckets
    return {(): histogram(STEP_SECONDS_BUCKETS, measured.step_seconds_buckets, measured.step_seconds_sum)}


def _staleness(series: Series) -> Samples:
    measured = series.progress and series.progress.measurements.staleness
    if not measured or len(measured.buckets) != len(STALENESS_BUCKETS) + 1:
        return {}
    return {(): histogram([*map(float, STALENESS_BUCKETS)], measured.buckets, measured.sum)}


def _results(series: Series) -> dict[tuple[str, ...], float]:
    """Return the results of the last epoch by split and name."""
    metrics = series.epoch.metrics if series.epoch else {}
    return {(split, name): value for split, values in metrics.items() for name, value in values.items()}


def _workers(series: Series) -> Samples:
    if series.progress is None:
        return {}
    alive, wanted = series.progress.workers_alive, series.progress.workers_wanted
    states = {"alive": alive, "wanted": wanted, "starting": wanted - alive, "minimum": series.progress.workers_minimum}
    return {(state,): max(0, count) if series.job.state.running else 0 for state, count in states.items()}


JOBS: tuple[Family[Series], ...] = (
    Family(
        "raydient_job_state",
        "1 for the state that the job is in; the others are absent.",
        lambda series: {(series.job.state.value,): 1},
        ("state",),
    ),
    Family(
        "raydient_job_failed",
        "1 for a job that failed, with the reason (`NON_FINITE`, `WORKER_LOST`, ...).",
        lambda series: {(series.job.reason,): 1} if series.job.state is State.FAILED else {},
        ("reason",),
    ),
    Family(
        "raydient_job_info",
        "1; the job's display name.",
        lambda series: {(series.job.display_name,): 1},
        ("display_name",),
    ),
    Family(
        "raydient_job_loss",
        "Loss over the last complete epoch, `train` or `test`.",
        lambda series: {(split,): value for (split, name), value in _results(series).items() if name == "loss"},
        ("split",),
    ),
    Family(
        "raydient_job_metric",
        "Other results of it, such as `accuracy`; of several outputs `OUTPUT_accuracy`.",
        lambda series: {key: value for key, value in _results(series).items() if key[1] != "loss"},
        ("split", "name"),
    ),
    Family(
        "raydient_job_epoch_seconds",
        "Wall time of the last epoch, evaluation included.",
        single(lambda series: series.epoch.seconds if series.epoch else None),
    ),
    Family(
        "raydient_job_initial_loss",
        "Loss of the first step, to measure others against; absent if the service received no progress in the "
        "first epoch.",
        single(lambda series: series.initial_loss),
    ),
    Family(
        "raydient_job_recent_peak_loss",
        "Largest training loss of an epoch within the last five minutes: epochs between two scrapes count, too.",
        single(lambda series: series.recent_peak_loss),
    ),
    Family("raydient_job_step_loss", "Training loss of the last step.", _measured("loss")),
    Family("raydient_job_learning_rate", "Learning rate of the last update.", _measured("learning_rate")),
    Family(
        "raydient_job_clip_factor",
        "Norm of the gradient of the last step after clipping over its norm before; absent without clipping.",
        single(lambda series: series.progress.measurements.clip_factor if series.progress else None),
    ),
    Family(
        "raydient_job_clipped_steps_total",
        "Steps whose gradient was clipped.",
        _measured("clipped_steps"),
    ),
    Family(
        "raydient_job_staleness_steps",
        "Staleness of the applied gradients: updates between the weights of a gradient and those to which it was "
        "applied. Absent for synchronous jobs.",
        _staleness,
        is_histogram=True,
    ),
    Family(
        "raydient_job_skipped_steps_total",
        "Steps that changed nothing, because the loss or the gradient was not finite.",
        _measured("skipped_steps"),
    ),
    Family(
        "raydient_job_rollbacks_total",
        "Returns to the weights at the end of an epoch, because the loss or the gradient was not finite.",
        _measured("rollbacks"),
    ),
    Family("raydient_job_epochs", "Epochs completed.", _progress(lambda progress: progress.epoch)),
    Family(
        "raydient_job_progress_ratio",
        "Share of the steps that are done, 0 to 1.",
        _progress(lambda progress: progress.step / progress.steps if progress.steps else 0.0),
    ),
    Family(
        "raydient_job_progress_timestamp_seconds",
        "Unix time at which the service last received progress.",
        single(lambda series: series.progress_time),
    ),
    Family(
        "raydient_job_workers",
        "Worker processes: `alive` take part, `wanted` were asked for, `starting` is the difference, `minimum` the "
        "number below which training waits. 0 while the job does not run.",
        _workers,
        ("state",),
    ),
    Family(
        "raydient_job_steps_total",
        "Updates, those made again after a loss included.",
        single(lambda series: series.steps if series.progress else None),
    ),
    Family(
        "raydient_job_samples_total",
        "Training samples, likewise.",
        single(lambda series: series.samples if series.progress else None),
    ),
    Family(
        "raydient_job_step_seconds",
        "Time from one update to the next, evaluations in between included.",
        _step_seconds,
        is_histogram=True,
    ),
    Family(
        "raydient_job_phase_seconds_total",
        "Time spent: `data`, `forward`, `backward`, `push` and `wait` are sums over the workers, `apply` is the "
        "parameter server's.",
        _measured("phase_seconds"),
        ("phase",),
    ),
    Family(
        "raydient_job_restarts_total",
        "Members replaced, `worker` or `parameter_server`.",
        lambda series: {(role,): n for role, n in series.progress.restarts.items()} if series.progress else {},
        ("role",),
    ),
    Family(
        "raydient_job_refused_connections_total",
        "Connections that the job's processes have closed: `secret` without proof of the run's secret, `peer` with the "
        "number, generation or range of another process, `frame` with a frame that the protocol forbids.",
        lambda series: {(reason,): n for reason, n in series.progress.refused.items()} if series.progress else {},
        ("reason",),
    ),
    Family(
        "raydient_exchange_bytes_total",
        "Payload of the data plane, of large embeddings the rows in use: `push` gradients, `pull` weights. In shared "
        "memory, where nothing is copied, an assignment counts as a pull of all weights.",
        _measured("exchange_bytes"),
        ("direction",),
    ),
    Family(
        "raydient_exchange_saved_bytes_total",
        "Bytes that pushes over TCP would have taken in addition without the job's `exchange.codec`.",
        _measured("saved_bytes"),
    ),
    Family(
        "raydient_job_health_step",
        "Number of the step at which the layers were measured last.",
        _health(lambda health: {(): health.step}),
    ),
    Family(
        "raydient_job_layer_info",
        "1; the layer's place among those that are measured, in the order of the network, with leading zeros.",
        _health(_positions),
        ("layer", "position"),
    ),
    Family(
        "raydient_job_gradient_norm",
        "Euclidean norm of the gradient by the layer's parameters, of the whole batch.",
        _layers("gradient_norm"),
        ("layer",),
    ),
    Family(
        "raydient_job_update_ratio",
        "Euclidean norm of the update of the layer's parameters over that of the parameters before it.",
        _layers("update_ratio"),
        ("layer",),
    ),
    Family(
        "raydient_job_dead_units_ratio",
        "Share of the layer's units that were zero for every sample, 0 to 1; only layers with a rectifier.",
        _layers("dead_units_ratio"),
        ("layer",),
    ),
    Family(
        "raydient_job_non_finite_values",
        "Values of the layer's gradient that are NaN or infinite.",
        _layers("non_finite_values"),
        ("layer",),
    ),
    Family(
        "raydient_job_checkpoints_total",
        "Checkpoints taken.",
        single(lambda series: series.checkpoints if series.checkpoint else None),
    ),
    Family(
        "raydient_job_failed_checkpoints_total",
        "Checkpoints that could not be written; training goes on and tries again.",
        single(lambda series: series.job.failed_checkpoints),
    ),
    Family(
        "raydient_job_damaged_checkpoints_total",
        "Checkpoints that were found damaged and set aside.",
        single(lambda series: series.job.damaged_checkpoints),
    ),
    Family("raydient_job_checkpoint_step", "Step of the newest checkpoint.", _checkpoint(lambda taken: taken.step)),
    Family("raydient_job_checkpoint_seconds", "Time that writing it took.", _checkpoint(lambda taken: taken.seconds)),
    Family(
        "raydient_job_checkpoint_size_bytes",
        "Size of its arrays, without manifest and file headers.",
        _checkpoint(lambda taken: taken.size_bytes),
    ),
    Family(
        "raydient_job_checkpoint_interval_seconds",
        "Time between two checkpoints that the job asks for.",
        single(lambda series: series.job.spec.checkpoints.interval_seconds if series.checkpoint else None),
    ),
    Family(
        "raydient_job_checkpoint_timestamp_seconds",
        "Unix time at which the service learned of it.",
        single(lambda series: series.checkpoint_time),
    ),
)
