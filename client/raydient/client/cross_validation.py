"""k-fold cross-validation: a job is trained once for each fold of its data, which is held out."""

import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.splits import Folds, SplitMethod

from .data_file import AnyJob, data_here, with_data, with_job
from .errors import JobNotSucceeded, MissingExtra
from .extras import missing_packages
from .notebook import table
from .training import Trained, train_here, with_workers

if TYPE_CHECKING:
    from pandas import DataFrame

    from .job import Job

LABEL, FOLD_LABEL = "cross-validation", "fold"
"""Labels of the jobs of one cross-validation: its name, and the number of the fold."""
DEFAULT_FOLDS, MOST_FOLDS = 5, 1000


@dataclass(frozen=True, slots=True)
class Fold:
    """The result of one fold.

    Attributes:
        number: of the fold, from 1.
        metrics: loss and metrics on the fold, which was held out, of the epoch whose weights the model has.
        digest: SHA-256 of the weights.
        result: the trained network with its history, or the job of a service.
    """

    number: int
    metrics: Mapping[str, float]
    digest: str
    result: "Trained | Job" = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric over the folds: its mean, and its sample standard deviation, with the number of folds - 1."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True, repr=False)
class CrossValidation:
    """The results of all folds.

    Attributes:
        folds: in the order of their numbers.
    """

    folds: Sequence[Fold]

    @property
    def metrics(self) -> dict[str, Spread]:
        """Mean and deviation of each metric, by its name."""
        values = {name: [fold.metrics[name] for fold in self.folds] for name in self.folds[0].metrics}
        return {name: Spread(fmean(each), stdev(each)) for name, each in values.items()}

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {one.mean:.4g} ± {one.deviation:.2g}" for name, one in self.metrics.items())
        return f"<CrossValidation of {len(self.folds)} folds: {values}>"

    def _repr_html_(self) -> str:
        names = list(self.metrics)
        rows = [[str(fold.number), *(f"{fold.metrics[name]:.4g}" for name in names)] for fold in self.folds]
        rows.append(["mean", *(f"{one.mean:.4g}" for one in self.metrics.values())])
        rows.append(["deviation", *(f"{one.deviation:.4g}" for one in self.metrics.values())])
        return table(["fold", *names], rows, f"Cross-validation of {len(self.folds)} folds")

    def to_pandas(self) -> "DataFrame":
        """A table with one row per fold and one column per metric. Raises MissingExtra if pandas is not installed."""
        from .extras import importing

        with importing("A table of the folds", "plot"):
            import pandas as pd
        rows = [dict(fold.metrics) for fold in self.folds]
        return pd.DataFrame(rows, index=pd.Index([fold.number for fold in self.folds], name="fold"))


def cross_validate(
    job: AnyJob,
    data: Any = None,
    *,
    folds: int | None = None,
    directory: str | os.PathLike[str] = ".",
    workers: int | None = None,
    progress: bool = True,
) -> CrossValidation:
    """Train a job once for each fold of its data, with processes of this machine, and evaluate it on that fold.

    Each fold is held out by `dataset.split.method: folds`, in the variant of the job's own method: classes of
    `stratified` are in each fold, groups of `grouped` in one. Models, seeds and bits are those of `train` with such a
    job. Before anything is trained, the job is checked with each fold.

    Args:
        job, data, directory, workers: see `train`.
        folds: number of folds; by default that of the job's own `folds`, else 5.
        progress: show the progress of each fold on standard error.

    Raises:
        InvalidSpec: the job or its data break rules, or the job holds out certain rows; nothing has been started.
        ValueError: the data cannot be written to a file, or the number of folds is no number of 2 to 1000.
        JobNotSucceeded: the training of a fold failed.
        MissingExtra: the packages of the extra `local` are not installed.
        KeyboardInterrupt: after all processes have ended; nothing is kept.
    """
    if missing_packages("local"):
        raise MissingExtra("Training on this machine", "local")
    with tempfile.TemporaryDirectory(prefix="raydient-") as folder:

        def use(spec: JobSpec, base: Path) -> CrossValidation:
            specs = with_folds(with_data(with_workers(workers, spec), data, None, Path(folder)), folds)
            _check(specs, base)
            results = []
            for number, one in enumerate(specs, start=1):
                run = Path(folder) / f"run-{number}"
                _say(number, len(specs), progress=progress)
                with _naming(number, len(specs)):
                    trained = train_here(one, base, run, progress)
                results.append(Fold(number, _held_out(trained.model.network.training), trained.digest, trained))
            return CrossValidation(results)

        return with_job(job, data, directory, use)


