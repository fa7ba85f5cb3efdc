"""The state of training as arrays: restored when a parameter server starts, copied for each snapshot."""

from collections.abc import Mapping, Sequence

import numpy as np

from raydient.steps.arrays import AnyArray
from raydient.steps.scores import EPOCH_SCORES, as_bytes, from_bytes
from raydient.wire.control import Serve, Snapshot
from raydient.wire.memory import Bundle

from .position import Position

WEIGHTS = "weights"


def restore(serve: Serve, arrays: Mapping[str, AnyArray], state: Sequence[str]) -> tuple[Bundle, Position]:
    """Allocate weights and optimizer state, in this order, with the values of a snapshot, and return the position.

    `arrays` came with `serve`. `state` names the arrays of the optimizer; one that is missing begins as zeros.
    """
    names = (WEIGHTS, *state)
    bundle = Bundle.allocate(dict.fromkeys(names, ("<f4", (serve.layout.size,))))
    for name in names:
        if name in arrays:
            bundle.arrays[name][:] = arrays[name]
    position = Position(serve.round, serve.step, np.array(serve.epoch_sums or [0.0] * (1 + serve.sums)))
    if serve.ranks and EPOCH_SCORES in arrays:
        position.epoch_scores.append(from_bytes(arrays[EPOCH_SCORES], len(serve.ranks)))
    return bundle, position


def take(position: Position, bundle: Bundle, *, final: bool, ranked: bool) -> tuple[Snapshot, Bundle]:
    """Return a snapshot and copies of its arrays; `ranked`: with the scores of the unfinished epoch's rows."""
    arrays = dict(bundle.arrays)
    if ranked:
        arrays[EPOCH_SCORES] = np.concatenate([np.empty(0, np.uint8), *map(as_bytes, position.epoch_scores)])
    return Snapshot(position.round, position.step, position.epoch_sums.tolist(), final), Bundle.of(arrays)
