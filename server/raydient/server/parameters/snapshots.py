"""The state of training as arrays: restored when a parameter server starts, copied for each snapshot."""

from collections.abc import Mapping

import numpy as np

from raydient.spec.training import Training
from raydient.steps.arrays import AnyArray, Vector, aligned_zeros
from raydient.steps.order import ARRIVALS, pack
from raydient.steps.scores import EPOCH_SCORES, as_bytes, from_bytes
from raydient.wire.control import Serve, Snapshot
from raydient.wire.frames import ProtocolError
from raydient.wire.memory import Bundle

from .actions import Boundary
from .blocks import BLOCK
from .position import Position
from .rule import build_optimizer

WEIGHTS, BEST, AVERAGE = "weights", "best", "average"


def vectors(training: Training) -> dict[str, float | None]:
    """Return the vectors that a shard keeps besides the weights, each as long as they are, by name.

    The value is that with which a vector is full at the beginning of training; None if it begins as the weights do.
    """
    kept: dict[str, float | None] = dict(build_optimizer(training).state)
    if training.keeps_best:
        kept[BEST] = 0.0
    if training.average is not None:
        kept[AVERAGE] = None
    if training.rollback is not None:
        kept |= {marked(name): value for name, value in {WEIGHTS: None, **kept}.items() if name != BEST}
    return kept


def marked(name: str) -> str:
    """Return the name of the copy of a vector at the end of the last epoch."""
    return f"last_epoch_{name}"


def restore(arrays: Mapping[str, AnyArray], weights: Vector, state: Mapping[str, float | None]) -> dict[str, Vector]:
    """Set weights to those of a snapshot, allocate the other vectors, and return all by name, weights first.

    `arrays` are those of the shard's range. `state` has the other vectors as in `vectors`, for those that are missing.
    ProtocolError if an array has another size than the range.
    """
    restored = {WEIGHTS: weights, **{name: aligned_zeros(weights.shape, np.float32) for name in state}}
    for name, values in restored.items():
        if name in arrays:
            if arrays[name].shape != values.shape:
                raise ProtocolError(f"{name} of shape {arrays[name].shape} for a range of {len(weights)} values")
            values[:] = arrays[name]
        elif name in state and (value := state[name]) != 0:  # zeros take no memory before their first use
            values[:] = weights if value is None else value
    return restored


def exchange(first: Vector, second: Vector) -> None:
    """Exchange the values of two vectors."""
    for start in range(0, len(first), BLOCK):
        part = slice(start, start + BLOCK)
        values = first[part].copy()
        first[part], second[part] = second[part], values


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
    position = Position(
        serve.round,
        serve.step,
        sums,
        seconds=serve.seconds,
        watched=serve.watched,
        amendments=serve.amendments,
        outstanding=list(serve.outstanding),
    )
    if serve.ranks and EPOCH_SCORES in arrays:
        try:
            position.epoch_scores.append(from_bytes(arrays[EPOCH_SCORES], len(serve.ranks)))
        except ValueError as error:
            raise ProtocolError(f"scores of an epoch that cannot be read: {error}") from None
    return position


def take(
    position: Position, arrays: Mapping[str, AnyArray], boundary: Boundary, *, ranked: bool
) -> tuple[Snapshot, Bundle]:
    """Return a snapshot and copies of its arrays; `ranked`: with the scores of the unfinished epoch's rows.

    The arrivals of the position are moved into it.
    """
    copied = dict(arrays)
    if ranked:
        copied[EPOCH_SCORES] = np.concatenate([np.empty(0, np.uint8), *map(as_bytes, position.epoch_scores)])
    if position.arrivals:
        copied[ARRIVALS] = np.frombuffer(pack(position.arrivals), np.uint8)
        position.arrivals.clear()
    snapshot = Snapshot(
        position.round,
        position.step,
        position.epoch_sums.tolist(),
        boundary.final,
        boundary.ending,
        position.watched,
        position.seconds,
        position.amendments,
        tuple(position.outstanding),
    )
    return snapshot, Bundle.of(copied)