def with_folds(spec: JobSpec, number: int | None = None) -> list[JobSpec]:
    """Return the job of each fold.

    Args:
        spec: the job.
        number: of folds; None: that of the job's own `folds`, else DEFAULT_FOLDS.

    Raises:
        InvalidSpec: the job holds out certain rows, or data of their own.
        ValueError: a wrong number.
    """
    split = spec.dataset.split
    if spec.dataset.validation is not None:
        raise _held_out_once("dataset.validation", "data of their own are held out")
    if split.method.kind in ("ordered", "column"):
        raise _held_out_once("dataset.split.method", f"{split.method.kind} holds out certain rows")
    own = split.method.folds
    number = number if number is not None else own.number if own else DEFAULT_FOLDS
    if not 2 <= number <= MOST_FOLDS:
        raise ValueError(f"{number} folds: a number of 2 to {MOST_FOLDS} is needed")
    stratified, grouped = (own.stratified, own.grouped) if own else (split.method.stratified, split.method.grouped)
    specs = []
    for fold in range(1, number + 1):
        method = SplitMethod(folds=Folds(number=number, fold=fold, stratified=stratified, grouped=grouped))
        held_out = split.model_copy(update={"test": 0.0, "method": method})
        specs.append(spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"split": held_out})}))
    return specs


def labelled(specs: Iterable[JobSpec]) -> list[JobSpec]:
    """Return the jobs of folds with labels by which a service lists them together."""
    name = secrets.token_hex(4)
    return [
        spec.model_copy(update={"labels": {**spec.labels, LABEL: name, FOLD_LABEL: str(number)}})
        for number, spec in enumerate(specs, start=1)
    ]


def results_of(jobs: Sequence["Job"], *, progress: bool = False) -> CrossValidation:
    """Wait for the jobs of all folds, in the order of their numbers, and return their results.

    Raises JobNotSucceeded if one failed or was cancelled; the others go on.
    """
    folds = []
    for number, job in enumerate(jobs, start=1):
        _say(number, len(jobs), progress=progress)
        with _naming(number, len(jobs)):
            job.wait(progress=progress)
        folds.append(Fold(number, _held_out(job.report().content), job.digest, job))
    return CrossValidation(folds)


def _held_out_once(path: str, why: str) -> InvalidSpec:
    mend = "leave it out, or hold out by random, stratified, grouped or folds"
    return InvalidSpec([FieldError(path, f"{why}, but cross-validation holds out each row once: {mend}")])


def _check(specs: Iterable[JobSpec], directory: Path) -> None:
    """Check the job with each fold. Raises InvalidSpec with the errors of the first fold that has some."""
    for spec in specs:
        data, _ = data_here(spec, directory)
        from raydient.server.training.preparation import prepare
        from raydient.workers.data.limits import machine_bytes

        prepare(spec, data, files=directory, memory_bytes=machine_bytes())


def _held_out(content: Mapping[str, Any]) -> Mapping[str, float]:
    """The metrics on the held-out part, of a description of a trained network."""
    metrics: Mapping[str, float] = content.get("metrics", {}).get("test", {})
    return metrics


@contextmanager
def _naming(number: int, count: int) -> Iterator[None]:
    """Name the fold in the error of one that did not succeed."""
    try:
        yield
    except JobNotSucceeded as error:
        raise JobNotSucceeded(f"fold {number} of {count}: {error}", state=error.state, reason=error.reason) from error


def _say(number: int, count: int, *, progress: bool) -> None:
    from .cli.output import echo

    if progress:
        with suppress(OSError):  # a closed terminal or pipe must not end training
            echo(f"fold {number} of {count}", err=True)
