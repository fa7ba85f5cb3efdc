"""Replays one job, in a process: question on standard input, progress and result on standard output, a line each.

The question is one line of JSON. Lines of the answer are `{"step": n}`, and in the end `{"digest": ...}`, or
`{"problem": ...}` if the record is cut. The process ends when standard input is closed.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from raydient.server.clusters.member import end_with_input, environment

from .answers import open_answers

NICENESS = 10
"""Nice value of a replay, so that jobs and calls get the processor first."""
REPORT_SECONDS = 0.2
"""Shortest interval between two lines of progress."""


@dataclass(frozen=True, slots=True)
class Question:
    """One replay.

    Attributes:
        job: the job's id.
        specification: that with which it was submitted, in JSON form.
        dataset: paths of its data.
        validation: paths of its held-out data; empty if they have no file of their own.
        directory: path of its folder.
        step: step of the checkpoint up to which it is replayed.
    """

    job: str
    specification: Mapping[str, Any]
    dataset: Sequence[str]
    validation: Sequence[str]
    directory: str
    step: int

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls(**json.loads(data))


def variables(*, portable: bool) -> dict[str, str]:
    """Return the environment of the process for a job that is `portable` or not."""
    return {**os.environ, **environment(portable=portable)}


def main() -> None:
    """Answer one question."""
    answers = open_answers(NICENESS)
    question = Question.from_json(sys.stdin.buffer.readline())
    end_with_input()

    reported = time.monotonic()

    def say(**values: Any) -> None:
        answers.write(json.dumps(values).encode() + b"\n")
        answers.flush()

    def progress(step: int) -> None:
        nonlocal reported
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            say(step=step)

    try:
        say(digest=_replay(question, progress))
    except ValueError as error:
        say(problem=str(error))


def _replay(question: Question, progress: Callable[[int], None]) -> str:
    """Return the digest. ValueError if the record is cut."""
    from pathlib import Path  # noqa: PLC0415

    from raydient.spec.job import JobSpec  # noqa: PLC0415
    from raydient.spec.patterns import from_texts  # noqa: PLC0415

    from .checkpoint_files import good_manifests  # noqa: PLC0415
    from .initial_weights import KEPT_FILE  # noqa: PLC0415
    from .order_record import read_order  # noqa: PLC0415
    from .preparation import prepare  # noqa: PLC0415
    from .replay import replay  # noqa: PLC0415

    directory = Path(question.directory)
    spec, dataset = JobSpec.model_validate(question.specification), from_texts(question.dataset)
    assert dataset is not None
    prepared = prepare(
        spec,
        dataset,
        validation=from_texts(question.validation),
        jobs=directory.parent,
        kept=directory / KEPT_FILE,
        folder=directory,
    )
    manifests = (manifest for _, manifest, _ in good_manifests(directory / "checkpoints", question.job))
    manifest = next((manifest for manifest in manifests if manifest.step == question.step), None)
    if manifest is None:
        raise ValueError(f"the checkpoint of step {question.step} has been removed meanwhile")
    parts = [part for part in read_order(directory) if part[1] <= question.step]
    return replay(prepared, parts, manifest.amendments, question.step, progress)


if __name__ == "__main__":
    main()
