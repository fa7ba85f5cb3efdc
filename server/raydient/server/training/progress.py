"""Builds the report of progress from the state of the parameter server and the coordinator."""

from collections.abc import Mapping
from dataclasses import dataclass

from raydient.steps.health import GradientHealth
from raydient.steps.schedule import Schedule
from raydient.wire.control import Status

from .reports import Progress


@dataclass(frozen=True, slots=True)
class Counts:
    """The coordinator's part of a `Progress`."""

    samples_per_second: float
    learning_rate: float
    workers_alive: int
    workers_wanted: int
    workers_minimum: int
    restarts: Mapping[str, int]


def progress(schedule: Schedule, status: Status, counts: Counts, health: GradientHealth | None) -> Progress:
    """Build the report. `health` is the last measurement, possibly by an earlier parameter server."""
    return Progress(
        step=status.step,
        steps=schedule.steps,
        epoch=status.round // schedule.rounds_per_epoch,
        epochs=schedule.epochs,
        samples=schedule.samples(status.step),
        samples_per_second=counts.samples_per_second,
        learning_rate=counts.learning_rate,
        loss=status.loss,
        workers_alive=counts.workers_alive,
        workers_wanted=counts.workers_wanted,
        workers_minimum=counts.workers_minimum,
        restarts=dict(counts.restarts),
        phase_seconds=status.phase_seconds,
        step_seconds_buckets=tuple(status.step_seconds_buckets),
        step_seconds_sum=status.step_seconds_sum,
        exchange_bytes=status.exchange_bytes,
        gradient_health=health,
    )
