"""`raydient train`: everything on this machine, without a service."""

import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .display import open_display, show_report, value_text, without_repetition
from .failures import FAILED, INTERRUPTED, WRONG_USAGE, Failure, reading
from .following import open_trackers, track_option
from .options import compute_here, debug_option, json_option, need_packages, need_writable
from .output import echo, print_json, print_pairs
from .resuming import check_resumable, kept, open_runs, print_runs, signals_interrupt

if TYPE_CHECKING:
    from raydient.server.training.reports import Finished
    from raydient.spec.job import JobSpec
    from raydient.spec.patterns import DataPath

    from .display import Metrics
    from .runs import Run, Runs

SUFFIXES = (".safetensors", ".onnx", ".npz")
MIXED = "NUMERICS_MIXED"
"""Reason of a run that succeeded with machines that compute other bits than each other."""
HISTORY_HELP = "File for the metrics of each epoch, as CSV: a row an epoch, also of a run that fails."
OUTPUT_HELP = "File for the model; the suffix .safetensors, .onnx or .npz selects the format."


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command line that override the job's or the run's; None where an option is absent."""

    output: Path | None
    workers: int | None
    transport: str | None
    cluster: str | None
    numerics: str | None
    history: Path | None
    track: tuple[str, ...]


@click.command()
@click.argument("job", metavar="JOB.yaml", type=click.Path(path_type=Path), required=False)
@click.option("-o", "--output", metavar="MODEL", type=click.Path(dir_okay=False, path_type=Path), help=OUTPUT_HELP)
@click.option("--workers", type=click.IntRange(1, 1024), help="Instead of the job file's number.")
@click.option("--transport", type=click.Choice(["auto", "shared-memory", "tcp"]), help="auto if not given.")
@click.option("--cluster", type=click.Choice(["local", "ray"]), help="local if not given.")
@click.option("--numerics", type=click.Choice(["strict", "any", "portable"]), help="Instead of the job file's.")
@click.option("--history", metavar="CURVE.csv", type=click.Path(dir_okay=False, path_type=Path), help=HISTORY_HELP)
@track_option
@click.option("--resume", metavar="[NAME]", is_flag=False, flag_value="", help="Go on with an interrupted run.")
@click.option("--list", "list_runs", is_flag=True, help="List the runs that are kept.")
@click.option("--remove", metavar="NAME", help="Remove a run that is kept.")
@json_option
@debug_option
def train(
    *,
    job: Path | None,
    output: Path | None,
    workers: int | None,
    transport: str | None,
    cluster: str | None,
    numerics: str | None,
    history: Path | None,
    track: tuple[str, ...],
    resume: str | None,
    list_runs: bool,
    remove: str | None,
    as_json: bool,
) -> None:
    """Train a job on this machine, without a service, and write the model to a file.

    --resume continues a run that was interrupted, or that failed for a reason outside itself, from its last
    checkpoint; the final weights are the same. NAME is the name of the run or the job file; without it, the newest run.
    """
    if (job is not None) + (resume is not None) + list_runs + (remove is not None) != 1:
        raise click.UsageError("give one of JOB.yaml, --resume, --list and --remove")
    need_packages("Training on this machine", "local")
    if history is not None:
        if history.suffix.lower() != ".csv":
            raise Failure(f"{history}: the history is written as CSV: give a name that ends in .csv", WRONG_USAGE)
        need_writable(history)
    runs = open_runs()
    options = Options(output, workers, transport, cluster, numerics, history, track)
    if list_runs:
        print_runs(runs, as_json)
    elif remove is not None:
        runs.remove(remove)
        if as_json:
            print_json({})
    elif job is not None:
        _begin(runs, job, as_json, options)
    else:
        _resume(runs, resume or "", as_json, options)


def _begin(runs: "Runs", job: Path, as_json: bool, options: Options) -> None:
    from raydient.client.data_file import data_here

    from .runs import Run, sha256_of

    output = _usable(options.output or Path(f"{job.stem}.safetensors"))
    with reading(job) as file:
        spec = _with(options, file.spec)
        data, validation = data_here(file.spec, job.parent)
        run = Run(
            name=job.stem,
            job=str(job.resolve()),
            specification=spec.canonical(),
            data=_resolved(data),
            sha256=sha256_of(data),
            validation=_resolved(validation),
            validation_sha256=sha256_of(validation) if validation else "",
            output=str(output.absolute()),
            transport=options.transport or "auto",
            cluster=options.cluster or "local",
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        with runs.begin(run) as folder, kept(folder):
            finished, metrics = _finish(folder, replace(run, name=folder.name), spec, output, options)
    _print_result(finished, metrics, output, as_json)


def _resolved(data: "DataPath | None") -> list[str]:
    from raydient.spec.patterns import to_texts

    return [str(Path(text).resolve()) for text in to_texts(data)]


def _resume(runs: "Runs", name: str, as_json: bool, options: Options) -> None:
    from raydient.spec.errors import InvalidSpec
    from raydient.spec.validation import validate_job

    from .runs import write_run

    if not name or Path(name).is_file():
        name = runs.newest(Path(name) if name else None)
    with runs.take(name) as (folder, begun):
        check_resumable(begun)
        output = _usable(options.output or Path(begun.output))
        transport, cluster = options.transport or begun.transport, options.cluster or begun.cluster
        run = replace(begun, transport=transport, cluster=cluster, reason="", message="")
        write_run(folder, run)
        try:
            spec = _with(options, validate_job(run.specification))
            with kept(folder):
                finished, metrics = _finish(folder, run, spec, output, options)
        except InvalidSpec as error:
            message = "; ".join(map(str, error.errors))
            raise Failure(f"{name} cannot go on: {message}", WRONG_USAGE, "INVALID_SPEC") from error
    _print_result(finished, metrics, output, as_json)


def _usable(output: Path) -> Path:
    """Return the path for the model. Raises Failure if no model can be written there."""
    if output.suffix not in SUFFIXES:
        raise Failure(f"{output}: the model's name has to end in one of {', '.join(SUFFIXES)}", WRONG_USAGE)
    need_writable(output)
    return output


def _finish(folder: Path, run: "Run", spec: "JobSpec", output: Path, options: Options) -> tuple["Finished", "Metrics"]:
    """Train to the end and write model and history; return its metrics. Raises Failure, KeyboardInterrupt."""
    compute_here(spec.training.numerics.is_portable)
    if run.cluster == "local":
        from raydient.server.clusters.local import LocalCluster

        LocalCluster.warm_up(portable=spec.training.numerics.is_portable)
    from raydient.server.training.history import HISTORY_FILE, read_history
    from raydient.server.training.initial_weights import MODEL_FILE
    from raydient.server.training.reports import Outcome

    from .runs import write_run

    finished, metrics = _run(folder, run, spec, options.track)
    if options.history is not None:
        _write_history(folder / HISTORY_FILE, options.history)
    if finished.outcome is Outcome.PAUSED:
        with suppress(OSError):
            echo(finished.message or f"a checkpoint was taken at step {finished.step}", err=True)
        raise Failure("interrupted", INTERRUPTED, "INTERRUPTED")
    if finished.outcome is not Outcome.SUCCEEDED:
        if finished.reason == "OTHER_NUMERICS":
            finished = replace(finished, message=f"{finished.message}; it goes on here with --numerics any")
        write_run(folder, replace(run, reason=finished.reason, message=finished.message))
        raise Failure(finished.message or f"training was {finished.outcome}", FAILED, finished.reason)
    _deliver(folder / MODEL_FILE, output)
    if finished.epoch:
        epochs = read_history(folder / HISTORY_FILE)
        metrics = next((epoch.metrics for epoch in epochs if epoch.epoch == finished.epoch), {})
    return finished, metrics


def _print_result(finished: "Finished", metrics: "Metrics", output: Path, as_json: bool) -> None:
    if as_json:
        mixed = {"mixed_bits": True} if finished.reason == MIXED else {}
        kept = {"epoch": finished.epoch} if finished.epoch else {}
        receipt = {"outcome": finished.outcome, "digest": finished.digest, **mixed, **kept, "model": str(output)}
        print_json({**receipt, "metrics": metrics})
        return
    bits = finished.message if finished.reason == MIXED else ""
    held_out = [
        (f"test {name}", value_text(name, value)) for name, value in without_repetition(metrics.get("test", {})).items()
    ]
    ended = "" if finished.reason == MIXED else finished.message
    kept_epoch = str(finished.epoch) if finished.epoch else ""
    results = [("digest", finished.digest), ("bits", bits), ("ended", ended), ("epoch", kept_epoch), *held_out]
    print_pairs([*results, ("model", str(output))])


def _write_history(record: Path, output: Path) -> None:
    """Write the epochs of a run, those before an interruption first, as `raydient metrics --csv` prints them."""
    from raydient.client.training import history_of
    from raydient.files import write_durably
    from raydient.server.training.history import read_history

    from .metrics import csv_text

    write_durably(output, csv_text(history_of(read_history(record))).encode())


def _deliver(model: Path, output: Path) -> None:
    """Write the model to `output` atomically, in the format that its suffix selects."""
    from raydient.files import replacing
    from raydient.workers.network import ExportFormat, export_model, load_model

    with replacing(output) as file:
        if output.suffix == model.suffix:
            with model.open("rb") as source:
                shutil.copyfileobj(source, file)
        else:
            export_model(load_model(model), ExportFormat(output.suffix), file)


def _run(folder: Path, run: "Run", spec: "JobSpec", track: tuple[str, ...]) -> tuple["Finished", "Metrics"]:
    """Train and show progress. Returns the outcome and the metrics of the last epoch."""
    from raydient.server import embedded
    from raydient.server.training import reports
    from raydient.spec.patterns import from_texts
    from raydient.wire import control

    data = from_texts(run.data)
    assert data is not None
    if run.cluster == "ray":
        need_packages("Training on Ray", "server", "ray")
    metrics: Metrics = {}
    orders: list[control.RunOrder] = []
    with (
        open_trackers(track, run.name) as trackers,
        open_display() as display,
        signals_interrupt() as interruption,
    ):

        def show(report: reports.Report) -> None:
            nonlocal metrics
            if isinstance(report, reports.Started):
                interruption.begin(lambda: orders.append(control.Command(control.Order.PAUSE)))
            if isinstance(report, reports.EpochEnded):
                metrics = report.metrics
                for tracker in trackers:
                    tracker.epoch(report.epoch, report.step, report.metrics)
            with suppress(OSError):  # a closed terminal or pipe must not end training
                show_report(display, report, spec.training.epochs)

        finished = embedded.train(
            spec,
            data,
            validation=from_texts(run.validation),
            directory=folder,
            report=show,
            transport=run.transport,
            cluster=run.cluster,
            files=Path(run.job).parent,
            orders=orders,
            sha256=_sha256(run),
        )
    return finished, metrics


def _sha256(run: "Run") -> dict[str, str]:
    """The SHA-256 of the data files by their setting."""
    return dict(zip(("dataset.uri", "dataset.validation.uri"), (sha256 for _, sha256 in run.files), strict=False))


def _with(options: Options, spec: "JobSpec") -> "JobSpec":
    """Return the specification with the values that options of the command line replace."""
    from raydient.spec.job import WorkerRange
    from raydient.spec.training import Numerics

    if options.workers is not None:
        resources = spec.resources.model_copy(update={"workers": WorkerRange.of(options.workers)})
        spec = spec.model_copy(update={"resources": resources})
    if options.numerics is not None:
        numerics = Numerics.model_validate(options.numerics)
        spec = spec.model_copy(update={"training": spec.training.model_copy(update={"numerics": numerics})})
    return spec
