"""`raydient sweep`: a job with many values of its fields."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .display import value_text
from .failures import FAILED, INTERRUPTED, BadJobFile, Failure, reading
from .options import (
    ConnectionOptions,
    compute_here,
    debug_option,
    json_option,
    need_folder,
    need_packages,
    with_connection,
)
from .output import echo, print_json, print_pairs, print_table
from .resuming import signals_interrupt

if TYPE_CHECKING:
    from raydient.client.sweep_file import Sweep
    from raydient.client.sweep_trials import Result, Trials

LOCAL_HELP = "Train on this machine, one trial after the other.  [default: on the service, a job for each trial]"
OUTPUT_HELP = "Folder of the trials, with which a sweep goes on.  [default: SWEEP-trials]"


@click.command()
@click.argument("sweep", metavar="SWEEP.yaml", type=click.Path(path_type=Path))
@click.option("--local", is_flag=True, help=LOCAL_HELP)
@click.option("-o", "--output", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path), help=OUTPUT_HELP)
@json_option
@with_connection
@debug_option
def sweep(*, sweep: Path, local: bool, output: Path | None, connection: ConnectionOptions, as_json: bool) -> int:
    """Train a job with many values of its fields, and compare a metric.

    The values are a grid, random ones, or those that Optuna's TPE sampler chooses. All are validated before anything
    starts. Trials are stored as they end; the same command goes on after an interruption, and prints the results if
    all have ended.
    """
    from raydient.client.sweep_file import open_sweep
    from raydient.client.sweep_trials import open_trials
    from raydient.client.sweeping import Work, are_portable, check_sweep, checks_here, run_here, run_served

    need_packages("A sweep", "sweep")
    folder = output or Path(f"{sweep.stem}-trials")
    need_folder(folder)
    with _naming(sweep):
        read = open_sweep(sweep)
    with reading(read.job) as file, connection.open() as client, signals_interrupt():
        job, directory = file.spec, read.job.parent
        with _naming(sweep):
            if local:
                compute_here(are_portable(read, job))
        check = (
            checks_here(directory)
            if local
            else lambda spec: void(client.submit(spec, directory=directory, validate_only=True))
        )
        check(job)
        with _naming(sweep):
            check_sweep(read, job, check)
        with open_trials(read, job.canonical(), folder) as trials:
            work = Work(read, job, directory, trials, _Shown(read, trials))
            try:
                if local:
                    run_here(work, folder)
                else:
                    run_served(work, client)
            except KeyboardInterrupt:
                jobs = "" if local else "; the jobs in flight go on"
                text = f"interrupted; trials that have ended are kept{jobs}. Go on: raydient sweep {sweep}"
                options = " --local" if local else connection.option
                options += f" -o {output}" if output else ""
                raise Failure(f"{text}{options}", INTERRUPTED, "INTERRUPTED") from None
            results = trials.results()
    _print(read, results, folder, as_json)
    if all(one.value is None for one in results):
        echo(f"no trial has a {read.metric}: {results[0].message}", err=True)
        return FAILED
    return 0


@contextmanager
def _naming(sweep: Path) -> Iterator[None]:
    """Give errors of the sweep its path."""
    from raydient.spec.errors import InvalidSpec

    try:
        yield
    except InvalidSpec as error:
        raise BadJobFile(sweep, error.errors) from error


def void(_: object) -> None:
    """Discard a value."""


class _Shown:
    """Prints a line for each trial that has ended."""

    def __init__(self, sweep: "Sweep", trials: "Trials") -> None:
        from raydient.client.sweep_file import short_names

        self._sweep, self._trials = sweep, trials
        self._names = short_names(sweep.paths)
        self._ended = len(trials.results())
        if self._ended:
            echo(f"{self._ended} of {sweep.trials} trials have ended before", err=True)

    def __call__(self, result: "Result") -> None:
        self._ended += 1
        count = f"{self._ended:>{len(str(self._sweep.trials))}}/{self._sweep.trials}"
        values = "  ".join(f"{self._names[path]} {_value(value)}" for path, value in result.values.items())
        metric = self._sweep.metric
        outcome = result.message if result.value is None else f"{metric} {value_text(metric, result.value)}"
        best = "  best so far" if self._trials.results()[0].number == result.number and result.value is not None else ""
        echo(f"trial {count}  {outcome}  {values}{best}", err=True)


def _value(value: Any) -> str:
    import json

    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _print(sweep: "Sweep", results: "list[Result]", folder: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from raydient.client.sweep_file import short_names
    from raydient.client.sweeping import BEST_MODEL

    model = folder / BEST_MODEL
    if as_json:
        trials = [{name: value for name, value in asdict(one).items() if value != ""} for one in results]
        print_json({"metric": sweep.metric, "trials": trials, **({"model": str(model)} if model.exists() else {})})
        return
    jobs = any(one.job for one in results)
    names = short_names(sweep.paths)
    head = ["TRIAL", sweep.metric, *names.values(), *(["JOB"] if jobs else [])]
    rows = [
        [
            str(one.number),
            "failed" if one.value is None else value_text(sweep.metric, one.value),
            *(_value(one.values[path]) for path in names),
            *([one.job] if jobs else []),
        ]
        for one in results
    ]
    print_table(head, rows)
    if model.exists():
        print_pairs([("model", str(model))])
