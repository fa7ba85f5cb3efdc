"""What the coordinator decides to do; `Execution` does it."""

from dataclasses import dataclass

from raydient.wire import control
from raydient.wire.control import Role

from .reports import Report


@dataclass(frozen=True, slots=True)
class Start:
    """Start a member."""

    role: Role
    member: int
    generation: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End a member; its loss is not to be reported."""

    member: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Have the parameter server close its connection to this worker and hand out the worker's leaves again.

    Gradient slots belong to one connection: what the worker does afterwards reaches nothing that is used.
    """

    member: int


@dataclass(frozen=True, slots=True)
class Serve:
    """Give this parameter server the weights and the position of the last checkpoint, or of the beginning."""

    member: int


@dataclass(frozen=True, slots=True)
class Work:
    """Give this worker the dataset, the parameter server's address and its place among so many workers."""

    member: int
    place: int
    workers: int


@dataclass(frozen=True, slots=True)
class SetPlan:
    """Send the parameter server a plan."""

    plan: control.Plan


@dataclass(frozen=True, slots=True)
class AskSnapshot:
    """Ask the parameter server for a snapshot; see `control.TakeSnapshot`."""

    final: bool
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class SaveAgain:
    """Write the final snapshot, which could not be written and is held in memory."""


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
    """Give the service a report."""

    report: Report


Action = Start | Kill | Dismiss | Serve | Work | SetPlan | AskSnapshot | SaveAgain | Ping | Discard | Tell
