"""`raydient predict`: apply a trained network, of a job or in a file, to a file of samples."""

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from raydient.spec.decoding import FOLDER_COLUMNS, image_files
from raydient.spec.printable import printable
from raydient.spec.text_files import text_files

from .failures import WRONG_USAGE, Failure
from .model import checkpoint_option, local_model, model_argument
from .options import DATA, ConnectionOptions, debug_option, json_option, need_writable, with_connection, with_dialect
from .output import echo, print_json

if TYPE_CHECKING:
    from raydient.client.prediction import Prediction
    from raydient.client.predictor import Predictor
    from raydient.spec.csv_text import Dialect

    FileNames = tuple[str, Iterator[str]]
    """The title of a column, and its cells."""


@click.command()
@model_argument
@click.argument("data", metavar="DATA", type=DATA)
@click.option(
    "-o",
    "--output",
    metavar="OUT.csv",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file, which appears whole or not at all, instead of standard output.",
)
@checkpoint_option
@with_dialect
@json_option
@with_connection
@debug_option
def predict(
    *,
    model: str,
    connection: ConnectionOptions,
    data: str | Path,
    output: Path | None,
    checkpoint: int | str | None,
    dialect: "Dialect",
    as_json: bool,
) -> None:
    """Apply a trained network to the samples of a file.

    The network is that of a job of the service, or a .safetensors file, for which no service is needed.

    Finds columns or arrays by their names in the training data; the file may also hold the label. Writes CSV: the most
    probable class first if there are classes, then the network's outputs, one per class. With several outputs each
    column's name begins with that of its output. A predicted number has the name of its label. A table (CSV, Parquet or
    Arrow) is read and its predictions are written part by part, so it may be larger than memory. DATA may be a text
    file, each line of which is a sample, a folder of images or texts, whose predictions follow their paths, or a URL.
    """
    if output is not None and output.suffix.lower() != ".csv":
        raise Failure(f"{output}: predictions are written as CSV: give a name that ends in .csv", WRONG_USAGE)
    if output is not None:
        need_writable(output)
    with open_predictor(model, connection, checkpoint) as predictor:
        parts = _parts(predictor, data, dialect)
        if as_json and output is None:
            _print_json(parts)
            return
        labels = {one.name: one.label for one in predictor.model.outputs}
        rows = _write(parts, labels, output, _file_names(data, predictor))
    if as_json:
        print_json({"path": str(output), "rows": rows})


@contextmanager
def open_predictor(
    model: str, connection: ConnectionOptions, checkpoint: int | str | None = None
) -> Iterator["Predictor"]:
    """Open the network in a file or of a job. Raises Failure and the client's errors."""
    if (network := local_model(model, checkpoint)) is not None:
        yield network
        return
    with connection.open() as client:
        yield client.get(model).predictor(checkpoint)


def note_unknown(data: str | Path, unknown: Sequence[str]) -> None:
    """List columns of a file that the network was not trained on, on standard error."""
    names = ", ".join(map(printable, unknown[:8])) + (", ..." if len(unknown) > 8 else "")
    echo(f"{data}: not used, since the network was not trained on it: {names}", err=True)


def _parts(predictor: "Predictor", data: str | Path, dialect: "Dialect") -> Iterator[dict[str, "Prediction"]]:
    """Predict part by part. Columns that the network was not trained on are listed on standard error."""
    from raydient.client.errors import RequestRefused

    try:
        yield from predictor.predict_file(data, partial(note_unknown, data), dialect)
    except RequestRefused as error:
        raise Failure(f"{data}: {error}", WRONG_USAGE, error.reason) from error


def _print_json(parts: Iterable[Mapping[str, "Prediction"]]) -> None:
    from raydient.client.prediction import joined

    documents = {name: _as_json(prediction) for name, prediction in joined(list(parts)).items()}
    print_json(next(iter(documents.values())) if len(documents) == 1 else documents)


