"""`raydient submit` and `raydient watch`."""

from pathlib import Path

import click

from .failures import reading
from .following import follow, track_option
from .options import ConnectionOptions, debug_option, job_argument, job_file, json_option, with_connection
from .output import as_data, echo, print_json, warn


@click.command()
@job_file
@click.option("--watch", "then_watch", is_flag=True, help="Follow the job to its end; Ctrl-C leaves it running.")
@track_option
@click.option("-q", "--quiet", is_flag=True, help="Print only the job's name.")
@click.option("--validate-only", is_flag=True, help="Validate only and create no job.")
@json_option
@with_connection
@debug_option
def submit(
    *,
    job: Path,
    connection: ConnectionOptions,
    then_watch: bool,
    track: tuple[str, ...],
    quiet: bool,
    validate_only: bool,
    as_json: bool,
) -> int | None:
    """Submit a job to the service, with its local data files and model to start from."""
    if track and not then_watch:
        raise click.UsageError("--track needs --watch: the metrics are tracked while the job is followed")
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
        return follow(submitted, connection, 0, as_json=as_json, track=track) if then_watch else None


@click.command()
@job_argument
@click.option("--after", "after_sequence", type=click.IntRange(0), default=0, help="Only events after this number.")
@track_option
@json_option
@with_connection
@debug_option
def watch(
    *, job: str, connection: ConnectionOptions, after_sequence: int, track: tuple[str, ...], as_json: bool
) -> int:
    """Follow a job to its end; Ctrl-C leaves it running."""
    with connection.open() as client:
        return follow(client.get(job), connection, after_sequence, as_json=as_json, track=track)
