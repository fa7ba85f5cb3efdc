"""Gradients are summed and sent in parts while backpropagation goes on; the sums are those of the naive tree."""

import numpy as np
import pytest

from raydient.spec import network as spec
from raydient.steps.encoded import Coding, Encoded
from raydient.steps.gradient import GradientLayout
from raydient.steps.schedule import Schedule
from raydient.steps.tree import maximal_subtrees, tree_sum
from raydient.wire.channel import Assignment
from raydient.wire.terms import Terms
from raydient.workers.data import MemorySource
from raydient.workers.network import build
from raydient.workers.worker import Worker

from .channel import FakeChannel

LEAVES = 7
SCHEDULE = Schedule(140, 0, epochs=1, batch_size=70, microbatches=LEAVES, gradient_health_every=1)
LAYERS = [{"dense": {"units": 6, "activation": "relu"}}, {"dense": {"units": 5}}, {"dense": {"units": 3}}]


class Recording(FakeChannel):
    """A channel that assigns ranges of leaves of the first step and keeps copies of all that is sent."""

    def __init__(self, network, shares, codec=None, *, travels=False):
        units = sum(layer.rectified_units for layer in network.layers)
        terms = Terms(GradientLayout(network.layout.size, units), LEAVES, network.sums)
        super().__init__(network, terms, LEAVES, [Assignment(0, *share) for share in shares])
        self.encoded = None if codec is None else Encoded(Coding(codec, network.layout.size))
        self.travels = travels
        network.initialize(5, self.weights)
        self.pushed, self.parts = {}, {}

    def send_part(self, round_, node, slot, start):
        gradient = self._slots[slot]
        self.parts.setdefault(node, []).append((start, gradient.vector[start:].copy(), gradient.active.copy()))

    def push(self, round_, node, slot, sums, seconds):
        gradient = self._slots[slot]
        self.pushed[node] = gradient.vector.copy(), gradient.active.copy(), sums.copy()


def work(shares, part, codec=None, *, travels=False):
    """Return the channel of a worker that has computed these shares of the first step."""
    network = build(spec.Network.model_validate({"layers": LAYERS, "loss": "softmax_cross_entropy"}), (4,))
    rng, channel = np.random.default_rng(2), Recording(network, shares, codec, travels=travels)
    data = MemorySource.of(
        {
            "train/x/input": rng.normal(size=(140, 4)).astype(np.float32),
            f"train/y/{network.output.name}": rng.integers(0, 3, 140).astype(np.int32),
        }
    )
    Worker(network=network, schedule=SCHEDULE, seed=4, data=data, channel=channel, clock=lambda: 0.0, part=part).run()
    return channel


@pytest.fixture(scope="module")
def leaves():
    """Vector, counts and sums of each leaf alone."""
    pushed = work([(leaf, leaf + 1) for leaf in range(LEAVES)], 1 << 16).pushed
    return {node: pushed[node] for node in ((leaf, leaf + 1) for leaf in range(LEAVES))}


@pytest.mark.parametrize("shares", [[(0, 7)], [(0, 4), (4, 7)], [(1, 6), (0, 1), (6, 7)], [(2, 5)]])
@pytest.mark.parametrize("part", [1, 20, 1 << 16])
def test_sums_in_parts_are_those_of_the_tree(leaves, shares, part):
    channel = work(shares, part)

    nodes = [node for share in shares for node in maximal_subtrees(*share, LEAVES)]
    assert list(channel.pushed) == nodes
    for node, values in channel.pushed.items():
        for n, value in enumerate(values):
            assert value.tobytes() == tree_sum({leaf: each[n] for leaf, each in leaves.items()}, node).tobytes()


@pytest.mark.parametrize(("part", "starts"), [(1, [30 + 35, 30]), (20, [30]), (1 << 16, [])])
def test_parts_of_a_node_are_sent_from_the_end_on_when_they_are_final(part, starts):
    channel = work([(0, 6), (6, 7)], part)

    for node, (vector, active, _) in channel.pushed.items():
        sent = channel.parts.get(node, [])
        assert [start for start, _, _ in sent] == starts
        for start, values, counts in sent:
            assert values.tobytes() == vector[start:].tobytes()
            assert counts.tobytes() == active.tobytes()
