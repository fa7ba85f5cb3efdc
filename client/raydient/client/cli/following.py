"""The option --track, and following a job of the service to its end."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from .display import open_display, show
from .failures import FAILED, INTERRUPTED
from .options import ConnectionOptions
from .output import as_data, echo, print_json

if TYPE_CHECKING:
    from raydient.client.events import Event
    from raydient.client.job import Job
    from raydient.client.tracking import Tracking

TRACK_HELP = "Write the metrics of each epoch to csv:DIR, tensorboard:DIR, mlflow:URI or wandb:DIR. Repeatable."


def _known(context: click.Context, parameter: click.Parameter, targets: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse unknown trackers and those whose packages are absent, before anything starts."""
    if targets:
        from raydient.client.trackers import opener

        for target in targets:
            try:
                opener(target)
            except ValueError as error:
                raise click.BadParameter(str(error)) from None
    return targets


track_option = click.option("--track", metavar="TRACKER", multiple=True, callback=_known, help=TRACK_HELP)


def open_trackers(targets: tuple[str, ...], run: str) -> "AbstractContextManager[list[Tracking]]":
    """Open trackers for a run; at the end a line on standard error says what one has not written."""
    from raydient.client.tracking import tracking

    return tracking(targets, run, lambda line: echo(line, err=True))


def follow(
    job: "Job",
    connection: ConnectionOptions,
    after_sequence: int,
    *,
    as_json: bool,
    track: tuple[str, ...] = (),
) -> int:
    """Show a job's events; the exit status is that of the job's end, or that of Ctrl-C."""
    from raydient.client.tracking import tracked

    try:
        with open_trackers(track, job.name.replace("/", "-")) as trackers:
            events: Iterable[Event] = tracked(job.watch(after_sequence), trackers)
            if as_json:
                _print(events)
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


def _print(events: "Iterable[Event]") -> None:
    for event in events:
        print_json(as_data(event.message), one_line=True)
