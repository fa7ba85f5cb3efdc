"""The coordinator's decisions, which `CoordinatorShell` carries out."""

from collections.abc import Sequence
from dataclasses import dataclass

from raydient.wire import control
from raydient.wire.control import Role

from .reports import Report


@dataclass(frozen=True, slots=True)
class Start:
    """Start a member."""

    role: Role
    member: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End a member; its loss is not to be reported."""

    member: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Have the parameter server close its connection to this worker and assign the worker's leaves again.

    Gradient slots belong to one connection, so later writes of the worker have no effect.
    """

    member: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Have a parameter server leave its part in a generation that is over."""

    member: int


@dataclass(frozen=True, slots=True)
class Serve:
    """Send the parameter servers weights and position of the last checkpoint, or the initial ones, each its range.

    Attributes:
        members: the parameter servers, in the order of their places.
        generation: number of the generation that begins.
    """

    members: Sequence[int]
    generation: int


@dataclass(frozen=True, slots=True)
class Work:
    """Send this worker the addresses of the parameter servers, its place, the number of workers, and the dataset.

    Attributes:
        has_data: the worker has the dataset from an earlier generation.
    """

    member: int
    place: int
    workers: int
    generation: int
    has_data: bool = False


@dataclass(frozen=True, slots=True)
class SetPlan:
    """Send the parameter server a plan."""

    plan: control.Plan


@dataclass(frozen=True, slots=True)
class Ask:
    """Send the parameter server a request."""

    request: control.TakeSnapshot | control.Pause | control.Stop


@dataclass(frozen=True, slots=True)
class Save:
    """Write the newest snapshot, then call `saved` or `save_failed`."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping to this member on its lifeline."""

    member: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove the checkpoint of this step."""

    step: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a report to the service."""

    report: Report


Action = Start | Kill | Dismiss | Leave | Serve | Work | SetPlan | Ask | Save | Ping | Discard | Tell
