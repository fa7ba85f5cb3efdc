"""Compares specifications with their data in processes of their own.

A data file may be large and hostile: reading it takes memory, time and the interpreter, which the service needs for its
other calls. So each check is a process (`check_process`) with a limit on memory and time that ends with the call that
asked for it. One process is always started in advance, because a new interpreter takes most of a second.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydient.server.calls import Call
from raydient.server.clusters.member import BLAS_ENVIRONMENT
from raydient.server.errors import Exhausted, Late
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.workers.data.limits import available_bytes, size_text

from . import check_process

REMEMBERED = 1000
"""Results that are kept: most jobs of a series differ in settings that a check does not look at."""
UNCHECKED = ("display_name", "labels", "checkpoints", "monitoring")
"""Parts of a specification that a check does not look at, beside `training`'s epochs and the optimizer's settings."""
PROBLEMS = "raydient.server.training.preparation:check"

Outcome = tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one check.

    Attributes:
        seconds: wall time.
        memory_share: of the memory that is available when it begins.
    """

    seconds: float = 600.0
    memory_share: float = 0.4


class Checker:
    """Checks specifications, each in a process of its own. May be called from any thread; a call blocks it."""

    def __init__(
        self,
        jobs: Path,
        limits: Limits = Limits(),
        available: Callable[[], int] = available_bytes,
        find_problems: str = PROBLEMS,
        machine: int | None = None,
    ) -> None:
        """`jobs` is the folder of the jobs whose weights a specification may begin with.

        `machine` is the memory in bytes of the one machine that jobs run on; None if they may run on several.

        `find_problems` names a function as `module:name`. It gets the specification, the data file and, as `jobs` and
        `memory_bytes`, the folder and the machine's memory, and raises InvalidSpec.
        """
        self._jobs, self._limits, self._available, self._find_problems = jobs, limits, available, find_problems
        self._machine = machine
        self._lock = threading.Lock()  # guards the two below
        self._known: OrderedDict[str, Outcome] = OrderedDict()
        self._spare: subprocess.Popen[bytes] | None = None

    def __call__(self, spec: JobSpec, dataset: Path, call: Call) -> None:
        """Compare a specification with the file at `dataset`.

        The result is remembered for the content of the file and the parts of the specification that matter.

        Raises:
            InvalidSpec: with every broken rule.
            Exhausted: the check needs more memory than its limit.
            Late: it takes longer than its limit.
            Abandoned: the call was given up meanwhile; the process has been ended.
        """
        key = _key(spec, dataset)
        with self._lock:
            found = self._known.get(key) if key else None
        if found is None:
            found = self._run(spec, dataset, call)
            if key:
                self._remember(key, found)
        if found:
            raise InvalidSpec(found)

    def close(self) -> None:
        """End the process that was started in advance."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            _end(spare)

    def _remember(self, key: str, found: Outcome) -> None:
        with self._lock:
            self._known[key] = found
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def _run(self, spec: JobSpec, dataset: Path, call: Call) -> Outcome:
        memory = int(self._limits.memory_share * self._available())
        question = check_process.Question(
            specification=spec.canonical(),
            dataset=str(dataset),
            jobs=str(self._jobs),
            memory=memory,
            seconds=self._limits.seconds,
            find_problems=self._find_problems,
            machine=self._machine,
        )
        process = self._take()
        try:
            with call.ending(process.kill):
                answer = _ask(process, question.to_json())
        finally:
            _end(process)
        call.check()
        if process.returncode == -signal.SIGALRM:
            message = f"comparing the job with its data took more than {self._limits.seconds:g} seconds"
            raise Late(message, reason="CHECK_TOO_SLOW")
        if answer:
            return tuple(FieldError(*error) for error in json.loads(answer))
        if process.returncode == check_process.FAILED:
            raise RuntimeError(f"the check of {dataset} failed; its traceback is in the log")
        message = f"reading the data takes more memory than a check may use here, {size_text(memory)}"
        mend = "name fewer columns, split the file, or give the service's machine more memory"
        raise Exhausted(f"{message}: {mend}", reason="CHECK_OUT_OF_MEMORY")

    def _take(self) -> "subprocess.Popen[bytes]":
        """A process for one check, and another one in advance."""
        with self._lock:
            spare, self._spare = self._spare, _start()
        return spare or _start()


def _start() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", check_process.__name__]
    environment = {**os.environ, **BLAS_ENVIRONMENT}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _ask(process: "subprocess.Popen[bytes]", question: bytes) -> bytes:
    """The answer of a process, after which it ends; empty if it was ended before."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.write(question + b"\n")
        process.stdin.flush()
    answer = process.stdout.read()
    process.wait()
    return answer


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was not sent yet
                pipe.close()


def _key(spec: JobSpec, dataset: Path) -> str:
    """Identity of everything that the result depends on; empty if that cannot be told."""
    if spec.training.initial_weights:
        return ""  # another job's files, which may change
    try:
        status = dataset.stat()
    except OSError:
        return ""
    parts: dict[str, Any] = {key: value for key, value in spec.canonical().items() if key not in UNCHECKED}
    training = {key: value for key, value in parts["training"].items() if key not in ("epochs", "optimizer")}
    parts["training"] = {**training, "optimizer": spec.training.optimizer.kind}
    content = (str(dataset), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return json.dumps([content, parts], sort_keys=True)
