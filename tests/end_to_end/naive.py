"""Training by a loop in this process, from the definition alone: no workers, servers or rounds."""

from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import pairwise

import numpy as np

from raydient.server.parameters.rule import build_rule
from raydient.steps.layout import Average, Learned
from raydient.steps.ranges import pieces
from raydient.workers.data import Augmenter, epoch_order
from raydient.workers.network import Pass, Program, read_weights

from . import norm_twin


@dataclass
class Trained:
    """The result of training.

    Attributes:
        digest: of the weights.
        curve: metrics of the training part by epoch, their sums added one after the other.
    """

    digest: str = ""
    curve: list[dict[str, float]] = field(default_factory=list)


def at_once(gradient, step, weights, rows, leaf, whole):
    """Return the gradient of a leaf with these rows, of so many rows of the whole batch, in one pass."""
    return gradient(weights, rows, leaf, 1.0 / whole)


def unencoded(gradient, step, leaf):
    """Return the gradient of a leaf as it is."""
    return gradient


def naive(prepared, update=None, ends=lambda epoch, weights: False, decoded=unencoded, learn=at_once):
    """Train a prepared job.

    `update` makes the function of an update, `Update` by default. `ends` is called with the number of each epoch, from
    1, and the weights at its end; training ends if it returns True. `learn` computes the gradient of a leaf, and
    `decoded` returns it after it has been encoded and decoded.
    """
    schedule, network, data = prepared.schedule, prepared.network, prepared.dataset.train
    training, trained = prepared.spec.training, Trained()
    weights = np.zeros(network.layout.size, np.float32)
    network.initialize(training.seed, weights)
    if prepared.initial_weights is not None:
        read_weights(network, prepared.initial_weights, weights, prepared.taken)
    update, step = (update or Update)(training, network, weights, schedule), 0

    def gradient(at, rows, leaf, scale, number=0, share=None):
        bound = network.bind(at)
        program, result = Program(network, len(rows), weighted=data.weights is not None), np.zeros_like(weights)
        for name, x in program.xs.items():
            x[:] = data.xs[name][rows]
        Augmenter(prepared.spec.dataset.augment, training.seed).apply(program.xs, rows, epoch)
        for name, y in program.ys.items():
            y[:] = data.ys[name][rows]
        if data.weights is not None:
            program.sample_weights[:] = data.weights[rows]
        sums[:] += [len(rows), *program.forward(bound, Pass(True, training.seed, step, leaf, number))]
        scores.append(program.scores.copy())
        program.backward(bound, network.bind(result), scale, share=share)
        return result

    for epoch in range(training.epochs):
        order, sums = epoch_order(training.seed, epoch, schedule.train_rows), np.zeros(1 + network.sums)
        scores = []
        for start in range(0, schedule.train_rows, schedule.batch_size):
            batch = order[start : start + schedule.batch_size]
            count = min(schedule.microbatches, len(batch))
            bounds = [len(batch) * i // count for i in range(count + 1)]
            shares = [batch[a:b] for a, b in pairwise(bounds)]
            parts = [learn(gradient, step, weights, share, leaf, len(batch)) for leaf, share in enumerate(shares)]
            update(step, tree([decoded(part, step, leaf) for leaf, part in enumerate(parts)]))
            step += 1
        for place, column in zip(network.ranks, np.concatenate(scores).T, strict=True):
            sums[1 + place : 4 + place] = pairs(column["score"], column["positive"])
        trained.curve.append(dict(network.finish(sums)))
        if ends(epoch + 1, weights):
            break
    trained.digest = network.layout.digest(weights)
    return trained


def pairs(scores, positive):
    """Return twice the pairs in which a positive row scores higher, and the numbers of rows (Mann and Whitney 1947)."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    twice_ranks = (2 * np.cumsum(counts) - counts + 1)[places]
    count = int(positive.sum())
    return int(twice_ranks[positive].sum()) - count * (count + 1), count, len(scores) - count


def tree(parts):
    """Sum along the tree: the left part has the largest power of two below the count."""
    if len(parts) == 1:
        return parts[0]
    left = 1
    while left * 2 < len(parts):
        left *= 2
    return tree(parts[:left]) + tree(parts[left:])


class Update:
    """Updates parameter by parameter: learned ones by the optimizer, averages by theirs, frozen ones not at all."""

    def __init__(self, training, network, weights, rounds):
        self.retrain(training, rounds)
        self._layout, self._weights = network.layout, weights
        self._state = [np.full_like(weights, value) for value in self._rule.optimizer.state.values()]
        self._scratch = [np.empty_like(weights) for _ in range(2)]

    def retrain(self, training, rounds):
        """Go on with other settings; the optimizer's state stays."""
        self._rule, self._training, self._clipping = build_rule(training, rounds), training, training.clipping

    def __call__(self, step, gradient):
        penalized, parameters = gradient.copy(), self._layout.parameters
        views = [self._layout.views(array) for array in (self._weights, penalized, *self._state, *self._scratch)]
        parts = [[view[p.name].reshape(-1) for view in views] for p in parameters]
        for p, (w, g, *_) in zip(parameters, parts, strict=True):
            if isinstance(p.kind, Learned):
                l1, l2 = np.float32([p.kind.l1, p.kind.l2])
                g[:] = g + 2 * l2 * w + l1 * np.sign(w)
        factors = self.factors(penalized)
        for p, factor, (w, g, *state, a, b) in zip(parameters, factors, parts, strict=True):
            if isinstance(p.kind, Learned):
                g[:] = self._limited(g * np.float32(factor))
                w[:] = w * self._decay(step, p.name)
                ratio, optimizer = 1.0, self._rule.layerwise
                if optimizer is not None:
                    optimizer.direct(step, w, g, state, (a, b))
                    ratio = optimizer.trust(self._norm(p, w), self._norm(p, g))
                if p.sparse and self._rule.rowwise is not None:
                    weights, rows, *of_state, c, d = (v.reshape(p.shape) for v in (w, g, *state, a, b))
                    first = [values[:, :1] for values in of_state]  # one value of each row is used
                    self._rule.update(step, weights, rows, first, (c, d))
                else:
                    self._rule.update(step, w, g, state, (a, b), ratio=ratio)
            elif isinstance(p.kind, Average):
                w[:] = np.float32(p.kind.momentum) * w + np.float32(1 - p.kind.momentum) * g

    def _decay(self, step, name):
        decay = self._training.weight_decay
        if decay is None or any(fnmatch(name, pattern) for pattern in decay.exclude):
            return np.float32(1)
        return np.float32(1 - self._rule.learning_rate(step) * decay.rate)

    def _norm(self, parameter, values):
        """Return the norm of a parameter's values, whose squares are added piece by piece."""
        inner = [bound - parameter.offset for bound in pieces(self._layout)]
        bounds = [0, *(bound for bound in inner if 0 < bound < parameter.size), parameter.size]
        squares = [float(np.dot(values[a:b], values[a:b])) for a, b in pairwise(bounds)]
        return float(np.sqrt(np.sum(squares)))

    def factors(self, gradient):
        """Return the factor of the gradient by each parameter, with the gradient of the penalties."""
        squares = norm_twin.squares(self._layout, gradient)
        match self._clipping and self._clipping.canonical():
            case {"layer_norm": {"limit": limit}}:
                return [min(1.0, limit / square**0.5) if square else 1.0 for square in squares]
            case {"global_norm": {"limit": limit}}:
                return [min(1.0, limit / np.sum(squares) ** 0.5)] * len(squares)
        return [1.0] * len(squares)

    def _limited(self, gradient):
        match self._clipping and self._clipping.canonical():
            case {"values": {"limit": limit}}:
                return np.minimum(np.maximum(gradient, np.float32(-limit)), np.float32(limit))
        return gradient
