"""The trials of a sweep, drawn by Optuna and stored in its database, so that a sweep goes on after an interruption."""

import fcntl
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raydient.spec.monitored import larger_is_better

from .errors import NotAllowed
from .extras import importing

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

    from .sweep_file import Sweep

DATABASE, LOCK = "trials.db", "lock"


@dataclass(frozen=True, slots=True)
class Result:
    """A trial that has ended.

    Attributes:
        number: from 1.
        values: of the fields, by path.
        value: of the metric; None if the trial failed.
        metrics: all of them, such as `test_loss`.
        job: the name of the job on a service, or empty.
        message: why it failed, or empty.
    """

    number: int
    values: dict[str, Any]
    value: float | None
    metrics: dict[str, float] = field(default_factory=dict)
    job: str = ""
    message: str = ""


class Trials:
    """The trials of a sweep in a folder. One thread uses it, of one process.

    Attributes:
        identifier: a random name of the sweep.
    """

    def __init__(self, sweep: "Sweep", study: "Study", identifier: str) -> None:
        self.identifier = identifier
        self._sweep, self._study = sweep, study
        self._spaces = {space.path: space.distribution() for space in sweep.spaces}
        self._pending: list[dict[str, Any] | None] = []
        """Values of trials that were interrupted; None for one that waits in the study."""
        self._asked = 0
        self._recover()
        self._ended = len(self.results())

    def _recover(self) -> None:
        """End the trials that an interrupted process has left."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
            known = trial.user_attrs
            if trial.state is TrialState.WAITING:
                self._pending.append(None)
            elif "job" in known and "metrics" in known:  # it had ended
                self._study.tell(trial.number, known["metrics"][self._sweep.metric])
            else:
                self._study.tell(trial.number, state=TrialState.FAIL)
                self._pending += [] if "job" in known else [trial.params]

    def ask(self) -> "tuple[Trial, dict[str, Any]] | None":
        """The next trial with its values; None if all have been asked for."""
        number = self._ended + self._asked
        if number >= self._sweep.trials:
            return None
        self._asked += 1
        if self._pending:
            if (values := self._pending.pop(0)) is not None:
                self._study.enqueue_trial(values)
        elif self._sweep.sampler == "grid":
            point = next(values for place, values in enumerate(self._sweep.grid()) if place == number)
            texts = {space.path: json.dumps(point[space.path], sort_keys=True) for space in self._sweep.spaces}
            self._study.enqueue_trial(texts)
        # A sampler of its own for each trial, so that a sweep that goes on draws what it would have drawn.
        self._study.sampler = _sampler(self._sweep.sampler, self._sweep.seed + number)
        trial = self._study.ask(self._spaces)
        return trial, {space.path: space.value(trial.params[space.path]) for space in self._sweep.spaces}

    def tell(self, trial: "Trial", metrics: dict[str, float], job: str = "") -> Result:
        """Store the metrics of a trial, durably."""
        trial.set_user_attr("metrics", metrics)
        self._end(trial, job, "")
        self._study.tell(trial, metrics[self._sweep.metric])
        return self._result(self._study.trials[trial.number])

    def fail(self, trial: "Trial", message: str, job: str = "") -> Result:
        """Store that a trial has failed."""
        from optuna.trial import TrialState

        self._end(trial, job, message)
        self._study.tell(trial, state=TrialState.FAIL)
        return self._result(self._study.trials[trial.number])

    def results(self) -> list[Result]:
        """The trials that have ended, the best first, those that failed last."""
        results = [self._result(one) for one in self._study.get_trials(deepcopy=False) if "job" in one.user_attrs]
        sign = -1 if larger_is_better(self._sweep.metric) else 1
        return sorted(results, key=lambda one: (one.value is None, sign * (one.value or 0), one.number))

    def _end(self, trial: "Trial", job: str, message: str) -> None:
        trial.set_user_attr("message", message)
        trial.set_user_attr("job", job)

    def _result(self, trial: "FrozenTrial") -> Result:
        from optuna.trial import TrialState

        values = {space.path: space.value(trial.params[space.path]) for space in self._sweep.spaces}
        value = trial.value if trial.state is TrialState.COMPLETE else None
        known = trial.user_attrs
        metrics = known.get("metrics", {})
        return Result(trial.number + 1, values, value, metrics, known.get("job", ""), known.get("message", ""))


@contextmanager
def open_trials(sweep: "Sweep", job: dict[str, Any], folder: Path) -> Iterator[Trials]:
    """Open the trials in a folder, which is created if it is absent.

    Args:
        sweep: the sweep.
        job: its job in JSON form.
        folder: of this sweep.

    Raises:
        NotAllowed: the folder has the trials of another sweep, or another process uses it.
        MissingExtra: Optuna is not installed.
        OSError: the folder cannot be used.
    """
    with importing("A sweep", "sweep"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotAllowed(f"{folder} is in use by another process", reason="SWEEP_IN_USE") from None
        database = (folder / DATABASE).absolute()
        options = {"creator": partial(_connection, database)}
        storage = optuna.storages.RDBStorage(f"sqlite:///{database}", engine_kwargs=options)
        try:
            yield _opened(sweep, job, folder, storage)
        finally:
            storage.remove_session()
            storage.engine.dispose()
    finally:
        os.close(lock)


def _connection(path: Path) -> sqlite3.Connection:
    """Open the database with a log of transactions: they survive the process at once, and are synced together."""
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _opened(sweep: "Sweep", job: dict[str, Any], folder: Path, storage: "RDBStorage") -> Trials:
    import optuna

    direction: Literal["maximize", "minimize"] = "maximize" if larger_is_better(sweep.metric) else "minimize"
    study = optuna.create_study(storage=storage, study_name="sweep", direction=direction, load_if_exists=True)
    identity = json.dumps({**sweep.identity, "job": job}, sort_keys=True)
    known = study.user_attrs
    if "identity" not in known:
        known = {"identity": identity, "identifier": secrets.token_hex(6)}
        for name in ("identifier", "identity"):
            study.set_user_attr(name, known[name])
    if known["identity"] != identity:
        text = f"{folder} has the trials of another sweep or job: name another folder with -o, or remove it"
        raise NotAllowed(text, reason="ANOTHER_SWEEP")
    return Trials(sweep, study, str(known["identifier"]))


def _sampler(kind: str, seed: int) -> "BaseSampler":
    from optuna.samplers import RandomSampler, TPESampler

    return TPESampler(seed=seed) if kind == "tpe" else RandomSampler(seed=seed)
