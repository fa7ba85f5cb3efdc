"""`raydient checkpoints` and `raydient download`: the results of training."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .failures import WRONG_USAGE, Failure
from .options import ConnectionOptions, debug_option, job_argument, json_option, need_writable, with_connection
from .output import as_data, print_json, print_pairs, print_table, time_text

if TYPE_CHECKING:
    from raydient.client.local_model import LocalModel


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


MODEL_SUFFIX = ".safetensors"
model_argument = click.argument("model", metavar=f"JOB|MODEL{MODEL_SUFFIX}")


def local_model(model: str, checkpoint: int | str | None) -> "LocalModel | None":
    """Load the network in a file; None if `model` is not the name of one but that of a job of the service."""
    suffix = Path(model).suffix.lower()
    if not suffix:
        return None
    if suffix != MODEL_SUFFIX:
        remedy = f"`raydient download JOB -o {Path(model).stem}{MODEL_SUFFIX}` fetches one from the service"
        raise click.UsageError(
            f"{model} is not the name of a job, and of model files {MODEL_SUFFIX} alone is read: {remedy}, "
            f"in Python `model.save` writes one"
        )
    if checkpoint is not None:
        raise click.UsageError("a model file has no checkpoints: --checkpoint is for a job of the service")
    from raydient.client.local_model import load_model

    try:
        return load_model(model)
    except OSError as error:
        raise Failure(f"{model}: cannot be read: {error.strerror}", WRONG_USAGE, "MODEL_UNREADABLE") from error


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
    weights and all other data that a prediction needs. A download that was interrupted goes on where it ended.
    """
    output = output or Path(f"{job.rpartition('/')[2]}.safetensors")
    need_writable(output)
    from raydient.client.download import format_of

    format_of(output)  # before the service is asked
    with connection.open() as client:
        done = client.get(job).download(output, checkpoint=checkpoint)
    if as_json:
        print_json(
            {"path": str(done.path), "size_bytes": done.size_bytes, "sha256": done.sha256, "digest": done.digest}
        )
    else:
        print_pairs([("model", str(done.path)), ("bytes", f"{done.size_bytes:,}"), ("digest", done.digest)])
