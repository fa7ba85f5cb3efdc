"""`raydient checkpoints`, `raydient download` and `raydient predict`: the results of training."""

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raydient.spec.printable import printable

from .failures import WRONG_USAGE, Failure
from .options import ConnectionOptions, debug_option, job_argument, json_option, need_writable, with_connection
from .output import as_data, echo, print_json, print_pairs, print_table, time_text
from .samples import Samples, read_samples

if TYPE_CHECKING:
    from raydient.client.prediction import Prediction
    from raydient.client.predictor import Predictor


def _checkpoint(context: click.Context, parameter: click.Parameter, value: str | None) -> int | str | None:
    """Return a step as a number; `best` and `last` stay words."""
    if value is None or value in ("best", "last"):
        return value
    if not (value.isascii() and value.isdecimal()):
        raise click.BadParameter(f"{value!r} is neither a step nor `best` or `last`")
    return int(value)


checkpoint_option = click.option(
    "--checkpoint",
    metavar="STEP|best|last",
    callback=_checkpoint,
    help="Weights at this step, of the best epoch so far or of the newest checkpoint instead of the model; "
    "`raydient checkpoints JOB` lists the steps.",
)


@click.command()
@job_argument
@json_option
@with_connection
@debug_option
def checkpoints(*, job: str, connection: ConnectionOptions, as_json: bool) -> None:
    """List the checkpoints that are kept, newest first."""
    with connection.open() as client:
        checkpoints = client.get(job).checkpoints()
    if as_json:
        print_json({"checkpoints": [as_data(checkpoint) for checkpoint in checkpoints]})
    else:
        rows = [[str(c.step), time_text(c.create_time), f"{c.size_bytes:,}"] for c in checkpoints]
        print_table(["STEP", "CREATED", "BYTES"], rows)


@click.command()
@job_argument
@click.option(
    "-o",
    "--output",
    metavar="MODEL",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file; its suffix selects the format: .safetensors (default), .onnx or .npz.",
)
@checkpoint_option
@json_option
@with_connection
@debug_option
def download(
    *, job: str, connection: ConnectionOptions, output: Path | None, checkpoint: int | str | None, as_json: bool
) -> None:
    """Fetch the trained model as a file.

    An ONNX file maps raw samples to the results of `predict`, in any ONNX runtime. Safetensors and NPZ files hold the
    weights and all other data that a prediction needs.
    """
    output = output or Path(f"{job.rpartition('/')[2]}.safetensors")
    need_writable(output)
    with connection.open() as client:
        done = client.get(job).download(output, checkpoint=checkpoint)
    if as_json:
        print_json(
            {"path": str(done.path), "size_bytes": done.size_bytes, "sha256": done.sha256, "digest": done.digest}
        )
    else:
        print_pairs([("model", str(done.path)), ("bytes", f"{done.size_bytes:,}"), ("digest", done.digest)])


@click.command()
@job_argument
@click.argument("data", metavar="DATA.csv|DATA.npz", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@checkpoint_option
@json_option
@with_connection
@debug_option
def predict(
    *, job: str, connection: ConnectionOptions, data: Path, checkpoint: int | str | None, as_json: bool
) -> None:
    """Apply the trained network to the samples of a file.

    Finds columns or arrays by their names in the training data; the file may also hold the label. Prints CSV: the most
    probable class first if there are classes, then the network's outputs, one per class. With several outputs each
    column's name begins with that of its output. A predicted number has the name of its label.
    """
    from raydient.client.errors import RequestRefused

    samples = read_samples(data)
    with connection.open() as client:
        predictor = client.get(job).predictor(checkpoint)
        try:
            arrays = _arrays(predictor, samples, data)
            predictions = predictor.apply(arrays, samples.where)
        except (ValueError, RequestRefused) as error:
            raise Failure(f"{data}: {error}", WRONG_USAGE, getattr(error, "reason", "INVALID_SAMPLES")) from error
    if as_json:
        documents = {name: _as_json(prediction) for name, prediction in predictions.items()}
        print_json(next(iter(documents.values())) if len(documents) == 1 else documents)
    else:
        _print_csv(predictions, {output.name: output.label for output in predictor.model.outputs})


def _arrays(predictor: "Predictor", samples: Samples, data: Path) -> dict[str, Any]:
    """Select the network's inputs in the file; columns that it was not trained on are listed on standard error.

    If the file has an array `x` and none of the columns, `x` holds the columns in the order of training.
    """
    if repeated := [name for name in predictor.features if name in samples.repeated]:
        raise Failure(f"{data}: there is more than one column named {repeated[0]!r}", WRONG_USAGE)
    if "x" in samples.arrays and len(predictor.model.inputs) == 1 and not {*predictor.features} & {*samples.arrays}:
        return predictor.arrays({predictor.model.inputs[0].name: samples.arrays["x"]}, samples.where)
    if unknown := predictor.unknown(samples.arrays):
        names = ", ".join(map(printable, unknown[:8])) + (", ..." if len(unknown) > 8 else "")
        if all(name in samples.arrays for name in predictor.features):
            echo(f"{data}: not used, since the network was not trained on it: {names}", err=True)
    return predictor.arrays(samples.arrays, samples.where)


def _as_json(prediction: "Prediction") -> dict[str, Any]:
    names = list(prediction.class_names)
    return {"classes": _classes(prediction), "class_names": names, "outputs": prediction.outputs.tolist()}


def _print_csv(predictions: "Mapping[str, Prediction]", labels: Mapping[str, str]) -> None:
    """Print one line per sample, with the outputs side by side."""
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
    if sys.stdout.isatty():  # a file gets the names of classes as they are
        header, columns = _printable(header), [_printable(column) for column in columns]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))


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
