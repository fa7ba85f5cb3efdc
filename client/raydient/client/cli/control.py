"""`raydient pause`, `resume`, `scale`, `update`, `cancel`, `delete`: the commands that change a job."""

from typing import TYPE_CHECKING, Any

import click

from .options import ConnectionOptions, confirm, debug_option, job_argument, json_option, with_connection, yes_option
from .output import as_data, echo, print_json, update_lines, workers_text

if TYPE_CHECKING:
    from raydient.client.job import Job


@click.command()
@job_argument
@json_option
@with_connection
@debug_option
def pause(*, job: str, connection: ConnectionOptions, as_json: bool) -> None:
    """Take a checkpoint and leave the cluster to others."""
    with connection.open() as client:
        _show(client.get(job).pause(), as_json)


@click.command()
@job_argument
@json_option
@with_connection
@debug_option
def resume(*, job: str, connection: ConnectionOptions, as_json: bool) -> None:
    """Resume a job that is paused, or that failed for a reason outside itself."""
    with connection.open() as client:
        _show(client.get(job).resume(), as_json)


@click.command()
@job_argument
@click.option("--workers", type=click.IntRange(1, 1024), required=True)
@json_option
@with_connection
@debug_option
def scale(*, job: str, connection: ConnectionOptions, workers: int, as_json: bool) -> None:
    """Change the number of workers; the resulting weights stay the same.

    Workers join and leave between two steps, as the cluster has room; `raydient get` shows their number.
    """
    with connection.open() as client:
        scaled = client.get(job).scale(workers)
    if as_json:
        print_json(as_data(scaled.resource))
    else:
        echo(f"{scaled.name} {scaled.state}, {workers_text(scaled.resource.workers)} from now on")


@click.command()
@job_argument
@click.argument("settings", metavar="FIELD=VALUE...", nargs=-1, required=True)
@json_option
@with_connection
@debug_option
def update(*, job: str, settings: tuple[str, ...], connection: ConnectionOptions, as_json: bool) -> None:
    """Change the learning rate, the clipping, the consistency or the end of a job that trains.

    A field is named as in the job file, such as training.max_steps=500 or
    training.optimizer.adam.learning_rate=0.001; null removes a setting. The new values hold from the next step on.
    """
    values = dict(_setting(text) for text in settings)
    with connection.open() as client:
        updated = client.get(job).update(values)
    if as_json:
        print_json(as_data(updated.resource))
    else:
        echo(f"{updated.name} {updated.state}")
        for line in update_lines(updated.resource.updates):
            echo(line)


def _setting(text: str) -> tuple[str, Any]:
    """Return the path and the value of FIELD=VALUE; the value is YAML, as in a job file."""
    from raydient.spec.document import parse
    from raydient.spec.errors import InvalidSpec

    path, separator, value = text.partition("=")
    if not (path and separator and value.strip()):
        raise click.BadParameter(f"{text!r}: FIELD=VALUE is needed", param_hint="FIELD=VALUE")
    try:
        return path, parse(f"value: {value}").data["value"]
    except (InvalidSpec, KeyError, TypeError):
        raise click.BadParameter(f"{path}: {value!r} is no YAML value", param_hint="FIELD=VALUE") from None


@click.command()
@job_argument
@yes_option
@json_option
@with_connection
@debug_option
def cancel(*, job: str, connection: ConnectionOptions, yes: bool, as_json: bool) -> None:
    """Stop a job for good."""
    confirm(f"Cancel {job} for good?", yes)
    with connection.open() as client:
        _show(client.get(job).cancel(), as_json)


@click.command()
@job_argument
@yes_option
@json_option
@with_connection
@debug_option
def delete(*, job: str, connection: ConnectionOptions, yes: bool, as_json: bool) -> None:
    """Remove a job that has ended, with its model and history."""
    confirm(f"Delete {job} with its model, checkpoints and history?", yes)
    with connection.open() as client:
        unwanted = client.get(job)
        unwanted.delete()
    if as_json:
        print_json({})
    else:
        echo(f"{unwanted.name} is deleted", err=True)


def _show(job: "Job", as_json: bool) -> None:
    if as_json:
        print_json(as_data(job.resource))
    else:
        why = f": {job.resource.state_message}" if job.resource.state_message else ""
        echo(f"{job.name} {job.state}{why}")
