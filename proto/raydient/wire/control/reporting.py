"""Messages between the service and the coordinator of a run: reports in one direction, commands in the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from raydient.steps.amendments import Amendment


@dataclass(frozen=True, slots=True)
class Follow:
    """From the service: send the reports after number `after`, the epochs after number `epoch`, and every new one."""

    after: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Numbered:
    """A report in the JSON form of `raydient.server.training.reports`. The number of an `EpochEnded` is 0."""

    number: int
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reports:
    """From the coordinator: a batch of reports, oldest first, to be stored in one transaction and acknowledged.

    The next batch is sent after the acknowledgement; none follows if `last` is set.
    """

    reports: Sequence[Numbered]
    last: bool


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """From the service: all reports up to `number` and all epochs up to `epoch` are durable."""

    number: int
    epoch: int


class Order(StrEnum):
    """Request to end a run: for good, or with a checkpoint from which a later run goes on."""

    CANCEL = "cancel"
    PAUSE = "interrupt"  # as coordinators of earlier builds read it; an upgrade of the service leaves them running


@dataclass(frozen=True, slots=True)
class Command:
    """From the service: end the run."""

    order: Order


@dataclass(frozen=True, slots=True)
class Scale:
    """From the service: train with `workers` workers. Below `minimum`, training is suspended after a grace period."""

    workers: int
    minimum: int


@dataclass(frozen=True, slots=True)
class Amend:
    """From the service, and from the coordinator to the parameter server: have an amendment take effect.

    One with a number that the receiver knows changes nothing.
    """

    amendment: Amendment


RunOrder = Command | Scale | Amend
"""Messages of the service that change a run."""
ReportingMessage = Follow | Reports | Acknowledge | Command | Scale | Amend
