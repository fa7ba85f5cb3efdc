"""Events and progress as JSON text and back."""

import json
from dataclasses import asdict
from typing import Any

from raydient.server.training.reports import CheckpointTaken, EpochEnded, Notice, Progress, flatten, unflatten

from .records import Payload, StateChanged
from .states import State

KINDS: dict[str, type[Payload]] = {
    "state": StateChanged,
    "progress": Progress,
    "epoch": EpochEnded,
    "checkpoint": CheckpointTaken,
    "notice": Notice,
}
_NAMES = {kind: name for name, kind in KINDS.items()}


def kind_of(payload: type[Payload]) -> str:
    """The name of a kind of events."""
    return _NAMES[payload]


def encode(payload: Payload) -> tuple[str, str]:
    """Name of the kind, and its fields as JSON. NaN and infinity are kept: a diverging loss is news, too."""
    fields = flatten(payload) if isinstance(payload, Progress) else asdict(payload)
    return _NAMES[type(payload)], json.dumps(fields, separators=(",", ":"))


def decode(kind: str, text: str) -> Payload:
    """The inverse of `encode`."""
    fields: dict[str, Any] = json.loads(text)
    if kind == "state":
        fields["state"] = State(fields["state"])
    if kind == "progress":
        return unflatten(fields)
    return KINDS[kind](**fields)
