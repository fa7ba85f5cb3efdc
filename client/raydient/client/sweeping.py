"""Runs the trials of a sweep, on this machine one after the other, or on a service several at a time."""

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.monitored import larger_is_better

from .errors import JobNotSucceeded
from .sweep_file import Sweep, metric_of, of_search, with_values

if TYPE_CHECKING:
    from optuna.trial import Trial

    from .client import Client
    from .job import Job
    from .sweep_trials import Result, Trials

BEST_MODEL = "best.safetensors"
MOST_CHECKED = 1000
"""Combinations of a grid that are validated before anything starts; of more, one field at a time."""

Check = Callable[[JobSpec], None]
"""Raises InvalidSpec if a job does not fit its data."""
Show = Callable[["Result"], None]


def check_sweep(sweep: Sweep, job: JobSpec, check: Check) -> None:
    """Validate the values and the metric of a sweep.

    Every choice and every end of a range occurs in a job that is compared with the data.

    Raises:
        InvalidSpec: with paths of the sweep file.
    """
    errors: list[FieldError] = []

    def collect(values: Mapping[str, Any], validate: Check | None) -> None:
        try:
            made = with_values(job, values)
        except InvalidSpec as invalid:
            errors.extend(invalid.errors)
            return
        try:
            if validate is not None:
                validate(made)
        except InvalidSpec as invalid:
            errors.extend(of_search(invalid.errors, values))

    for values in sweep.corners():
        collect(values, check)
    if sweep.sampler == "grid" and sweep.trials <= MOST_CHECKED and not errors:
        for values in sweep.grid():
            collect(values, None)
    if not errors:
        errors += _metric_problems(sweep, with_values(job, next(sweep.corners())), check)
    if errors:
        unique = dict.fromkeys((error.path, error.message) for error in errors)
        raise sweep.locate([FieldError(path, message) for path, message in unique])


def _metric_problems(sweep: Sweep, job: JobSpec, check: Check) -> list[FieldError]:
    """The reasons why a job does not have the metric: those why it could not be watched."""
    data = job.canonical()
    data["training"]["early_stopping"] = {"monitor": sweep.metric, "patience": 1}
    try:
        check(JobSpec.model_validate(data))
    except InvalidSpec as invalid:
        return [
            FieldError("metric", error.message)
            for error in invalid.errors
            if error.path.startswith("training.early_stopping")
        ]
    return []


def are_portable(sweep: Sweep, job: JobSpec) -> bool:
    """True if the trials have `training.numerics: portable`, which a process has for all its jobs or for none.

    Raises InvalidSpec if some have it and others have not; values that break other rules are left to `check_sweep`.
    """
    first = next(sweep.corners())
    for space in sweep.spaces:
        kinds = set()
        for value in space.values:
            with suppress(InvalidSpec):
                kinds.add(with_values(job, {**first, space.path: value}).training.numerics.is_portable)
        if len(kinds) > 1:
            text = "`portable` and others cannot be tried in one process: use a service, or a sweep for each"
            raise sweep.locate([FieldError(f"search.{space.path}", text)])
    with suppress(InvalidSpec):
        return with_values(job, first).training.numerics.is_portable
    return job.training.numerics.is_portable


def checks_here(directory: Path) -> Check:
    """A check with the data on this machine, which is read once for the values that do not change its reading."""
    from raydient.server.training.preparation import check, reading
    from raydient.workers.data import Profile

    from .data_file import data_here

    known: dict[str, Profile] = {}

    def run(spec: JobSpec) -> None:
        data, validation = data_here(spec, directory)
        key = json.dumps([reading(spec), spec.dataset.uris], sort_keys=True)

        def learn(profile: Profile) -> None:
            known[key] = profile

        check(spec, data, validation=validation, profile=known.get(key), learn=learn)

    return run


@dataclass(frozen=True, slots=True)
class Work:
    """A sweep at work.

    Attributes:
        job: the job whose fields are tried.
        directory: base of its relative paths.
        show: receives each trial as it ends.
    """

    sweep: Sweep
    job: JobSpec
    directory: Path
    trials: "Trials"
    show: Show


def run_here(work: Work, folder: Path) -> None:
    """Train the trials that are left with processes of this machine; `folder` receives the model of the best one.

    Raises KeyboardInterrupt after all processes have ended.
    """
    from .training import train

    sweep, job, directory, trials, show = work.sweep, work.job, work.directory, work.trials, work.show

    while (asked := trials.ask()) is not None:
        trial, values = asked
        try:
            trained = train(with_values(job, values), directory=directory, progress=False)
        except (InvalidSpec, JobNotSucceeded) as error:
            show(trials.fail(trial, str(error)))
            continue
        recorded = trained.model.network.training.get("metrics", {})
        metrics = {f"{split}_{name}": value for split, named in recorded.items() for name, value in named.items()}
        if sweep.metric not in metrics:
            show(trials.fail(trial, f"it has no metric {sweep.metric}"))
            continue
        earlier = [one.value for one in trials.results() if one.value is not None]
        sign = -1 if larger_is_better(sweep.metric) else 1
        if all(sign * metrics[sweep.metric] < sign * value for value in earlier):
            trained.model.save(folder / BEST_MODEL)  # before the trial has ended, so that a finished one has its model
        show(trials.tell(trial, metrics))


def run_served(work: Work, client: "Client") -> None:
    """Submit the trials that are left, several in flight, and wait for them.

    A job has the same request id whenever its values and the sweep are the same, so a sweep that goes on finds the
    jobs that it had submitted. They go on after an interruption.
    """
    sweep, job, directory, trials, show = work.sweep, work.job, work.directory, work.trials, work.show
    waiting: dict[Future[Job], tuple[Trial, Job]] = {}
    pool = ThreadPoolExecutor(sweep.parallel, thread_name_prefix="sweep")
    try:
        while True:
            while len(waiting) < sweep.parallel and (asked := trials.ask()) is not None:
                trial, values = asked
                try:
                    spec = _labelled(with_values(job, values), f"{sweep.path.stem}-{trials.identifier}")
                    submitted = client.submit(spec, directory=directory, request_id=_request(trials, spec))
                except InvalidSpec as error:
                    show(trials.fail(trial, str(error)))
                    continue
                waiting[pool.submit(submitted.wait)] = trial, submitted
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                trial, submitted = waiting.pop(future)
                show(_ended(sweep, trials, trial, future, submitted))
    except BaseException:
        client.close()  # ends the calls of the threads
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ended(sweep: Sweep, trials: "Trials", trial: "Trial", future: "Future[Job]", job: "Job") -> "Result":
    try:
        future.result()
        return trials.tell(trial, metric_of(job.refresh(), sweep.metric), job.name)
    except (JobNotSucceeded, ValueError) as error:
        return trials.fail(trial, str(error), job.name)


def _labelled(spec: JobSpec, name: str) -> JobSpec:
    return spec.model_copy(update={"labels": {**spec.labels, "sweep": name}})


def _request(trials: "Trials", spec: JobSpec) -> str:
    return hashlib.sha256(f"{trials.identifier} {json.dumps(spec.canonical(), sort_keys=True)}".encode()).hexdigest()
