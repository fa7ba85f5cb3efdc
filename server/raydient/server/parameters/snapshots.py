"""The state of training as arrays: restored when a parameter server starts, copied for each snapshot."""

from collections.abc import Mapping

import numpy as np

from raydient.steps.arrays import AnyArray, Vector, aligned_zeros
from raydient.steps.scores import EPOCH_SCORES, as_bytes, from_bytes
from raydient.wire.control import Serve, Snapshot
from raydient.wire.frames import ProtocolError
from raydient.wire.memory import Bundle

from .actions import Boundary
from .position import Position

WEIGHTS, BEST = "weights", "best"


def restore(arrays: Mapping[str, AnyArray], weights: Vector, state: Mapping[str, float]) -> dict[str, Vector]:
    """Set weights to those of a snapshot, allocate the optimizer's state, and return both by name, weights first.

    `arrays` are those of the shard's range. `state` has the arrays of the optimizer by name; one that is missing begins
    full of this value. ProtocolError if an array has another size than the range.
    """
    restored = {WEIGHTS: weights, **{name: aligned_zeros(weights.shape, np.float32) for name in state}}
    for name, values in restored.items():
        if name in arrays:
            if arrays[name].shape != values.shape:
                raise ProtocolError(f"{name} of shape {arrays[name].shape} for a range of {len(weights)} values")
            values[:] = arrays[name]
        elif state.get(name):  # zeros are left untouched, so that they take no memory before their first use
            values.fill(state[name])
    return restored


def values_in(arrays: Mapping[str, AnyArray], name: str, size: int) -> Vector:
    """Return an array of a message, float32 (size,). ProtocolError if the message has no such array."""
    values = arrays.get(name)
    if values is None or values.shape != (size,) or values.dtype != np.float32:
        raise ProtocolError(f"a message without {name} of {size} values")
    return values


def restore_position(serve: Serve, arrays: Mapping[str, AnyArray]) -> Position:
    """Return the position of a snapshot. ProtocolError if its sums or scores are not those of the job."""
    if len(serve.epoch_sums) not in (0, 1 + serve.sums):
        raise ProtocolError(f"{len(serve.epoch_sums)} sums of an epoch, {1 + serve.sums} are due")
    sums = np.array(serve.epoch_sums or [0.0] * (1 + serve.sums))
    position = Position(serve.round, serve.step, sums, seconds=serve.seconds, watched=serve.watched)
    if serve.ranks and EPOCH_SCORES in arrays:
        try:
            position.epoch_scores.append(from_bytes(arrays[EPOCH_SCORES], len(serve.ranks)))
        except ValueError as error:
            raise ProtocolError(f"scores of an epoch that cannot be read: {error}") from None
    return position


def take(
    position: Position, arrays: Mapping[str, AnyArray], boundary: Boundary, *, ranked: bool
) -> tuple[Snapshot, Bundle]:
    """Return a snapshot and copies of its arrays; `ranked`: with the scores of the unfinished epoch's rows."""
    copied = dict(arrays)
    if ranked:
        copied[EPOCH_SCORES] = np.concatenate([np.empty(0, np.uint8), *map(as_bytes, position.epoch_scores)])
    snapshot = Snapshot(
        position.round,
        position.step,
        position.epoch_sums.tolist(),
        boundary.final,
        boundary.ending,
        position.watched,
        position.seconds,
    )
    return snapshot, Bundle.of(copied)
