"""A job computed by a loop, round by round: the bits that every message of a simulated run must have."""

import atexit
import os
import shutil
import struct
from contextlib import ExitStack, contextmanager, nullcontext
from copy import copy
from functools import cache, cached_property
from pathlib import Path
from tempfile import mkdtemp
from unittest.mock import patch

import numpy as np

from raydient.server.parameters import amending, rule
from raydient.server.training.preparation import prepare
from raydient.spec.validation import validate_job
from raydient.steps import codecs, encoded, ranges
from raydient.steps.schedule import RoundKind
from raydient.workers import leaf_encoder, sums
from raydient.workers.data import epoch_order
from raydient.workers.network import Pass, Program
from raydient.workers.network.layers import INFERENCE, embedding
from tests.end_to_end import norm_twin
from tests.end_to_end.local_twin import Learner
from tests.end_to_end.naive import Update, naive, tree, unencoded
from tests.end_to_end.residual_twin import TopK


class Twin:
    """The values of a prepared job; none if it is stale.

    Attributes:
        weights: after each number of updates, bytes.
        sums: of the rows of each leaf, by round and leaf.
        epochs: of each epoch the sums over its training part and over the held-out part, rows first.
    """

    def __init__(self, prepared, scale=None):
        """`scale` is that of the update rule, which a specification cannot set."""
        self.prepared, self._scale = prepared, scale
        self.amendments, self.schedule = [], prepared.schedule
        self.weights, self.sums, self.epochs = [], {}, []
        self._original, self._programs = self, {}
        self._compute()

    def amendable(self):
        """Return a copy that amendments change, see `verdict`."""
        twin = copy(self)
        twin.amendments, twin.weights, twin.sums, twin.epochs = [], [*self.weights], {**self.sums}, [*self.epochs]
        return twin

    def amend(self, amendment):
        """Compute everything again, with an amendment in place of one of the same number, if there is one."""
        self.amendments = [*(one for one in self.amendments if one.number < amendment.number), amendment]
        self.schedule = self.prepared.amended(self.amendments).schedule
        self.weights.clear()
        self.sums.clear()
        self.epochs.clear()
        self._compute()

    def _compute(self):
        prepared = self.prepared
        if prepared.spec.training.consistency.is_stale:
            return  # the values depend on the order of arrival
        schedule, network, data = prepared.schedule, prepared.network, prepared.dataset
        weights = np.zeros(network.layout.size, np.float32)
        network.initialize(prepared.spec.training.seed, weights)
        self._bound, self._weights = network.bind(weights), weights
        update, total = self._update(prepared.spec.training, network, weights, schedule), np.zeros(1 + network.sums)
        learn, decoded = Learner(prepared), decoder(prepared)
        self.weights.append(weights.tobytes())
        number, in_force = -1, []
        while (number := number + 1) < self.schedule.rounds:
            if due := [one for one in self.amendments if one.round == number]:
                in_force += due
                amended = prepared.amended(in_force)
                schedule = amended.schedule
                update.retrain(amended.spec.training, schedule)
                learn.retrain(amended.spec.training, schedule)
            opened = schedule.round(number)
            if opened.kind is RoundKind.EVALUATE:
                for leaf in range(opened.leaves):
                    self._leaf(data.test, np.arange(*opened.leaf(leaf)), number, leaf)
                self.epochs.append({"train": total.tolist(), "test": self._total(opened).tolist()})
                total[:] = 0
                continue
            order = epoch_order(prepared.spec.training.seed, opened.epoch, schedule.train_rows)
            parts, gradient, whole = [], self._gradients(number, opened), opened.stop - opened.start
            for leaf in range(opened.leaves):
                rows = order[slice(*opened.leaf(leaf))]
                part = learn(gradient, opened.step, weights, rows, leaf, whole)
                parts.append(decoded(part, opened.step, leaf))
            update(opened.step, tree(parts))
            self.weights.append(weights.tobytes())
            total += self._total(opened)

    def _gradients(self, number, opened):
        """Return the function that computes gradients in a round, see `naive.naive`; it keeps the sums."""
        network, seed = self.prepared.network, self.prepared.spec.training.seed

        def gradient(at, rows, leaf, scale, local_step, share):
            before, bound = self.sums.get((number, leaf), 0) if local_step else 0, network.bind(at)
            passing = Pass(True, seed, opened.step, leaf, local_step)
            program = self._leaf(self.prepared.dataset.train, rows, number, leaf, passing, bound)
            self.sums[number, leaf] += before
            result = np.zeros_like(at)
            program.backward(bound, network.bind(result), scale, share=share)
            return result

        return gradient

    @property
    def digest(self):
        """Digest of the naive loop, which shares no code with the rounds of this class, unless it was amended."""
        if self.amendments:
            return self.prepared.network.layout.digest(np.frombuffer(self.weights[-1], np.float32))
        return self._original._naive_digest

    @cached_property
    def _naive_digest(self):
        return naive(self.prepared, self._update, decoded=decoder(self.prepared), learn=Learner(self.prepared)).digest

    @contextmanager
    def verdict(self, counts):
        """Return a context in which update rules have the scale of this job, and decided amendments change the twin.

        `counts` is called at each decision; the twin follows it if that returns True.
        """
        decide = amending.decided

        def decided(*arguments):
            amendment = decide(*arguments)
            if counts():
                self.amend(amendment)
            return amendment

        scale = nullcontext() if self._scale is None else patch.object(rule, "scale_of", lambda clipping: self._factors)
        with scale, patch.object(amending, "decided", decided):
            yield

    def _factors(self, squares):
        return [self._scale(float(np.sum(squares)))] * len(squares)

    def node(self, round_, first, last):
        """Return the sums over a node of a round, bytes."""
        return tree([self.sums[round_, leaf] for leaf in range(first, last)]).tobytes()

    def _total(self, opened):
        """Return the rows of a round and the sums over them."""
        sums = tree([self.sums[opened.number, leaf] for leaf in range(opened.leaves)])
        return np.array([opened.stop - opened.start, *sums])

    def _update(self, *arguments):
        return Update(*arguments) if self._scale is None else ScaledUpdate(self._scale, *arguments)

    def _leaf(self, part, rows, round_, leaf, passing=INFERENCE, bound=None):
        program = self._programs.get(len(rows)) or Program(self.prepared.network, len(rows), weighted=False)
        self._programs[len(rows)] = program
        for name, x in program.xs.items():
            x[:] = part.xs[name][rows]
        for name, y in program.ys.items():
            y[:] = part.ys[name][rows]
        self.sums[round_, leaf] = program.forward(self._bound if bound is None else bound, passing).copy()
        return program


