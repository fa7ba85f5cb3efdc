"""A job without a network: gradients that depend on the weights, the round and the leaf, and what must come of them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from raydient.server.parameters.optimizers import build_optimizer
from raydient.server.parameters.server import EpochEnd, ParameterServer, Position
from raydient.server.parameters.update import Updater
from raydient.wire.layout import Layout
from raydient.wire.schedule import RoundKind, Schedule
from raydient.wire.tree import children

SETTINGS = {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}
SUMS = 2


class Job:
    """Seven leaves a step, three in an epoch's last one, two in its evaluation; two epochs, eight rounds, Adam.

    `reference` holds weights and state before each step, `epochs` the epochs' ends, of a run on one worker, computed by
    the definition: leaf by leaf along the tree, over the whole vector at once.
    """

    shapes = (("first.kernel", (2, 2)), ("first.bias", (2,)), ("last.kernel", (3,)))

    def __init__(self):
        self.schedule = Schedule(train_rows=17, test_rows=300, epochs=2, batch_size=7, microbatches=7)
        self.layout = Layout.of(self.shapes)
        self.optimizer = ("adam", SETTINGS)
        self.start = np.linspace(-1, 1, self.layout.size, dtype=np.float32)
        self.reference, self.epochs = [], []
        self._run()

    def leaf_gradient(self, weights, round_, leaf):
        rng = np.random.default_rng((round_, leaf))
        return rng.normal(size=len(weights)).astype(np.float32) + weights * np.float32(0.1)

    def leaf_sums(self, round_, leaf):
        return np.random.default_rng((99, round_, leaf)).random(SUMS)

    def gradient(self, weights, round_, node):
        """The sum over a node, along the tree."""
        return self._sum(node, lambda leaf: self.leaf_gradient(weights, round_, leaf))

    def sums(self, round_, node):
        return self._sum(node, lambda leaf: self.leaf_sums(round_, leaf))

    def _sum(self, node, of_leaf):
        if node[1] - node[0] == 1:
            return of_leaf(node[0])
        left, right = children(node)
        return self._sum(left, of_leaf) + self._sum(right, of_leaf)

    def _run(self):
        rule = build_optimizer(*self.optimizer)
        weights, state = self.start.copy(), [np.zeros_like(self.start) for _ in rule.state]
        train = np.zeros(1 + SUMS)
        for number in range(self.schedule.rounds):
            this = self.schedule.round(number)
            sums = self.sums(number, (0, this.leaves))
            if this.kind is RoundKind.TRAIN:
                self.reference.append([weights.copy(), *(s.copy() for s in state)])
                gradient = self.gradient(weights, number, (0, this.leaves))
                rule.update(this.step, weights, gradient, state, [np.empty_like(weights) for _ in range(2)])
                train += [this.stop - this.start, *sums]
            else:
                self.epochs.append(EpochEnd(this.epoch, this.step, tuple(train), (float(this.stop), *sums)))
                train[:] = 0
        self.reference.append([weights, *state])

    def server(self, executor, position=None, arrays=None):
        """A parameter server at the beginning, or where a snapshot was taken; and its weights and state."""
        rule = build_optimizer(*self.optimizer)
        arrays = arrays or self.reference[0]
        arrays = [array.copy() for array in arrays]
        server = ParameterServer(
            layout=self.layout,
            schedule=self.schedule,
            optimizer=rule,
            position=position or Position(0, 0, np.zeros(1 + SUMS)),
            updater=Updater(arrays[0], arrays[1:], (7).bit_length(), 1, executor),
        )
        return server, arrays


@pytest.fixture(scope="session")
def tree_job():
    return Job()


@pytest.fixture
def executor():
    with ThreadPoolExecutor(4, thread_name_prefix="update") as pool:
        yield pool
