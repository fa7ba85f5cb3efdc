"""The parameters with which a process of a job starts. They travel over a pipe or as an actor's argument."""

from dataclasses import dataclass, field

from pydantic import TypeAdapter

from .endpoint import Endpoint, Transport


@dataclass(frozen=True, slots=True)
class Launch:
    """The parameters of a member.

    Attributes:
        job: the job's id, for logs.
        member: its number, unique within the job's run.
        coordinator: address of its coordinator.
        secret: the run's secret, hexadecimal.
        transport: how weights and gradients travel.
    """

    job: str
    member: int
    coordinator: Endpoint
    secret: str = field(repr=False)
    transport: Transport = Transport.AUTO


_ADAPTER = TypeAdapter(Launch)


def to_json(launch: Launch) -> str:
    return _ADAPTER.dump_json(launch).decode()


def from_json(text: str) -> Launch:
    return _ADAPTER.validate_json(text)