def _as_json(prediction: "Prediction") -> dict[str, Any]:
    names = list(prediction.class_names)
    return {"classes": _classes(prediction), "class_names": names, "outputs": prediction.outputs.tolist()}


def _file_names(data: str | Path, predictor: "Predictor") -> "FileNames":
    """The paths of the images or texts in a folder, in the order of their predictions; none of a file."""
    if not (isinstance(data, Path) and data.is_dir()):
        return "", iter(())
    title, files = (FOLDER_COLUMNS[0], image_files) if predictor.has_images else ("file", text_files)
    return title, (path for path, _ in files(data, are_labelled=False))


def _write(
    parts: Iterable[Mapping[str, "Prediction"]], labels: Mapping[str, str], output: Path | None, names: "FileNames"
) -> int:
    """Write a header and one line per sample to a file, or to standard output; return the number of samples."""
    from raydient.files import replacing

    if output is None:
        # a file gets the names of classes as they are
        return _write_csv(parts, labels, sys.stdout, names, escape=sys.stdout.isatty())
    with replacing(output) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            return _write_csv(parts, labels, text, names)
        finally:
            text.flush()
            text.detach()  # otherwise it closes the file, which is not durable yet


def _write_csv(
    parts: Iterable[Mapping[str, "Prediction"]],
    labels: Mapping[str, str],
    file: TextIO,
    names: "FileNames",
    *,
    escape: bool = False,
) -> int:
    writer, rows = csv.writer(file, lineterminator="\n"), 0
    for predictions in parts:
        header, columns = _table(predictions, labels)
        if files := list(islice(names[1], len(columns[0]))):
            header, columns = [names[0], *header], [files, *columns]
        if escape:
            header, columns = _printable(header), [_printable(column) for column in columns]
        if not rows:
            writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))
        rows += len(columns[0])
    return rows


def _table(predictions: "Mapping[str, Prediction]", labels: Mapping[str, str]) -> tuple[list[str], list[list[Any]]]:
    """The header, and the cells of each column: the outputs side by side."""
    header: list[str] = []
    columns: list[list[Any]] = []
    for name, prediction in predictions.items():
        outputs = prediction.outputs.reshape(len(prediction.outputs), -1)
        titles = _titles(prediction, outputs.shape[1], labels[name])
        cells = [[f"{value:.6g}" for value in column] for column in outputs.T]
        if classes := _classes(prediction):
            titles, cells = ["class", *titles], [list(map(_cell, classes)), *cells]
        is_label = titles == [labels[name]] and list(labels.values()).count(labels[name]) == 1
        header += titles if len(predictions) == 1 or is_label else [f"{name}.{title}" for title in titles]
        columns += cells
    return header, columns


def _printable(cells: Sequence[Any]) -> list[str]:
    return [printable(str(cell)) for cell in cells]


def _titles(prediction: "Prediction", count: int, label: str) -> list[str]:
    """The names of an output's values: classes, or the label that they predict."""
    if len(prediction.class_names) == count:  # a loss of two classes has one output
        return list(prediction.class_names)
    if prediction.classes is not None:
        return [f"output_{index}" for index in range(count)] if count > 1 else ["output"]
    name = label or "output"
    return [f"{name}_{index}" for index in range(count)] if count > 1 else [name]


def _classes(prediction: "Prediction") -> list[Any]:
    """The labels of the most probable classes, a list for a sample with several; empty if there are none."""
    if prediction.classes is None:
        return []
    return [_named(index, prediction.class_names) for index in prediction.classes.tolist()]


def _cell(classes: Any) -> Any:
    """The classes of a sample as one cell: several are separated by spaces."""
    return " ".join(map(str, map(_cell, classes))) if isinstance(classes, list) else classes


def _named(classes: Any, names: Sequence[str]) -> Any:
    """Replace class indices, one or lists of them, by their labels if these have names."""
    if isinstance(classes, list):
        return [_named(index, names) for index in classes]
    return names[classes] if names else classes