def decoder(prepared):
    """Return the function that encodes and decodes the gradient of a leaf, see `naive.naive`."""
    return TopK(prepared, BLOCK) if prepared.spec.exchange.codec.feeds_back else unencoded


class ScaledUpdate(Update):
    """Scales the gradient by a function of its squared norm."""

    def __init__(self, scale, training, network, weights, rounds):
        super().__init__(training, network, weights, rounds)
        self._scale = scale

    def factors(self, gradient):
        squares = norm_twin.squares(self._layout, gradient)
        return [self._scale(float(np.sum(squares)))] * len(squares)


def by_each_bit(square):
    """Return a factor from 0.5 to 1.5 in which each bit of a squared norm shows."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", square))
    return 0.5 + (bits * 0x9E3779B97F4A7C15 & (1 << 64) - 1) / (1 << 64)


@contextmanager
def small_pieces(codec="none"):
    """Return a context in which the weights of the tiny job make four pieces, and its table is row-sparse."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(ranges, "PIECE", 8 if codec == "none" else BLOCK))
        stack.enter_context(patch.object(embedding, "SPARSE_FROM", 8))
        for module in (codecs, encoded, leaf_encoder, sums):
            stack.enter_context(patch.object(module, "BLOCK", BLOCK))
        yield


@cache
def folder():
    """Return a folder in memory where there is one, removed at exit: a simulated disk need not wait for a real one."""
    memory = Path("/dev/shm")
    made = Path(mkdtemp(prefix="raydient-simulation-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


BLOCK = 32
"""Values of a codec's block; Philox makes so many bytes at a time."""
MODELS = {"synchronous": "synchronous", "asynchronous": "asynchronous", "local": {"local": {"steps": 3}}}


@cache
def tiny_twin(kind, servers=1, *, table=False, consistency="synchronous", guard=None, codec="none"):
    """Return the twin of a tiny job: three classes, 44 rows of 3 values, an odd last batch, a rate for each step.

    With a `table`, the values are numbers of its 9 rows. A table and several servers need `small_pieces`. The
    optimizer "scaled" is SGD with a verdict on each gradient. `consistency` is the name of a model, or the limit of the
    staleness; with "local", each leaf makes up to three local steps of SGD, for which the steps are those of a
    synchronous job. `guard` has the answers that the safeguard of a stale job lacks; None: it has none. With one, the
    rate is so high that the loss rises. With a `codec` the job has 115 weights instead of 31.
    """
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, 44)
    path = folder() / ("words.npz" if table else "blobs.npz")
    x = rng.integers(0, 9, (44, 3)) if table else rng.normal(size=(44, 3)) + 2 * np.eye(3)[labels]
    written = path.with_stem(f"{path.stem}-{os.getpid()}")  # processes that run seeds in parallel share the folder
    np.savez(written, x=x.astype(np.float32), y=labels)
    written.replace(path)
    words = [{"embedding": {"input_dim": 9, "output_dim": 2}}, "flatten"] if table else []
    layers = [
        *words,
        {"dense": {"units": 4 if codec == "none" else 16, "activation": "tanh"}},
        {"dropout": {"rate": 0.2}},
        {"dense": {"units": 3}},
    ]
    model = MODELS.get(consistency, {"bounded_staleness": {"limit": consistency}})
    optimizer, scale = ("sgd", by_each_bit) if kind == "scaled" else ("sgd" if consistency == "local" else kind, None)
    if guard is not None:
        ((name, fields),) = model.items() if isinstance(model, dict) else [(model, {})]
        model = {name: fields | {"safeguard": {"loss_factor": 1.001} | dict.fromkeys(guard, False)}}
        optimizer = {optimizer: {"learning_rate": 2.0}}
    spec = {
        "dataset": {"uri": path.name, "standardize": not table, "split": {"test": 0.1}},
        "network": {"layers": layers, "loss": "softmax_cross_entropy"},
        "training": {
            "epochs": 3 if guard is None else 5,
            "batch_size": 5 if consistency == "local" else 15,
            "microbatches": 5,
            "optimizer": optimizer,
            "warm_up": {"steps": 2, "initial_learning_rate": 0.001},
            "schedule": "cosine",
            "seed": 11,
            "consistency": model,
        },
        "exchange": {"codec": {codec: {"fraction": 0.2}} if codec == "top_k" else codec},
        "checkpoints": {"interval_seconds": 0.02},
        "resources": {"workers": {"min": 1, "max": 3}, "parameter_servers": servers},
    }
    return Twin(prepare(validate_job(spec), path), scale)
