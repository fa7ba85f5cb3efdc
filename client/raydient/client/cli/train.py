"""`raydient train`: everything on this machine, without a service."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .display import notice_text, open_display, value_text
from .failures import FAILED, WRONG_USAGE, Failure, reading
from .options import debug_option, job_file, json_option, need_server, need_writable
from .output import echo, print_json, print_pairs

if TYPE_CHECKING:
    from raydient.server.training.reports import Finished
    from raydient.spec.job import JobSpec

    from .display import Metrics

MODEL_FILE = "model.safetensors"
SUFFIXES = (".safetensors", ".onnx", ".npz")
OUTPUT_HELP = "Where the model goes; .safetensors, .onnx or .npz tells the format."


@click.command()
@job_file
@click.option("-o", "--output", metavar="MODEL", type=click.Path(dir_okay=False, path_type=Path), help=OUTPUT_HELP)
@click.option("--workers", type=click.IntRange(1, 1024), help="Instead of the job file's number.")
@click.option("--transport", type=click.Choice(["auto", "shared-memory", "tcp"]), default="auto", show_default=True)
@click.option("--cluster", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@json_option
@debug_option
def train(*, job: Path, output: Path | None, workers: int | None, transport: str, cluster: str, as_json: bool) -> None:
    """Train a job here and now; the model is a file at the end."""
    need_server("Training on this machine")
    from raydient.client.data_file import data_here

    output = output or Path(f"{job.stem}.safetensors")
    if output.suffix not in SUFFIXES:
        raise Failure(f"{output}: the model's name has to end in one of {', '.join(SUFFIXES)}", WRONG_USAGE)
    need_writable(output)
    with reading(job) as file, _workplace() as directory:
        spec = _with_workers(file.spec, workers)
        places = data_here(file.spec, job.parent), directory, job.parent
        finished, metrics = _run(spec, places, transport, cluster)
        if finished.outcome != "succeeded":
            raise Failure(finished.message or f"training was {finished.outcome}", FAILED, finished.reason)
        _deliver(directory / MODEL_FILE, output)
    if as_json:
        print_json({"outcome": finished.outcome, "digest": finished.digest, "model": str(output), "metrics": metrics})
        return
    held_out = [(f"test {name}", value_text(name, value)) for name, value in metrics.get("test", {}).items()]
    print_pairs([("digest", finished.digest), *held_out, ("model", str(output))])


def _deliver(model: Path, output: Path) -> None:
    """Put the model where it is wanted, in the format that its suffix tells; there it is whole or not at all."""
    from raydient.wire.files import replacing
    from raydient.workers.network import ExportFormat, export_model, load_model

    with replacing(output) as file:
        if output.suffix == model.suffix:
            with model.open("rb") as source:
                shutil.copyfileobj(source, file)
        else:
            export_model(load_model(model), ExportFormat(output.suffix), file)


def _run(
    spec: "JobSpec", places: tuple[Path, Path, Path], transport: str, cluster: str
) -> tuple["Finished", "Metrics"]:
    """Train, showing progress; how it ended and what was measured last.

    `places` are the data, the folder for checkpoints and the one that paths in the job file begin at.
    """
    from raydient.server import embedded
    from raydient.server.training import reports

    metrics: Metrics = {}
    with open_display() as display:

        def show(report: reports.Report) -> None:
            nonlocal metrics
            match report:
                case reports.Progress():
                    display.progress(report.step, report.steps, report.loss, report.samples_per_second)
                case reports.EpochEnded():
                    metrics = report.metrics
                    display.epoch(report.epoch, spec.training.epochs, metrics, report.seconds)
                case reports.Notice():
                    display.say(notice_text(report.reason, report.message))

        data, directory, files = places
        finished = embedded.train(
            spec, data, directory=directory, report=show, transport=transport, cluster=cluster, files=files
        )
    return finished, metrics


@contextmanager
def _workplace() -> Iterator[Path]:
    """A private folder for checkpoints; it stays behind only where training failed and left one in it."""
    import platformdirs

    root = platformdirs.user_state_path("raydient") / "train"
    try:
        root.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(dir=root))
    except OSError as error:
        message = f"{root}: checkpoints cannot be kept here: {error.strerror}; XDG_STATE_HOME names another place"
        raise Failure(message, WRONG_USAGE) from error
    # SIGTERM too has to end the processes and remove the folder.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield directory
    except BaseException:
        checkpoints = sorted(directory.glob("checkpoints/step-*"))
        if checkpoints:
            echo(f"The last good checkpoint is kept: {checkpoints[-1]}", err=True)
        else:
            shutil.rmtree(directory)
        raise
    else:
        shutil.rmtree(directory)
    finally:
        signal.signal(signal.SIGTERM, before)


def _with_workers(spec: "JobSpec", workers: int | None) -> "JobSpec":
    if workers is None:
        return spec
    from raydient.spec.job import WorkerRange

    resources = spec.resources.model_copy(update={"workers": WorkerRange.of(workers)})
    return spec.model_copy(update={"resources": resources})
