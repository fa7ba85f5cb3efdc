"""A learned vector for each number of a vocabulary, for example for words (Bengio et al. 2003)."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from raydient.spec import recurrent as spec
from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views, learned

SPARSE_FROM = 1 << 16
"""Minimum number of values of a table whose gradient is row-sparse. For smaller tables, of less than 256 KiB, a dense
gradient takes no longer than an index of the rows in use."""
FEW_REPEATED = 4
"""Rows whose number occurs once are copied instead of added up if at most 1 place in 4 holds a repeated number."""


class Embedding(Layer):
    """y = E[x]: x (rows, ...) of whole numbers, y (rows, ..., output_dim), E (input_dim, output_dim).

    dE[i] = Σ dy over all places where x is i; rows that the microbatch does not use are 0. There is no derivative by x.
    With `mask_padding` x is a mask of y for the layers after it, as with Keras's `mask_zero`: see `masks`.
    The data are checked before training: their numbers are below input_dim (`indices.index_problems`). Here a number
    out of range reads the nearest row.

    The dE of a large table is row-sparse: backward computes and writes only the rows in use. So the cost of a step does
    not grow with the vocabulary. Places are sorted by number, ties by place, and each run of equal numbers is added up
    in that order, which fixes the bits and takes half the time of `np.add.at`.
    """

    kind = "embedding"

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Embedding) -> None:
        super().__init__(name, input_shapes, settings)
        self.index_limit, size = settings.input_dim, settings.output_dim
        self.mask_padding = settings.mask_padding
        self.output_shape = (*self.input_shape, size)
        # the fans are the size of a vector: each vector depends on one number, whatever the size of the vocabulary
        shape = (settings.input_dim, size)
        initializer, kind = settings.embeddings_initializer, learned(settings.embeddings_regularizer)
        sparse = prod(shape) >= SPARSE_FROM
        self.parameters = (ParameterRule("embeddings", shape, initializer, size, size, kind=kind, sparse=sparse),)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.Embedding) -> str | None:
        if settings.mask_padding and len(input_shapes[0]) != 1:
            return "takes sequences of numbers, samples of shape (length), where `mask_padding` is true"
        return None

    def work(self, rows: int) -> Memory:
        places = rows * prod(self.input_shape)
        return {
            "indices": ((places,), np.int64),
            "keys": ((places,), np.int64),
            "starts": ((places,), np.int64),
            "places": ((places,), np.int64),
            "numbers": ((places,), np.int64),
            "first": ((places,), np.bool_),
            "repeated": ((places,), np.bool_),
            "sorted": ((places, self.output_shape[-1]), None),
            "sums": ((places, self.output_shape[-1]), None),
        }

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        indices = buffers.work["indices"]
        np.copyto(indices, buffers.x.reshape(-1), casting="unsafe")
        y = buffers.y.reshape(len(indices), -1)
        weights["embeddings"].take(indices, axis=0, out=y, mode="clip")  # other modes allocate

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        runs = self._sort(buffers, len(gradients["embeddings"]))
        numbers, sums = buffers.work["numbers"][:runs], buffers.work["sums"][:runs]
        _add_up(buffers.dy.reshape(len(buffers.work["keys"]), -1), runs, buffers.work)
        gradients.parts["embeddings"].write(numbers, sums)
        if buffers.dx is not None:
            buffers.dx.fill(0)

    def _sort(self, buffers: Buffers, limit: int) -> int:
        """Sort the places of x by their numbers; return the number of runs of equal numbers.

        The result is in `work`: the sorted places in `keys`, True in `first` where a run begins, the beginnings of the
        runs in `starts`, and the number of each run in `numbers`.
        """
        work = buffers.work
        indices, keys, places, first = work["indices"], work["keys"], work["places"], work["first"]
        count = len(keys)
        np.copyto(indices, buffers.x.reshape(-1), casting="unsafe")
        np.clip(indices, 0, limit - 1, out=indices)
        places.fill(1)
        np.add.accumulate(places, out=places)
        np.subtract(places, 1, out=places)  # 0, 1, 2, ...
        # One sort of index · count + place: stable, and in place.
        np.multiply(indices, count, out=keys)
        np.add(keys, places, out=keys)
        keys.sort()
        np.floor_divide(keys, count, out=indices)
        np.remainder(keys, count, out=keys)  # now the places
        first[0] = True
        np.not_equal(indices[1:], indices[:-1], out=first[1:])
        runs = int(np.count_nonzero(first))
        np.compress(first, indices, out=work["numbers"][:runs])
        np.compress(first, places, out=work["starts"][:runs])
        return runs

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        indices = graph.node("Cast", [xs[0]], to=7)  # int64
        return graph.node("Gather", [graph.parameter("embeddings"), indices], axis=0)


def _add_up(dy: Floats, runs: int, work: Mapping[str, AnyArray]) -> None:
    """Write the sum of each run's rows of dy to `sums`.

    The sum of a run of one place is its row; a copy is ten times as fast as an addition.
    """
    keys, starts, first, repeated = work["keys"], work["starts"][:runs], work["first"], work["repeated"]
    sums = work["sums"][:runs]
    np.logical_and(first[:-1], first[1:], out=repeated[:-1])
    repeated[-1] = first[-1]
    np.logical_not(repeated, out=repeated)
    if FEW_REPEATED * np.count_nonzero(repeated) > len(keys):
        dy.take(keys, axis=0, out=work["sorted"], mode="clip")
        np.add.reduceat(work["sorted"], starts, axis=0, out=sums)
        return
    keys.take(starts, out=work["indices"][:runs], mode="clip")
    dy.take(work["indices"][:runs], axis=0, out=sums, mode="clip")
    places = np.flatnonzero(repeated)
    if len(places):
        rows = dy.take(keys[places], axis=0, out=work["sorted"][: len(places)], mode="clip")
        begins = np.flatnonzero(first[places])
        sums[np.searchsorted(starts, places[begins])] = np.add.reduceat(rows, begins, axis=0)
