"""`raydient metrics`: the curves of a job."""

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import ConnectionOptions, debug_option, job_argument, json_option, need_writable, with_connection
from .output import echo, print_json, print_table

if TYPE_CHECKING:
    from raydient.client.history import History


@click.command()
@job_argument
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option(
    "--plot",
    metavar="IMAGE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw a curve to a PNG, SVG or PDF file.",
)
@click.option("--metric", default="loss", show_default=True, help="The metric that --plot draws.")
@json_option
@with_connection
@debug_option
def metrics(
    *, job: str, connection: ConnectionOptions, as_csv: bool, plot: Path | None, metric: str, as_json: bool
) -> None:
    """Show the loss and the metrics of each epoch."""
    if plot is not None:
        need_writable(plot)
    with connection.open() as client:
        history = client.get(job).history()
    if plot is not None:
        _draw(history, metric, plot)
    if as_json:
        fields = ("name", "split", "epoch", "step", "value")
        print_json({"metrics": [{field: getattr(point, field) for field in fields} for point in history.points]})
    elif as_csv:
        sys.stdout.write(csv_text(history))
    elif plot is None:
        header, *rows = _table(history, "{:.6g}")
        print_table(["EPOCH", *header[1:]], rows)


def csv_text(history: "History") -> str:
    """The curves as CSV: a header, then one line per epoch, with every digit."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_table(history, "{!r}"))
    return text.getvalue()


def _table(history: "History", style: str) -> list[list[str]]:
    """A header, then one row per epoch; a cell is empty if nothing was measured."""
    curves = list(dict.fromkeys((point.split, point.name) for point in history.points))
    values = {(p.split, p.name, p.epoch): style.format(p.value) for p in history.points}
    epochs = sorted({point.epoch for point in history.points})
    header = ["epoch", *(f"{split}_{name}" for split, name in curves)]
    return [header, *([str(e), *(values.get((*curve, e), "") for curve in curves)] for e in epochs)]


def _draw(history: "History", metric: str, path: Path) -> None:
    from raydient.client.extras import importing

    with importing("--plot", "plot"):
        from matplotlib.figure import Figure
    if not history.points:
        raise click.BadParameter("there is nothing to draw: no epoch is complete yet", param_hint="--plot")
    figure = Figure(layout="constrained")
    try:
        history.plot(metric, figure.subplots())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--metric") from None
    try:
        figure.savefig(path)
    except ValueError as error:  # a suffix that is no image format
        raise click.BadParameter(str(error), param_hint="--plot") from None
    echo(f"{path} is written", err=True)
