"""`raydient report`: a page, a model card or JSON about a trained network or a job."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .failures import WRONG_USAGE, Failure
from .model import MODEL_SUFFIX, local_model
from .options import (
    DATA,
    ConnectionOptions,
    debug_option,
    json_option,
    need_packages,
    need_writable,
    with_connection,
    with_dialect,
)
from .output import echo, print_json
from .predict import note_unknown

if TYPE_CHECKING:
    from raydient.client.history import History
    from raydient.client.report import Report
    from raydient.spec.csv_text import Dialect

OUTPUT_HELP = "The file; its suffix selects a page (.html, default), a model card (.md) or JSON (.json)."
HISTORY_HELP = "The metrics of each epoch of a model file, from `raydient train --history`."


@click.command()
@click.argument("model", metavar=f"JOB|MODEL{MODEL_SUFFIX}")
@click.argument("data", metavar="[DATA]", type=DATA, required=False)
@click.option("-o", "--output", metavar="REPORT", type=click.Path(dir_okay=False, path_type=Path), help=OUTPUT_HELP)
@click.option(
    "--history", metavar="CURVE.csv", type=click.Path(exists=True, dir_okay=False, path_type=Path), help=HISTORY_HELP
)
@with_dialect
@json_option
@with_connection
@debug_option
def report(
    *,
    model: str,
    connection: ConnectionOptions,
    data: str | Path | None,
    output: Path | None,
    history: Path | None,
    dialect: "Dialect",
    as_json: bool,
) -> None:
    """Write a report about a job or a trained network: a page, a model card or JSON.

    It has the metrics and their curves, what the network takes, gives and consists of, the gradient health by layer,
    and how it was trained. With DATA it has the confusion matrix or the residuals and the worst examples too. If DATA
    is the file that the network was trained on, those are of the rows that were held out. DATA may be a folder of
    images or a URL. --json prints the JSON.
    """
    from raydient.client.report import SUFFIXES

    if output is None and not as_json:
        output = Path(f"{Path(model).stem}.html")
    if output is not None:
        if output.suffix not in SUFFIXES:
            raise Failure(f"{output}: the name of a report ends in {', '.join(SUFFIXES)}", WRONG_USAGE)
        if output.suffix == ".html":
            need_packages("A report as a page", "plot")
        need_writable(output)
    made = _made(model, connection, data, history, dialect)
    if output is not None:
        made.save(output)
        echo(f"{output} is written", err=True)
    if as_json:
        print_json(made.content)


def _made(
    model: str, connection: ConnectionOptions, data: str | Path | None, history: Path | None, dialect: "Dialect"
) -> "Report":
    notice = partial(note_unknown, data) if data is not None else None
    if (network := local_model(model, None)) is not None:
        return network.report(data, _curves(history), name=Path(model).name, notice=notice, dialect=dialect)
    if history is not None:
        raise click.UsageError("--history is for a model file; the service has the history of its jobs")
    with connection.open() as client:
        return client.get(model).report(data, notice=notice, dialect=dialect)


def _curves(history: Path | None) -> "History | None":
    from raydient.client.report import read_curves

    if history is None:
        return None
    try:
        return read_curves(history)
    except ValueError as error:
        raise Failure(str(error), WRONG_USAGE, "INVALID_HISTORY") from error
