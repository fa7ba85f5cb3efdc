"""`raydient sweep`: a job with many values of its fields."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .display import value_text
from .failures import FAILED, INTERRUPTED, BadJobFile, Failure, reading
from .options import ConnectionOptions, debug_option, json_option, need_packages, with_connection
from .output import echo, print_json, print_pairs, print_table
from .resuming import signals_interrupt

if TYPE_CHECKING:
    from raydient.client.sweep_file import Sweep
    from raydient.client.sweep_trials import Result, Trials

OUTPUT_HELP = "Folder of the trials, with which a sweep goes on.  [default: SWEEP-trials]"


@click.command()
@click.argument("sweep", metavar="SWEEP.yaml", type=click.Path(path_type=Path))
@click.option("--local", is_flag=True, help="Train on this machine, without a service, one trial after the other.")
@click.option("-o", "--output", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path), help=OUTPUT_HELP)
@json_option
@with_connection
@debug_option
def sweep(*, sweep: Path, local: bool, output: Path | None, connection: ConnectionOptions, as_json: bool) -> None:
    """Train a job with many values of its fields, and compare a metric.

    The values are a grid, random ones, or those that Optuna's TPE sampler chooses. All are validated before anything
    starts. Trials are stored as they end; the same command goes on after an interruption, and prints the results if
    all have ended.
    """
    from raydient.client.sweep_file import open_sweep
    from raydient.client.sweep_trials import open_trials
    from raydient.client.sweeping import Work, check_sweep, checks_here, run_here, run_served
    from raydient.spec.errors import InvalidSpec

    need_packages("A sweep", "sweep")
    if local:
        need_packages("Training on this machine", "local")
    folder = output or Path(f"{sweep.stem}-trials")
    try:
        read = open_sweep(sweep)
    except InvalidSpec as error:
        raise BadJobFile(sweep, error.errors) from error
    with reading(read.job) as file, connection.open() as client, signals_interrupt():
        job, directory = file.spec, read.job.parent
        check = (
            checks_here(directory)
            if local
            else lambda spec: void(client.submit(spec, directory=directory, validate_only=True))
        )
        check(job)
        try:
            check_sweep(read, job, check)
        except InvalidSpec as error:
            raise BadJobFile(sweep, error.errors) from error
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
                raise Failure(f"{text}{' --local' * local}", INTERRUPTED, "INTERRUPTED") from None
            results = trials.results()
    _print(read, results, folder, as_json)
    if not any(one.value is not None for one in results):
        raise Failure(f"no trial has a {read.metric}: {results[0].message}", FAILED, "NO_RESULT")


def void(_: object) -> None:
    """Discard a value."""


class _Shown:
    """Prints a line for each trial that has ended."""

    def __init__(self, sweep: "Sweep", trials: "Trials") -> None:
        self._sweep, self._trials = sweep, trials
        self._ended = len(trials.results())
        if self._ended:
            echo(f"{self._ended} of {sweep.trials} trials have ended before", err=True)

    def __call__(self, result: "Result") -> None:
        self._ended += 1
        count = f"{self._ended:>{len(str(self._sweep.trials))}}/{self._sweep.trials}"
        values = "  ".join(f"{path.rpartition('.')[2]} {_value(value)}" for path, value in result.values.items())
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

    from raydient.client.sweeping import BEST_MODEL

    model = folder / BEST_MODEL
    if as_json:
        trials = [asdict(one) for one in results]
        print_json({"metric": sweep.metric, "trials": trials, **({"model": str(model)} if model.exists() else {})})
        return
    jobs = any(one.job for one in results)
    names = [space.path.rpartition(".")[2] for space in sweep.spaces]
    head = ["TRIAL", sweep.metric, *names, *(["JOB"] if jobs else [])]
    rows = [
        [
            str(one.number),
            "failed" if one.value is None else value_text(sweep.metric, one.value),
            *(_value(one.values[space.path]) for space in sweep.spaces),
            *([one.job] if jobs else []),
        ]
        for one in results
    ]
    print_table(head, rows)
    if model.exists():
        print_pairs([("model", str(model))])
