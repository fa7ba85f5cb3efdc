"""A worker expects the samples of its leaves in the next round while it computes those of this one."""

import numpy as np

from raydient.spec import network as spec
from raydient.steps.gradient import GradientLayout
from raydient.steps.schedule import Schedule
from raydient.wire.channel import Assignment
from raydient.wire.terms import Terms
from raydient.workers.data import MemorySource
from raydient.workers.network import build
from raydient.workers.worker import Worker

from .channel import FakeChannel

SCHEDULE = Schedule(50, 0, epochs=2, batch_size=20, microbatches=4)
"""Each epoch has two rounds of 20 samples and one of 10."""


class Channel(FakeChannel):
    """A channel that assigns the middle leaves of each round."""

    travels = True

    def __init__(self, network, rounds):
        terms = Terms(GradientLayout(network.layout.size), 4, network.sums)
        super().__init__(network, terms, 4, [Assignment(number, 1, 3) for number in range(rounds)])


class Source(MemorySource):
    """Records the samples that are expected and those that are copied."""

    reads_ahead = True

    def expect(self, part, indices):
        self.calls.append(("expect", part, indices.tolist()))

    def fill(self, part, indices, out):
        self.calls.append(("fill", part, indices.tolist()))
        super().fill(part, indices, out)


class Unread(Source):
    reads_ahead = False


def calls_of(kind):
    layers = [{"dense": {"units": 2, "name": "out"}}]
    network = build(spec.Network.model_validate({"layers": layers, "loss": "softmax_cross_entropy"}), (3,))
    values = {"x/input": np.zeros((50, 3), np.float32), "y/out": np.zeros(50, np.int32)}
    source = kind.of({f"{part}/{name}": array for part in ("train", "test") for name, array in values.items()})
    object.__setattr__(source, "calls", [])
    Worker(network=network, schedule=SCHEDULE, seed=4, data=source, channel=Channel(network, 6)).run()
    return source.calls


def test_a_worker_expects_what_it_needs_in_the_next_round():
    calls = calls_of(Source)
    assert {part for _, part, _ in calls} == {"train"}
    expected = [rows for what, _, rows in calls if what == "expect"]
    filled = [row for what, _, rows in calls if what == "fill" for row in rows]
    assert len(filled) == 2 * (10 + 10 + 5)
    assert len(expected) == 2 * 2  # in the last round of an epoch none
    assert expected[0] == filled[10:20]
    assert expected[2] == filled[35:45]


def test_samples_in_memory_are_not_expected():
    assert {what for what, _, _ in calls_of(Unread)} == {"fill"}
