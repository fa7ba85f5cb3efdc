"""Compares one specification with its data, in a process: question on standard input, answer on standard output.

The question is one line of JSON, and so is the answer. There is no answer if memory does not suffice, if SIGALRM ends a
check that takes too long, or after an unexpected exception (exit status FAILED). The process ends when standard input
is closed.
"""

import json
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Self

from raydient.server.clusters.member import end_with_input

from .answers import open_answers

FAILED = 1
"""Exit status after an unexpected exception, as Python sets it after a traceback."""
NICENESS = 5
"""Nice value of a check, so that calls answered in milliseconds get the processor first."""


@dataclass(frozen=True, slots=True)
class Question:
    """One check; see `Checker`.

    Attributes:
        specification: of the job, in JSON form.
        dataset: paths of the data.
        validation: paths of the held-out data; empty if they have no file of their own.
        jobs: path of the folder of all jobs.
        kept: path of the initial weights if that file exists; empty to look among the jobs.
        memory: bytes that the check may use.
        seconds: wall time that it may take.
        find_problems: `module:name` of the function that checks.
        machine: memory in bytes of the machine that a whole job runs on; None if it may run on several.
        profile: facts about the data from an earlier check, in JSON form; None if there are none.
    """

    specification: Mapping[str, Any]
    dataset: Sequence[str]
    validation: Sequence[str]
    jobs: str
    kept: str
    memory: int
    seconds: float
    find_problems: str
    machine: int | None
    profile: Mapping[str, Any] | None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls(**json.loads(data))


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one check.

    Attributes:
        errors: (path, message) of each broken rule.
        profile: facts about the data, in JSON form, if the file was read and its values are valid; else None.
    """

    errors: Sequence[tuple[str, str]]
    profile: Mapping[str, Any] | None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls(**json.loads(data))


def main() -> None:
    """Answer one question."""
    answers = open_answers(NICENESS)
    # Import in advance the modules that every check needs.
    import pyarrow.csv  # noqa: F401, PLC0415

    from . import preparation  # noqa: F401, PLC0415

    line = sys.stdin.buffer.readline()
    end_with_input()
    if line and (answer := _answer(Question.from_json(line))) is not None:
        with answers:
            answers.write(answer.to_json())


def _answer(question: Question) -> Answer | None:
    """Return the result of a check; None if memory does not suffice."""
    from pathlib import Path  # noqa: PLC0415

    from raydient.spec.errors import FieldError, InvalidSpec  # noqa: PLC0415
    from raydient.spec.job import JobSpec  # noqa: PLC0415
    from raydient.spec.patterns import from_texts  # noqa: PLC0415
    from raydient.workers.data import Profile  # noqa: PLC0415
    from raydient.workers.data.limits import data_bytes  # noqa: PLC0415

    from .profiles import PROFILE  # noqa: PLC0415

    dataset = from_texts(question.dataset)
    assert dataset is not None
    limit = data_bytes() + question.memory
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    module, _, name = question.find_problems.partition(":")
    find_problems = getattr(import_module(module), name)
    signal.setitimer(signal.ITIMER_REAL, question.seconds)
    learned: list[Profile] = []
    errors: Sequence[FieldError] = ()
    try:
        find_problems(
            JobSpec.model_validate(question.specification),
            dataset,
            validation=from_texts(question.validation),
            jobs=Path(question.jobs),
            kept=Path(question.kept) if question.kept else None,
            memory_bytes=question.machine,
            profile=None if question.profile is None else PROFILE.validate_python(question.profile),
            learn=learned.append,
        )
    except InvalidSpec as invalid:
        errors = invalid.errors
    except MemoryError:
        return None
    profile = PROFILE.dump_python(learned[0], mode="json") if learned else None
    return Answer([(error.path, error.message) for error in errors], profile)
