"""The metrics of an unfinished epoch in a checkpoint: sums over its rows and, where metrics rank rows, their scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from raydient.steps.scores import EPOCH_SCORES, SCORE
from raydient.workers.network import Network


def fits(network: Network, sums: Sequence[float], arrays: Mapping[str, Any]) -> bool:
    """True if a checkpoint's sums (rows first) and scores fit the network's metrics.

    They do not if a version with other sums per metric made the checkpoint.
    """
    scores = arrays.get(EPOCH_SCORES)
    size = 0 if scores is None else scores.size
    return len(sums) == 1 + network.sums and size == SCORE.itemsize * len(network.ranks) * int(sums[0])
