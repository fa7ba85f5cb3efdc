"""`raydient download` and `raydient predict`."""

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import Service, debug_option, job_argument, json_option, need_writable, with_service
from .output import print_json, print_pairs
from .samples import read_samples

if TYPE_CHECKING:
    from raydient.client.prediction import Prediction

checkpoint_option = click.option(
    "--checkpoint", type=click.IntRange(0), help="Weights at this step instead of the model."
)


@click.command()
@job_argument
@click.option(
    "-o",
    "--output",
    metavar="MODEL",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Its suffix tells the format: .safetensors (default), .onnx or .npz.",
)
@checkpoint_option
@json_option
@with_service
@debug_option
def download(*, job: str, service: Service, output: Path | None, checkpoint: int | None, as_json: bool) -> None:
    """Fetch the trained model as a file.

    ONNX takes raw samples and gives what `predict` gives, in any runtime for ONNX; safetensors and NPZ are the weights
    with all that a prediction takes beside them.
    """
    output = output or Path(f"{job.rpartition('/')[2]}.safetensors")
    need_writable(output)
    with service.open() as client:
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
@with_service
@debug_option
def predict(*, job: str, service: Service, data: Path, checkpoint: int | None, as_json: bool) -> None:
    """Apply the trained network to the samples of a file.

    Prints CSV: the most probable class first where there are classes, then the network's outputs, one a class.
    """
    inputs, columns = read_samples(data)
    with service.open() as client:
        prediction = client.get(job).predict(inputs, columns, checkpoint=checkpoint)
    classes = _classes(prediction)
    outputs = prediction.outputs.reshape(len(prediction.outputs), -1)
    if as_json:
        names = list(prediction.class_names)
        print_json({"classes": classes, "class_names": names, "outputs": prediction.outputs.tolist()})
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    header = prediction.class_names or [f"output_{index}" for index in range(outputs.shape[1])]
    writer.writerow(["class", *header] if classes else header)
    for index, row in enumerate(outputs):
        cells = [f"{value:.6g}" for value in row]
        writer.writerow([classes[index], *cells] if classes else cells)


def _classes(prediction: "Prediction") -> list[Any]:
    """The labels of the most probable classes; empty where there are none."""
    if prediction.classes is None:
        return []
    names = prediction.class_names
    return [names[index] if names else index for index in prediction.classes.tolist()]
