"""Trains a job on this machine, without a service, for callers in Python."""

import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydient.spec.job import JobSpec, WorkerRange

from .data_file import AnyJob, AnyStart, data_here, with_data, with_job, with_start
from .errors import JobNotSucceeded, MissingExtra
from .extras import missing_packages
from .history import History, Point
from .local_model import LocalModel, one_thread
from .tracking import Tracking, tracking

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

    from raydient.server.training.preparation import Prepared
    from raydient.server.training.reports import EpochEnded, Finished


@dataclass(frozen=True, slots=True, repr=False)
class Trained:
    """The result of training.

    Attributes:
        history: the metrics by epoch.
        model: the trained network.
        epoch: the epoch whose weights these are if the job keeps the best ones, else 0.
        message: why training ended early, or that its bits are those of unlike machines; else empty.
        held_out: rows of the data that were held out, from 0 and ascending; None if the held-out data were their own.
    """

    history: History
    model: LocalModel
    epoch: int = 0
    message: str = ""
    held_out: "NDArray[int64] | None" = field(default=None, compare=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return self.model.digest

    def __repr__(self) -> str:
        return f"<Trained {self.model!r}, {self.history!r}>"


def train(
    job: AnyJob,
    data: Any = None,
    *,
    validation: Any = None,
    initial_weights: "AnyStart | None" = None,
    directory: str | os.PathLike[str] = ".",
    workers: int | None = None,
    progress: bool = True,
    track: Iterable[str] = (),
) -> Trained:
    """Train a job with processes of this machine, without a service, and return the trained network.

    The weights have the same bits as those of `raydient train` with the same job and the same values.

    Args:
        job: a specification, the same as plain data, or the path of a job file.
        data: replaces `dataset.uri`: a DataFrame, a mapping of columns or arrays, a pair of samples and labels, or the
            path of a data file; see `write_data`.
        validation: the same for the held-out part; replaces `dataset.validation`, and no row of the data is held out.
        initial_weights: replaces `training.initial_weights.from`: a `LocalModel`, or the path of a `.safetensors` file.
        directory: base of relative paths in a job that is no file.
        workers: instead of the job's number.
        progress: show the progress on standard error.
        track: receive the metrics of each epoch, such as `tensorboard:DIR`; see `trackers.opener`.

    Raises:
        InvalidSpec: the job or its data break rules; nothing has been started.
        ValueError: the data cannot be written to a file, or a tracker is unknown.
        JobNotSucceeded: training failed.
        MissingExtra: the packages of the extra `local` or of a tracker are not installed.
        KeyboardInterrupt: after all processes have ended; nothing of the run is kept.
    """
    if missing_packages("local"):
        raise MissingExtra("Training on this machine", "local")
    with tempfile.TemporaryDirectory(prefix="raydient-") as folder:

        def use(spec: JobSpec, base: Path) -> Trained:
            with_values = with_data(with_workers(workers, spec), data, validation, Path(folder))
            with_values = with_start(with_values, initial_weights, Path(folder))
            name = f"{re.sub('[^a-z0-9]+', '-', spec.display_name.lower()) or 'train'}-{secrets.token_hex(3)}"
            with tracking(track, name, partial(print, file=sys.stderr)) as trackers:
                return train_here(with_values, base, Path(folder) / "run", progress, trackers=trackers)

        return with_job(job, data, directory, use)


def history_of(epochs: "Iterable[EpochEnded]") -> History:
    """The curves of epochs as they are recorded."""
    return History(
        Point(name, split, epoch.epoch, epoch.step, value)
        for epoch in epochs
        for split, metrics in epoch.metrics.items()
        for name, value in metrics.items()
    )


def with_workers(workers: int | None, spec: JobSpec) -> JobSpec:
    """Return the job with another number of workers, unless that is None."""
    if workers is None:
        return spec
    resources = spec.resources.model_copy(update={"workers": WorkerRange.of(workers)})
    return spec.model_copy(update={"resources": resources})


def train_here(
    spec: JobSpec, directory: Path, run: Path, progress: bool, *, trackers: Sequence[Tracking] = ()
) -> Trained:
    """Do what `train` does with a job whose data are files.

    Args:
        spec: the job.
        directory: base of its relative paths.
        run: folder for checkpoints and the model.
        progress: show the progress on standard error.
        trackers: receive the metrics of each epoch.
    """
    from raydient.server.clusters.local import LocalCluster

    LocalCluster.warm_up(portable=spec.training.numerics.is_portable)
    from raydient.server.training.history import HISTORY_FILE, read_history
    from raydient.server.training.initial_weights import MODEL_FILE
    from raydient.server.training.reports import Outcome
    from raydient.workers.network import load_model

    held_out: list[NDArray[int64] | None] = []

    def begin(prepared: "Prepared") -> None:
        held_out.append(prepared.dataset.held_out)

    finished = _run(spec, run, directory, progress, begin, trackers=trackers)
    if finished.outcome is not Outcome.SUCCEEDED:
        state = "CANCELLED" if finished.outcome is Outcome.CANCELLED else "FAILED"
        message = finished.message or f"training was {finished.outcome}"
        raise JobNotSucceeded(message, state=state, reason=finished.reason)
    history = history_of(read_history(run / HISTORY_FILE))
    model = LocalModel(load_model(run / MODEL_FILE))
    return Trained(history, model, finished.epoch, finished.message, *held_out)


def _run(
    spec: JobSpec,
    run: Path,
    directory: Path,
    progress: bool,
    begin: "Callable[[Prepared], None]",
    *,
    trackers: Sequence[Tracking] = (),
) -> "Finished":
    """Train to the end; see `embedded.train`."""
    data, validation = data_here(spec, directory)
    from raydient.server import embedded
    from raydient.server.training.reports import EpochEnded, Report

    from .cli.display import open_display, show_report
    from .cli.runs import sha256_of

    # The coordinator, which computes the initial weights, has one thread for BLAS, as its processes have.
    with open_display() if progress else nullcontext() as display, one_thread():

        def show(report: Report) -> None:
            if isinstance(report, EpochEnded):
                for tracker in trackers:
                    tracker.epoch(report.epoch, report.step, report.metrics)
            if display is not None:
                with suppress(OSError):  # a closed terminal or pipe must not end training
                    show_report(display, report, spec.training.epochs)

        files = {"dataset.uri": data, "dataset.validation.uri": validation}
        return embedded.train(
            spec,
            data,
            validation=validation,
            directory=run,
            report=show,
            files=directory,
            begin=begin,
            sha256={field: sha256_of(file) for field, file in files.items() if file is not None},
        )
