"""`raydient submit` and `raydient watch`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .display import open_display, show
from .failures import FAILED, INTERRUPTED, reading
from .options import ConnectionOptions, debug_option, job_argument, job_file, json_option, with_connection
from .output import as_data, echo, print_json, warn

if TYPE_CHECKING:
    from raydient.client.job import Job


@click.command()
@job_file
@click.option("--watch", "then_watch", is_flag=True, help="Follow the job to its end; Ctrl-C leaves it running.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the job's name.")
@click.option("--validate-only", is_flag=True, help="Validate only and create no job.")
@json_option
@with_connection
@debug_option
def submit(
    *, job: Path, connection: ConnectionOptions, then_watch: bool, quiet: bool, validate_only: bool, as_json: bool
) -> int | None:
    """Submit a job to the service, with its local data file."""
    with reading(job) as file, connection.open() as client:
        if not then_watch:  # the events of the watched job contain them
            warn(file.spec)
        submitted = client.submit(file.spec, directory=job.parent, validate_only=validate_only)
        if as_json:
            print_json(as_data(submitted.resource), one_line=then_watch)
        elif validate_only:
            echo(f"{job} is valid", err=True)
        else:
            echo(submitted.name)
        if validate_only:
            return None
        if not (quiet or as_json or then_watch):
            for command in ("watch", "get", "cancel"):
                echo(f"  raydient {command} {submitted.name}{connection.option}", err=True)
        return follow(submitted, connection, 0, as_json=as_json) if then_watch else None


@click.command()
@job_argument
@click.option("--after", "after_sequence", type=click.IntRange(0), default=0, help="Only events after this number.")
@json_option
@with_connection
@debug_option
def watch(*, job: str, connection: ConnectionOptions, after_sequence: int, as_json: bool) -> int:
    """Follow a job to its end; Ctrl-C leaves it running."""
    with connection.open() as client:
        return follow(client.get(job), connection, after_sequence, as_json=as_json)


def follow(job: "Job", connection: ConnectionOptions, after_sequence: int, *, as_json: bool) -> int:
    """Show a job's events; the exit status is that of the job's end, or that of Ctrl-C."""
    try:
        events = job.watch(after_sequence)
        if as_json:
            for event in events:
                print_json(as_data(event.message), one_line=True)
        else:
            with open_display() as display:
                show(events, display, job.resource.spec.training.epochs)
    except KeyboardInterrupt:
        for line in (
            f"\ndetached; {job.name} goes on",
            f"  attach: raydient watch {job.name}{connection.option}",
            f"  cancel: raydient cancel {job.name}{connection.option}",
        ):
            echo(line, err=True)
        return INTERRUPTED
    return 0 if job.refresh().state == "SUCCEEDED" else FAILED
