"""`raydient evaluate`: compare the predictions of a trained network with the labels of a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from .display import value_text, without_repetition
from .model import MODEL_SUFFIX, checkpoint_option, local_model, model_argument
from .options import DATA, ConnectionOptions, debug_option, json_option, with_connection, with_dialect
from .output import echo, print_json, print_pairs, print_table
from .predict import note_unknown

if TYPE_CHECKING:
    from raydient.client.evaluation import Confusion, Evaluation, Residuals
    from raydient.client.local_model import LocalModel
    from raydient.spec.csv_text import Dialect

SHOWN_CLASSES = 20
"""With more classes than this, the confusion matrix is only in the JSON output."""


@click.command()
@model_argument
@click.argument("data", metavar="DATA", type=DATA)
@checkpoint_option
@with_dialect
@json_option
@with_connection
@debug_option
def evaluate(
    *,
    model: str,
    connection: ConnectionOptions,
    data: str | Path,
    checkpoint: int | str | None,
    dialect: "Dialect",
    as_json: bool,
) -> None:
    """Compare the predictions of a trained network with the labels of a file.

    DATA may be a folder of images, the names of whose sub-folders are the labels, or a URL.

    Prints the loss, with the class weights of the job, and every metric of the job for all samples of the file, each
    with the weight 1. For classes the confusion matrix and the results of each class follow, for numbers the residuals,
    prediction - label. The network is that of a job of the service, or a .safetensors file, for which no service is
    needed.
    """
    with _opened(model, connection, checkpoint) as network:
        evaluation = network.evaluate(data, partial(note_unknown, data), dialect)
    if as_json:
        from raydient.client.report import evaluation_data

        print_json(evaluation_data(evaluation))
    else:
        _print(evaluation)


@contextmanager
def _opened(model: str, connection: ConnectionOptions, checkpoint: int | str | None) -> Iterator["LocalModel"]:
    """Load the network from a file, which is fetched from the service for a job."""
    from raydient.client.local_model import load_model

    if (network := local_model(model, checkpoint)) is not None:
        yield network
        return
    with connection.open() as client, TemporaryDirectory(prefix="raydient-") as folder:
        path = client.get(model).download(Path(folder) / f"model{MODEL_SUFFIX}", checkpoint=checkpoint).path
        yield load_model(path)


def _print(evaluation: "Evaluation") -> None:
    metrics = without_repetition(evaluation.metrics)
    print_pairs(
        [("rows", f"{evaluation.rows:,}"), *((name, value_text(name, value)) for name, value in metrics.items())]
    )
    several = len(evaluation.confusions) + len(evaluation.residuals) > 1
    for name, confusion in evaluation.confusions.items():
        _begin(name if several else "")
        _print_classes(confusion)
    for name, residuals in evaluation.residuals.items():
        _begin(name if several else "")
        _print_residuals(residuals)


def _begin(name: str) -> None:
    echo("")
    if name:
        echo(f"{name}:")


def _print_classes(confusion: "Confusion") -> None:
    if len(confusion.classes) <= SHOWN_CLASSES:
        rows = zip(confusion.classes, confusion.counts.tolist(), strict=True)
        print_table(["LABEL\\PREDICTED", *confusion.classes], [[name, *map(str, counts)] for name, counts in rows])
        echo("")
    results = [
        [one.name, str(one.rows), *(f"{value:.4f}" for value in (one.precision, one.recall, one.f1))]
        for one in confusion.by_class
    ]
    print_table(["CLASS", "ROWS", "PRECISION", "RECALL", "F1"], results)


def _print_residuals(residuals: "Residuals") -> None:
    quantiles = [(f"residual {share} %", f"{value:.6g}") for share, value in residuals.quantiles.items()]
    moments = [("residual mean", f"{residuals.mean:.6g}"), ("residual deviation", f"{residuals.deviation:.6g}")]
    print_pairs([*moments, *quantiles, ("residual largest", f"{residuals.largest:.6g} in row {residuals.row}")])
