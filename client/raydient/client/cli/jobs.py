"""`raydient list` and `raydient get`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from .display import value_text
from .options import ConnectionOptions, debug_option, job_argument, json_option, with_connection
from .output import as_data, print_json, print_pairs, print_table, time_text, update_lines, workers_text

if TYPE_CHECKING:
    from raydient.client.job import Job
    from raydient.v1.training_job_pb2 import (
        CheckpointSummary,
        GradientHealth,
        LayerHealth,
        Staleness,
        TrainingProgress,
    )

STATES = ["QUEUED", "STARTING", "RUNNING", "PAUSED", "CANCELLING", "SUCCEEDED", "FAILED", "CANCELLED"]


@click.command("list")
@click.option("--state", "states", type=click.Choice(STATES, case_sensitive=False), multiple=True, help="Repeatable.")
@click.option("--label", "labels", metavar="KEY=VALUE", multiple=True, help="Repeatable.")
@click.option("--metric", metavar="NAME", help="Show this metric of the last epoch, such as test_accuracy.")
@click.option("--sort", is_flag=True, help="Sort by --metric, the best first; losses and errors ascend.")
@click.option("--limit", type=click.IntRange(1), help="Show at most this number of jobs, the first ones.")
@json_option
@with_connection
@debug_option
def list_jobs(
    *,
    connection: ConnectionOptions,
    states: tuple[str, ...],
    labels: tuple[str, ...],
    metric: str | None,
    sort: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    if sort and not metric:
        raise click.UsageError("--sort needs --metric, the metric to sort by")
    pairs = [label.partition("=") for label in labels]
    if not all(separator for _, separator, _ in pairs):
        raise click.BadParameter("KEY=VALUE is needed", param_hint="--label")
    from raydient.client.ranking import check_metric

    with connection.open() as client:
        best = metric if metric and sort else ""
        matching = client.list(states, {key: value for key, _, value in pairs}, full=as_json, best=best)
        try:
            jobs = [job for job, _ in zip(matching, range(limit), strict=False)] if limit else list(matching)
            if metric:
                check_metric(jobs, metric)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--metric") from None
    if as_json:
        print_json({"training_jobs": [as_data(job.resource) for job in jobs]})
        return
    header = ["NAME", "STATE", "EPOCH", *([metric] if metric else ["LOSS", "TEST LOSS"]), "CREATED", "DISPLAY NAME"]
    print_table(header, [_row(job, metric) for job in jobs])


@click.command()
@job_argument
@json_option
@with_connection
@debug_option
def get(*, job: str, connection: ConnectionOptions, as_json: bool) -> None:
    """Show one job."""
    with connection.open() as client:
        shown = client.get(job)
    if as_json:
        print_json(as_data(shown.resource))
    else:
        _show(shown)


def _row(job: "Job", metric: str | None) -> list[str]:
    resource = job.resource
    progress = resource.progress if resource.HasField("progress") else None
    losses = _losses(job)
    values = [f"{losses[split]:.4g}" if split in losses else "" for split in ("train", "test")]
    if metric:
        values = [value_text(metric, job.metrics[metric]) if metric in job.metrics else ""]
    return [
        job.name,
        job.state,
        f"{progress.epoch}/{progress.epochs}" if progress else "",
        *values,
        time_text(resource.create_time) if resource.HasField("create_time") else "",
        resource.spec.display_name if resource.state_reason != "UNREADABLE" else _unreadable(job),
    ]


def _unreadable(job: "Job") -> str:
    """The text that a list shows for a job that the service cannot read."""
    return " ".join(filter(None, (job.resource.spec.display_name, f"UNREADABLE: {job.resource.state_message}")))


def _losses(job: "Job") -> dict[str, float]:
    """Loss over the last complete epoch, by part; the loss of one step is too noisy for a list."""
    return {metric.split: metric.value for metric in job.resource.last_epoch.metrics if metric.name == "loss"}


def _show(job: "Job") -> None:
    resource = job.resource
    state = f"{job.state} (place {resource.queue_position} in the queue)" if resource.queue_position else job.state
    # without a reason, the message repeats facts that are shown below
    why = ": ".join(filter(None, (resource.state_reason, resource.state_message))) if resource.state_reason else ""
    pairs = [("name", job.name), ("display name", resource.spec.display_name), ("state", state), ("why", why)]
    if resource.HasField("progress"):
        at_work = not resource.HasField("end_time") and job.state not in ("QUEUED", "PAUSED")
        pairs += _progress(resource.progress, _losses(job), at_work=at_work)
    if resource.HasField("workers") and not resource.HasField("end_time"):
        pairs.append(("asked for", workers_text(resource.workers)))
    measured = [f"{m.split} {m.name} {value_text(m.name, m.value)}" for m in resource.last_epoch.metrics]
    pairs += [("last epoch", ", ".join(measured)), ("started again", str(resource.restarts or ""))]
    pairs += [("updated", line) for line in update_lines(resource.updates)]
    pairs += _checkpoints(resource.checkpoints)
    pairs += [("dataset", resource.dataset), ("digest", resource.digest)]
    times = {"created": "create_time", "started": "start_time", "ended": "end_time"}
    print_pairs(pairs + [(word, time_text(getattr(resource, n))) for word, n in times.items() if resource.HasField(n)])


def _progress(progress: "TrainingProgress", losses: Mapping[str, float], *, at_work: bool) -> list[tuple[str, str]]:
    percent = 100 * progress.step / progress.steps if progress.steps else 0
    steps = f"{progress.step} of {progress.steps} ({percent:.0f} %)"
    restarts = ", ".join(f"{count} {role}" for role, count in sorted(progress.restarts.items()) if count)
    return [
        ("step", steps),
        ("epoch", f"{progress.epoch} of {progress.epochs}"),
        ("time left", _time_left(progress) if at_work else ""),
        ("loss", ", ".join(f"{split} {losses[split]:.4g}" for split in ("train", "test") if split in losses)),
        ("loss of step", f"{progress.loss:.4g}"),
        ("samples/s", f"{progress.samples_per_second:,.0f}" if progress.samples_per_second else ""),
        ("workers", f"{progress.workers_alive} of {progress.workers_wanted}" if at_work else ""),
        ("restarts", restarts),
        ("staleness", _staleness(progress.staleness)),
        *_health(progress.gradient_health),
    ]


def _staleness(staleness: "Staleness") -> str:
    gradients = staleness.buckets[-1] if staleness.buckets else 0
    return f"mean {staleness.sum / gradients:.3g} steps" if gradients else ""


def _checkpoints(summary: "CheckpointSummary") -> list[tuple[str, str]]:
    parts = [f"newest at step {summary.step}"] if summary.step else []
    parts += [f"{summary.failed} could not be written"] if summary.failed else []
    parts += [f"{summary.damaged} found damaged"] if summary.damaged else []
    return [("checkpoints", ", ".join(parts)), ("problem", summary.problem)]


def _health(health: "GradientHealth") -> list[tuple[str, str]]:
    if not health.layers:
        return []
    return [("layers", f"at step {health.step}"), *((f"  {layer.layer}", _layer(layer)) for layer in health.layers)]


def _layer(layer: "LayerHealth") -> str:
    measured = [("gradient", f"{layer.gradient_norm:.3g}", layer.HasField("gradient_norm"))]
    measured += [("update ratio", f"{layer.update_ratio:.3g}", layer.HasField("update_ratio"))]
    measured += [("dead units", f"{100 * layer.dead_units_ratio:.0f} %", layer.HasField("dead_units_ratio"))]
    measured += [("values not finite", str(layer.non_finite_values), layer.non_finite_values > 0)]
    return ", ".join(f"{name} {value}" for name, value, known in measured if known)


def _time_left(progress: "TrainingProgress") -> str:
    if not (progress.samples_per_second and progress.step < progress.steps):
        return ""
    samples = progress.samples / max(progress.step, 1) * (progress.steps - progress.step)
    return str(timedelta(seconds=round(samples / progress.samples_per_second)))
