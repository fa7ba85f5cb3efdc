"""The worker's loop with row-sparse gradients of its embeddings, against dense ones: the same pushes, bit by bit."""

import numpy as np
import pytest

from raydient.spec import network as spec
from raydient.steps.gradient import GradientLayout
from raydient.steps.schedule import Schedule
from raydient.wire.channel import Assignment
from raydient.wire.terms import Terms
from raydient.workers.data import MemorySource
from raydient.workers.network import build
from raydient.workers.worker import Worker

from .channel import FakeChannel

VOCABULARY = 1 << 14
WORDS = {"embedding": {"input_dim": VOCABULARY, "output_dim": 4, "name": "words"}}
FROZEN = {"embedding": {"input_dim": VOCABULARY, "output_dim": 4, "name": "frozen", "trainable": False}}
LAST = {"dense": {"units": 3, "activation": "relu"}}
NETWORKS = {
    "one": [WORDS, "flatten", LAST],
    "shared": [
        WORDS,
        {"shared": {"layer": "words", "name": "again", "inputs": "input"}},
        {"shared": {"layer": "words", "name": "and_again", "inputs": "input"}},
        {"multiply": {"inputs": ["words", "again", "and_again"]}},
        "flatten",
        LAST,
    ],
    "frozen": [
        FROZEN,
        {"embedding": {**WORDS["embedding"], "inputs": "input"}},
        {"add": {"inputs": ["frozen", "words"]}},
        "flatten",
        LAST,
    ],
}


class Recording(FakeChannel):
    """A channel with these assignments that keeps the pushes."""

    def __init__(self, network, assignments, gradient):
        super().__init__(network, Terms(gradient, 5, network.sums), 5, assignments)
        network.initialize(1, self.weights)
        self.pushed = {}

    def push(self, round_, node, slot, sums, seconds):
        gradient = None if slot is None else self._slots[slot]
        values = None if gradient is None else (gradient.dense().tobytes(), gradient.active.tobytes())
        used = {} if gradient is None else {offset: table.used.tolist() for offset, table in gradient.tables.items()}
        self.pushed[round_, node] = values, sums.tobytes(), used


@pytest.fixture(params=NETWORKS)
def network(request):
    layers = NETWORKS[request.param]
    return build(spec.Network.model_validate({"layers": layers, "loss": "softmax_cross_entropy"}), (6,))


def test_row_sparse_gradients_change_no_bit_of_what_is_pushed(network):
    schedule = Schedule(90, 40, epochs=2, batch_size=20, microbatches=5, gradient_health_every=3)
    rng = np.random.default_rng(0)
    data = {}
    for part, rows in (("train", 90), ("test", 40)):
        # Some numbers often, others once.
        data[f"{part}/x/input"] = np.minimum(rng.zipf(1.2, (rows, 6)), VOCABULARY - 1).astype(np.float32)
        data[f"{part}/y/{network.output.name}"] = rng.integers(0, 3, rows).astype(np.int32)
    assignments = []
    for number in range(schedule.rounds):
        leaves = schedule.round(number).leaves
        first = number % 2 if leaves > 2 else 0
        assignments += [Assignment(number, first, leaves)] + [Assignment(number, 0, first)] * (first > 0)
    results, source = [], MemorySource.of(data)
    for gradient in (GradientLayout.of(network.layout, 3), GradientLayout(network.layout.size, 3)):
        channel = Recording(network, assignments, gradient)
        worker = Worker(network=network, schedule=schedule, seed=4, data=source, channel=channel, clock=lambda: 0.0)
        worker.run()
        results.append(channel)

    ours, twin = (channel.pushed for channel in results)
    names = [p.name for p in network.layout.parameters if p.sparse]
    assert names
    assert ours.keys() == twin.keys()
    for key, (gradient, sums, used) in ours.items():
        assert gradient == twin[key][0], key
        assert sums == twin[key][1]
        if gradient is not None:
            vector = np.frombuffer(gradient[0], np.float32)
            for name, table in zip(names, results[0].terms.gradient.tables, strict=True):
                numbers = used[table.offset]
                assert bool(numbers) == (not name.startswith("frozen"))
                assert set(np.flatnonzero(table.values(vector).any(axis=1))) <= set(numbers)
