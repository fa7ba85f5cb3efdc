"""Builds the reports of progress of a run."""

from collections.abc import Callable
from dataclasses import replace

from raydient.steps.measurements import GradientHealth
from raydient.steps.schedule import Schedule
from raydient.wire.control import Role, Status

from .reports import Progress
from .roster import Roster

RATE_SECONDS = 0.1
"""Shortest interval over which the rate of samples is computed."""


class ProgressReports:
    """Joins the status of the parameter server with the state of the run. Not thread-safe.

    Attributes:
        restarts: number of members replaced, by role; the coordinator counts them here.
        gradient_health: the newest measurement, possibly of an earlier parameter server; None before the first.
    """

    def __init__(self, schedule: Schedule, clock: Callable[[], float]) -> None:
        self.restarts = {Role.WORKER.value: 0, Role.PARAMETER_SERVER.value: 0}
        self.gradient_health: GradientHealth | None = None
        self._schedule, self._clock = schedule, clock
        self._then, self._samples, self._rate = clock(), 0, 0.0

    def begin(self, step: int) -> None:
        """Measure the rate of samples from now on, after `step` updates."""
        self._then, self._samples = self._clock(), self._schedule.samples(step)

    def report(self, status: Status, roster: Roster) -> Progress:
        """Return the report for the newest status and the members in `roster`."""
        schedule, samples = self._schedule, self._schedule.samples(status.step)
        self.gradient_health = status.measurements.gradient_health or self.gradient_health
        return Progress(
            step=status.step,
            steps=schedule.steps,
            epoch=status.round // schedule.rounds_per_epoch,
            epochs=schedule.epochs,
            samples=samples,
            samples_per_second=self._rate_at(samples),
            workers_alive=len(roster.at_work),
            workers_wanted=roster.wanted,
            workers_minimum=roster.minimum,
            restarts=dict(self.restarts),
            measurements=replace(status.measurements, gradient_health=self.gradient_health),
        )

    def _rate_at(self, samples: int) -> float:
        """Return the samples per second since the last call at least RATE_SECONDS ago; until then the last rate."""
        now = self._clock()
        if now - self._then >= RATE_SECONDS:
            self._rate = (samples - self._samples) / (now - self._then)
            self._then, self._samples = now, samples
        return self._rate
