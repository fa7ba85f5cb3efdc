"""`raydient cross-validate`: trains a job once for each fold of its data."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .display import value_text, without_repetition
from .failures import INTERRUPTED, reading
from .options import ConnectionOptions, compute_here, debug_option, job_file, json_option, with_connection
from .output import echo, print_json, print_table
from .resuming import signals_interrupt

if TYPE_CHECKING:
    from raydient.client.cross_validation import CrossValidation
    from raydient.client.job import Job

SERVER_HELP = "Train on the service, a job for each fold.  [default: on this machine, one fold after the other]"


@click.command("cross-validate")
@job_file
@click.option("--folds", type=click.IntRange(2, 1000), help="Number of folds.  [default: that of the job, or 5]")
@click.option("--workers", type=click.IntRange(1, 1024), help="Instead of the job file's number.")
@click.option("--server", "on_server", is_flag=True, help=SERVER_HELP)
@json_option
@with_connection
@debug_option
def cross_validate(
    *,
    job: Path,
    connection: ConnectionOptions,
    folds: int | None,
    workers: int | None,
    on_server: bool,
    as_json: bool,
) -> int | None:
    """Train a job once for each fold of its data, and print the metrics on the folds with mean and deviation.

    Each row is held out once. Folds follow `dataset.split.method`: classes of `stratified` are in each fold, groups
    of `grouped` in one. Ctrl-C ends training on this machine; jobs of a service go on.
    """
    with reading(job) as file:
        if on_server:
            from raydient.client.training import with_workers

            with connection.open() as client:
                jobs = client.submit_folds(with_workers(workers, file.spec), folds=folds, directory=job.parent)
                return _follow(jobs, connection, as_json=as_json)
        compute_here(file.spec.training.numerics.is_portable)
        from raydient.client.cross_validation import cross_validate as validate

        with signals_interrupt():
            result = validate(file.spec, folds=folds, directory=job.parent, workers=workers)
    _print(result, as_json=as_json)
    return None


def _follow(jobs: "list[Job]", connection: ConnectionOptions, *, as_json: bool) -> int | None:
    """Wait for the jobs of all folds; Ctrl-C leaves them running."""
    from raydient.client.cross_validation import LABEL, results_of

    try:
        result = results_of(jobs, progress=True)
    except KeyboardInterrupt:
        name = jobs[0].spec.labels[LABEL]
        for line in (
            f"\ndetached; {', '.join(job.name for job in jobs)} go on",
            f"  list: raydient list --label {LABEL}={name}{connection.option}",
            f"  cancel: raydient cancel JOB{connection.option}",
        ):
            echo(line, err=True)
        return INTERRUPTED
    _print(result, as_json=as_json)
    return None


def _print(result: "CrossValidation", *, as_json: bool) -> None:
    from raydient.client.job import Job

    if as_json:
        folds: list[dict[str, Any]] = [
            {
                "number": fold.number,
                **({"job": fold.result.name} if isinstance(fold.result, Job) else {}),
                "digest": fold.digest,
                "metrics": _held_out(fold.metrics),
            }
            for fold in result.folds
        ]
        spreads = _held_out({name: asdict(one) for name, one in result.metrics.items()})
        print_json({"folds": folds, "metrics": spreads})
        return
    names = list(without_repetition({name: one.mean for name, one in result.metrics.items()}))
    rows = [[str(fold.number), *(value_text(name, fold.metrics[name]) for name in names)] for fold in result.folds]
    rows.append(["mean", *(value_text(name, result.metrics[name].mean) for name in names)])
    rows.append(["deviation", *(value_text(name, result.metrics[name].deviation) for name in names)])
    print_table(["FOLD", *_held_out(dict.fromkeys(names))], rows)


def _held_out(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics by the names that `list`, `metrics` and `sweep` give those of the held-out part."""
    return {f"test_{name}": value for name, value in metrics.items()}
