"""The state of training as arrays: restored when a parameter server starts, copied for each snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raydient.spec.training import Training
from raydient.steps.arrays import AnyArray, Vector, aligned_zeros
from raydient.steps.layout import Layout
from raydient.steps.order import ARRIVALS, pack
from raydient.steps.ranges import Range, by_rows
from raydient.steps.scores import EPOCH_SCORES, as_bytes, from_bytes
from raydient.wire.control import Serve, Snapshot
from raydient.wire.frames import ProtocolError
from raydient.wire.memory import Bundle

from .actions import Boundary
from .blocks import BLOCK
from .optimizers import RowwiseOptimizer
from .position import Position
from .rule import build_optimizer

WEIGHTS, BEST, AVERAGE = "weights", "best", "average"


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a vector that shards keep.

    Attributes:
        begins: the value that it is full of at the beginning of training; None if it begins as the weights do.
        by_rows: it has one value for each row of a table; else a value for each weight.
    """

    begins: float | None
    by_rows: bool = False

    def layout(self, weights: Layout) -> Layout:
        """Return the layout of the vector beside weights with a layout."""
        return weights.by_rows() if self.by_rows else weights


def vectors(training: Training) -> dict[str, Form]:
    """Return the vectors that a shard keeps besides the weights, by name."""
    optimizer = build_optimizer(training)
    rowwise = isinstance(optimizer, RowwiseOptimizer)
    kept = {name: Form(value, rowwise) for name, value in optimizer.state.items()}
    if training.keeps_best:
        kept[BEST] = Form(0.0)
    if training.average is not None:
        kept[AVERAGE] = Form(None)
    if training.rollback is not None:
        kept |= {marked(name): form for name, form in {WEIGHTS: Form(None), **kept}.items() if name != BEST}
    return kept


def division(training: Training, layout: Layout, ranges: Sequence[Range]) -> list[dict[str, Range]]:
    """Return the range of each vector that each shard keeps, weights first; `ranges` are those of the weights."""
    forms = {WEIGHTS: Form(None), **vectors(training)}
    return [
        {name: by_rows(layout, where) if form.by_rows else where for name, form in forms.items()} for where in ranges
    ]


def marked(name: str) -> str:
    """Return the name of the copy of a vector at the end of the last epoch."""
    return f"last_epoch_{name}"


def restore(
    arrays: Mapping[str, AnyArray], weights: Vector, layout: Layout, state: Mapping[str, Form]
) -> dict[str, Vector]:
    """Set weights to those of a snapshot, allocate the other vectors, and return all by name, weights first.

    Args:
        arrays: those of the shard's range; vectors that are missing begin as their form says.
        weights: the weights of the range.
        layout: theirs.
        state: the other vectors, as in `vectors`.

    Raises:
        ProtocolError: an array has another size than the range.
    """
    sizes = {name: form.layout(layout).size for name, form in state.items()}
    restored = {WEIGHTS: weights, **{name: aligned_zeros((size,), np.float32) for name, size in sizes.items()}}
    for name, values in restored.items():
        if name in arrays:
            if arrays[name].shape != values.shape:
                raise ProtocolError(f"{name} of shape {arrays[name].shape} for a range of {len(values)} values")
            values[:] = arrays[name]
        elif name in state and (value := state[name].begins) != 0:  # zeros take no memory before their first use
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
    position: Position, arrays: Mapping[str, AnyArray], boundary: Boundary, *, ranked: bool, holders: Sequence[int] = ()
) -> tuple[Snapshot, Bundle]:
    """Return a snapshot and copies of its arrays; `ranked`: with the scores of the unfinished epoch's rows.

    `holders`: see `Snapshot`. The arrivals of the position are moved into it.
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
        holders,
    )
    return snapshot, Bundle.of(copied)
