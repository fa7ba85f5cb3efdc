"""Replays of jobs: each trains a job again in one process, in the recorded order of arrival."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from raydient.server.errors import DataLoss, NotAllowed
from raydient.server.training import replay_process
from raydient.server.training.checkpoint_files import Manifest, good_manifests
from raydient.spec.patterns import to_texts

from .directory import StateDirectory
from .records import Job
from .sources import Sources

AT_ONCE = 1
"""Number of replays at a time."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The progress of a replay, or its result.

    Attributes:
        step, steps: steps made, and steps of the job up to its newest checkpoint.
        digest: digest of the replayed weights; empty before the end.
        recorded_digest: that of the checkpoint.
    """

    step: int
    steps: int
    digest: str = ""
    recorded_digest: str = ""


class Replays:
    """Replays jobs, one after the other. For one event loop."""

    def __init__(self, directory: StateDirectory, sources: Sources) -> None:
        self._directory, self._sources = directory, sources
        self._free = asyncio.Semaphore(AT_ONCE)

    async def replay(self, job: Job) -> AsyncIterator[Replayed]:
        """Replay a job up to its newest checkpoint; yield the progress, and the result in the end.

        Raises:
            NotAllowed: the job has no checkpoint.
            NotFound: its dataset has been deleted.
            DataLoss: its record of the order of arrival is cut.
        """
        question, manifest = await asyncio.to_thread(self._question, job)
        async with self._free:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                replay_process.__name__,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=replay_process.variables(portable=job.spec.training.numerics.is_portable),
            )
            try:
                async for replayed in _answers(process, job, question, manifest):
                    yield replayed
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    def _question(self, job: Job) -> tuple[replay_process.Question, Manifest]:
        folder = self._directory.job(job.id)
        manifest = next((manifest for _, manifest, _ in good_manifests(folder / "checkpoints", job.id)), None)
        if manifest is None:
            raise NotAllowed(f"jobs/{job.id} is {job.state.name} and has no checkpoint yet", reason="NO_CHECKPOINT")
        dataset, validation = self._sources.find_files(job.spec.dataset)
        question = replay_process.Question(
            job=job.id,
            specification=job.spec.canonical(),
            dataset=to_texts(dataset),
            validation=to_texts(validation),
            directory=str(folder),
            step=manifest.step,
        )
        return question, manifest


async def _answers(
    process: asyncio.subprocess.Process, job: Job, question: replay_process.Question, manifest: Manifest
) -> AsyncIterator[Replayed]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(question.to_json() + b"\n")
    async for line in process.stdout:
        answer = json.loads(line)
        if "problem" in answer:
            raise DataLoss(f"jobs/{job.id} cannot be replayed: {answer['problem']}", reason="RECORD_CUT")
        if "digest" in answer:
            yield Replayed(manifest.step, manifest.step, answer["digest"], manifest.result_digest)
            return
        yield Replayed(answer["step"], manifest.step)
    raise RuntimeError(f"the replay of jobs/{job.id} failed; its traceback is in the log")
