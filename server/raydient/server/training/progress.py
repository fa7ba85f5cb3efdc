"""Builds the reports of progress and of epochs of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite

from raydient.steps.measurements import GradientHealth
from raydient.steps.schedule import Schedule
from raydient.wire.control import EpochsDone, Role, Status
from raydient.wire.refusals import FRAME, PEER, SECRET

from .reports import EpochEnded, Notice, Progress
from .roster import Roster

LEARNING_RATE = "learning_rate"
"""Name of the learning rate among the metrics of the training part."""
RATE_SECONDS = 0.1
"""Shortest interval over which the rate of samples is computed."""


class ProgressReports:
    """Joins the messages of the parameter server with the state of the run. Not thread-safe.

    Attributes:
        schedule: the rounds of the job.
        restarts: number of members replaced, by role; the coordinator counts them here.
        gradient_health: the newest measurement, possibly of an earlier parameter server; None before the first.
    """

    def __init__(
        self,
        schedule: Schedule,
        finish: Callable[[Sequence[float]], Mapping[str, float]],
        clock: Callable[[], float],
        last_epoch: int = 0,
        *,
        rates: bool = False,
    ) -> None:
        """Report nothing yet.

        Args:
            schedule: the rounds of the job.
            finish: computes an epoch's metrics from its sums.
            clock: monotonic seconds.
            last_epoch: the newest epoch reported, by any run.
            rates: add the learning rate of an epoch's last update to the metrics of its training part.
        """
        self._finish, self._last_epoch, self._rates = finish, last_epoch, rates
        self.restarts = {Role.WORKER.value: 0, Role.PARAMETER_SERVER.value: 0}
        self.gradient_health: GradientHealth | None = None
        self.schedule, self._clock = schedule, clock
        self._then, self._samples, self._rate = clock(), 0, 0.0
        self._refused: dict[int | None, Mapping[str, int]] = {}  # by member

    def begin(self, step: int) -> None:
        """Measure the rate of samples from now on, after `step` updates."""
        self._then, self._samples = self._clock(), self.schedule.samples(step)

    def go_on_from(self, epoch: int) -> None:
        """Report the epochs after this one, also those that were reported before."""
        self._last_epoch = epoch

    def refused(self, member: int | None, counts: Mapping[str, int]) -> None:
        """Note the connections that a member has closed since it began, by reason; None: the coordinator."""
        self._refused[member] = dict(counts)

    def report(self, status: Status, roster: Roster) -> Progress:
        """Return the report for the newest status and the members in `roster`."""
        schedule, samples = self.schedule, self.schedule.samples(status.step)
        self.gradient_health = status.measurements.gradient_health or self.gradient_health
        return Progress(
            step=status.step,
            steps=schedule.steps,
            epoch=schedule.position(status.round)[0],
            epochs=schedule.epochs,
            samples=samples,
            samples_per_second=self._rate_at(samples),
            workers_alive=len(roster.at_work),
            workers_wanted=roster.wanted,
            workers_minimum=roster.minimum,
            restarts=dict(self.restarts),
            refused={reason: sum(c.get(reason, 0) for c in self._refused.values()) for reason in (SECRET, PEER, FRAME)},
            measurements=replace(status.measurements, gradient_health=self.gradient_health),
        )

    def epochs(self, done: EpochsDone) -> list[EpochEnded | Notice]:
        """Return the reports of completed epochs and lowered learning rates, except those of epochs reported before.

        An epoch that is computed again after a rollback has the same metrics, except after `go_on_from`. A metric that
        is not a finite number is left out.
        """
        reports: list[EpochEnded | Notice] = []
        for sums in done.epochs:
            if sums.epoch + 1 > self._last_epoch:
                self._last_epoch = sums.epoch + 1
                parts = (("train", sums.train), ("test", sums.test))
                metrics = {split: _finite(self._finish(values)) for split, values in parts if values}
                if self._rates:
                    metrics.setdefault("train", {})[LEARNING_RATE] = sums.learning_rate
                reports.append(EpochEnded(self._last_epoch, sums.step, sums.seconds, metrics))
                if sums.safeguard:
                    text = f"after epoch {self._last_epoch} the training loss rises: from now on {sums.safeguard}"
                    reports.append(Notice("SAFEGUARD_ACTED", text))
                elif sums.reduced_rate:
                    text = f"after epoch {self._last_epoch} the learning rate is {sums.reduced_rate:g}, "
                    text += f"it was {sums.learning_rate:g}: the watched metric has not improved"
                    reports.append(Notice("LEARNING_RATE_REDUCED", text))
        return reports

    def _rate_at(self, samples: int) -> float:
        """Return the samples per second since the last call at least RATE_SECONDS ago; until then the last rate."""
        now = self._clock()
        if now - self._then >= RATE_SECONDS:
            self._rate = (samples - self._samples) / (now - self._then)
            self._then, self._samples = now, samples
        return self._rate


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if isfinite(value)}
