"""How the service starts, follows and stops the coordinator of a job: the one door between jobs/ and training/."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from raydient.spec.job import JobSpec

from .reports import NumberedReport


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The arguments for a run of a job.

    Attributes:
        job: the job's id.
        workers, minimum: number of workers to start, and least number with which the job goes on for long.
        spec: its specification, validated.
        dataset: the data file on this machine.
        directory: the job's folder for checkpoints and model; created if absent. If it holds a checkpoint, the run
            starts from it.
        epochs: number of the newest epoch that the service has; the run reports only newer ones.
    """

    job: str
    workers: int
    minimum: int
    spec: JobSpec
    dataset: Path
    directory: Path
    epochs: int = 0


class RunListener(Protocol):
    """Hears of a run. Called from one thread of the run's own, one call at a time, in order."""

    def report(self, reports: Sequence[NumberedReport]) -> None:
        """Store reports in this order, all or none; they are durable on return and are not sent again.

        A `Finished` may be followed by epochs that it overtook, in this call or a later one. After a restart of the
        service reports may come a second time.
        """

    def lost(self, reason: str) -> None:
        """Handle the end of a coordinator that has not sent all reports. Called at most once, as the last call."""


class Run(Protocol):
    """A coordinator at work."""

    @property
    def attachment(self) -> str:
        """Opaque and secret: with it a later server finds this run again, see `Runner.attach`."""

    def cancel(self) -> None:
        """Ask it to stop for good; `Finished(CANCELLED)` follows. Does not block; harmless when repeated."""

    def pause(self) -> None:
        """Ask for a checkpoint and an end; `Finished(PAUSED)` follows. Does not block; harmless when repeated."""

    def scale(self, workers: int, minimum: int) -> None:
        """Ask for so many workers from now on, see `RunRequest`. Does not block; harmless when repeated."""

    def detach(self) -> None:
        """Stop following the run and leave it running for a later service to attach to. Only if `Runner.detaches`.

        Waits for the last call to the listener to return. `join` returns True then.
        """

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the last call to the listener to return and all processes to end; False if it takes longer."""


class Runner(Protocol):
    """Starts runs on one cluster."""

    @property
    def slots(self) -> int:
        """Worker processes that the cluster can hold in all, whoever holds them now."""

    @property
    def detaches(self) -> bool:
        """True if runs can go on without this service, see `Run.detach`."""

    @property
    def reserves(self) -> bool:
        """True if the room for a run's minimum stays reserved until the run ends, even if it is scaled below that."""

    def start(self, request: RunRequest, listener: RunListener) -> Run:
        """Start a coordinator and return at once."""

    def attach(self, request: RunRequest, attachment: str, after: int, listener: RunListener) -> Run | None:
        """Follow a run that an earlier server started, from report `after` + 1 on; None if it is gone."""

    def close(self) -> None:
        """Leave the cluster. Runs must have been joined or detached before; others are ended."""
