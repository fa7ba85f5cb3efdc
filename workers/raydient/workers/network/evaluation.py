"""Evaluates a trained network on labelled samples: the metrics of its job, computed as at the end of an epoch."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray
from raydient.steps.scores import SCORE, write_ranks

from .model import BLOCK_ROWS, Model
from .program import Program


def evaluate(
    model: Model, ready: Mapping[str, NDArray[np.float32]], labels: Mapping[str, AnyArray]
) -> tuple[Mapping[str, float], dict[str, NDArray[np.float32]]]:
    """Return the loss and the metrics of a network, by name as in the history of its job, and its outputs.

    The outputs are those of `Model.predict_all`, up to the rounding of a last block that has fewer rows.

    Blocks have the rows of those of training, so that values differ from it by the rounding of their sums alone.

    Args:
        model: the network.
        ready: the result of `Model.prepare`, n > 0 rows.
        labels: labels of each output, (n, *label shape), encoded for its loss, but not standardized; by name.
    """
    scalings = {output.name: output.scaling for output in model.network.outputs}
    labels = {name: scaling.apply(y) if (scaling := scalings[name]) else y for name, y in labels.items()}
    network, weights = model.network, model.network.bind(model.weights)
    rows = len(next(iter(ready.values())))
    totals = np.zeros(network.sums)
    scores = np.zeros((rows, len(network.ranks)), SCORE)
    outputs = {o.name: np.empty((rows, *o.shape), np.float32) for o in network.outputs}
    programs: dict[int, Program] = {}
    for start in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - start)
        program = programs.get(count) or programs.setdefault(count, _program(model, count, labels))
        block = slice(start, start + count)
        for name, x in ready.items():
            program.xs[name][...] = x[block]
        for name, y in labels.items():
            program.ys[name][...] = y[block]
        totals += program.forward(weights)
        scores[block] = program.scores
        for name, y in program.predicted().items():
            outputs[name][block] = y
    if network.ranks:
        write_ranks(totals, network.ranks, scores)
    return network.finish([float(rows), *totals.tolist()]), outputs


def _program(model: Model, rows: int, labels: Mapping[str, AnyArray]) -> Program:
    program = Program(model.network, rows)
    for name, center in program.centers.items():
        center[...] = np.mean(labels[name], axis=0, dtype=np.float64).reshape(center.shape)
    return program
