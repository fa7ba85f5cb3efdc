"""Compares specifications with their data, each in a separate process.

A data file may be large and hostile: reading it takes memory, time and the interpreter's lock, which the service needs
for other calls. Each check therefore runs in a process (`check_process`) with limits on memory and time, which ends
with the call. One process is always started in advance, because it loads a library that reads tables.
"""

import json
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydient.server.calls import Call
from raydient.server.clusters.forking import Child, Entry, server_with
from raydient.server.clusters.member import environment
from raydient.server.errors import Exhausted, Late
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.patterns import DataPath, name_of, to_texts
from raydient.workers.data.limits import available_bytes, size_text

from . import check_process
from .profiles import PROFILE, Profiles, identity

REMEMBERED = 1000
"""Number of results kept: most jobs of a series differ only in settings that a check ignores."""
UNCHECKED = ("display_name", "labels", "checkpoints", "monitoring")
"""Parts of a specification that a check ignores. With a constant learning rate `training.epochs` and the optimizer's
settings are ignored too.
"""
PROBLEMS = "raydient.server.training.preparation:check"

Outcome = tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one check.

    Attributes:
        seconds: wall time.
        memory_share: share of the memory that is available when the check begins.
    """

    seconds: float = 600.0
    memory_share: float = 0.4


class Checker:
    """Checks specifications, each in a separate process. May be called from any thread; a call blocks it."""

    def __init__(
        self,
        jobs: Path,
        limits: Limits = Limits(),
        available: Callable[[], int] = available_bytes,
        find_problems: str = PROBLEMS,
        *,
        machine: int | None = None,
        datasets: Path | None = None,
    ) -> None:
        """Start no process yet.

        Args:
            jobs: folder of the jobs whose weights `training.initial_weights` may name.
            limits: bounds of each check.
            available: returns the bytes of memory that are available now.
            find_problems: the checking function, as `module:name`. It is called as `preparation.check` is, with
                `memory_bytes` = `machine`, and raises InvalidSpec.
            machine: memory in bytes of the one machine that jobs run on; None if they may run on several.
            datasets: folder of stored datasets, beside which their profiles are kept.
        """
        self._jobs, self._limits, self._available, self._find_problems = jobs, limits, available, find_problems
        self._machine, self._profiles = machine, Profiles(datasets)
        self._lock = threading.Lock()  # guards the two below
        self._known: OrderedDict[str, Outcome] = OrderedDict()
        self._spare: Child | None = None

    def __call__(
        self,
        spec: JobSpec,
        dataset: DataPath,
        call: Call,
        validation: DataPath | None = None,
        kept: Path | None = None,
    ) -> None:
        """Compare a specification with the files of `dataset`, and with those of its held-out data if it has any.

        The file `kept` has its initial weights if it exists, see `prepare`.

        The result is cached by the identity of the files and the parts of the specification that it depends on. The
        facts about the data are kept too: a job that reads the same content in the same way, with another network,
        batch size or loss, is compared with them alone. `preparation.check` lists the cases that need the file again.

        Raises:
            InvalidSpec: lists every broken rule.
            Exhausted: the check needs more memory than its limit.
            Late: the check takes longer than its limit.
            Abandoned: the call was abandoned meanwhile; the process has been ended.
        """
        key = _key(spec, dataset, validation)
        with self._lock:
            errors = self._known.get(key) if key else None
        if errors is None:
            errors = self._run(spec, dataset, call, validation, kept)
            if key:
                self._remember(key, errors)
        if errors:
            raise InvalidSpec(errors)

    def close(self) -> None:
        """End the process that was started in advance."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            _end(spare)

    def _remember(self, key: str, errors: Outcome) -> None:
        with self._lock:
            self._known[key] = errors
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def _run(
        self, spec: JobSpec, dataset: DataPath, call: Call, validation: DataPath | None, kept: Path | None
    ) -> Outcome:
        memory = int(self._limits.memory_share * self._available())
        reading = self._profiles.reading(spec, dataset, validation)
        profile = self._profiles.find(reading)
        question = check_process.Question(
            specification=spec.canonical(),
            dataset=to_texts(dataset),
            validation=to_texts(validation),
            jobs=str(self._jobs),
            kept=str(kept or ""),
            memory=memory,
            seconds=self._limits.seconds,
            find_problems=self._find_problems,
            machine=self._machine,
            profile=PROFILE.dump_python(profile, mode="json") if profile else None,
        )
        process = self._take()
        try:
            with call.ending(process.kill):
                text = _ask(process, question.to_json())
        finally:
            _end(process)
        call.check()
        if process.returncode == -signal.SIGALRM:
            message = f"comparing the job with its data took more than {self._limits.seconds:g} seconds"
            raise Late(message, reason="CHECK_TOO_SLOW")
        if text:
            answer = check_process.Answer.from_json(text)
            if answer.profile is not None:
                self._profiles.keep(reading, PROFILE.validate_python(answer.profile))
            return tuple(FieldError(*error) for error in answer.errors)
        if process.returncode == check_process.FAILED:
            raise RuntimeError(f"the check of {name_of(dataset)} failed; its traceback is in the log")
        message = f"reading the data takes more memory than a check may use here, {size_text(memory)}"
        remedy = "name fewer columns, split the file, or give the service's machine more memory"
        raise Exhausted(f"{message}: {remedy}", reason="CHECK_OUT_OF_MEMORY")

    def _take(self) -> Child:
        """Return a process for one check, and start the next one in advance."""
        with self._lock:
            spare, self._spare = self._spare, _start()
        if spare is not None and spare.poll() is None:
            return spare
        if spare is not None:
            _end(spare)  # it was killed while it waited
        return _start()


def _start() -> Child:
    variables = {**os.environ, **environment()}
    return server_with(variables).fork(Entry(check_process.__name__), "raydient: check", variables)


def _ask(process: Child, question: bytes) -> bytes:
    """Send the question and return the answer, after which the process ends. Empty if it was ended before."""
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.write(question + b"\n")
        process.stdin.flush()
    answer = process.stdout.read()
    process.wait()
    return answer


def _end(process: Child) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # closing flushes data that was not sent
                pipe.close()


def _key(spec: JobSpec, dataset: DataPath, validation: DataPath | None) -> str:
    """Return a key of everything that the result depends on; empty if the result must not be cached."""
    if spec.training.initial_weights or spec.dataset.images:
        return ""  # other files, of another job or of images that a table names, which may change
    contents = [identity(file) for file in (dataset, validation) if file is not None]
    if not all(contents):
        return ""
    parts: dict[str, Any] = {key: value for key, value in spec.canonical().items() if key not in UNCHECKED}
    if not spec.training.has_schedule:
        training = {key: value for key, value in parts["training"].items() if key not in ("epochs", "optimizer")}
        parts["training"] = {**training, "optimizer": spec.training.optimizer.kind}
    return json.dumps([contents, parts], sort_keys=True)
