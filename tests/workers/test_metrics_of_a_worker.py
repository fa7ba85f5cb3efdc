"""Metrics that a worker pushes: sums about the labels' mean, and scores of rows before their push."""

import numpy as np
import pytest

from raydient.spec import network as spec
from raydient.steps.gradient import GradientLayout
from raydient.steps.schedule import RoundKind, Schedule
from raydient.wire.channel import Assignment
from raydient.wire.terms import Terms
from raydient.workers.data import MemorySource, epoch_order
from raydient.workers.network import build
from raydient.workers.worker import Worker

from .channel import FakeChannel

ROWS, TEST_ROWS = 1_000, 300
SCHEDULE = Schedule(ROWS, TEST_ROWS, epochs=1, batch_size=100, microbatches=3)


class Recording(FakeChannel):
    """A channel that assigns every round in two parts and keeps the pushes."""

    def __init__(self, network):
        terms = Terms(GradientLayout(network.layout.size), 3, network.sums, len(network.ranks), TEST_ROWS)
        leaves = [(n, SCHEDULE.round(n).leaves) for n in range(SCHEDULE.rounds)]
        assignments = [a for n, k in leaves for a in (Assignment(n, 1, k), Assignment(n, 0, 1))]
        super().__init__(network, terms, 3, assignments)
        self.sent = []

    def score(self, round_, node, scores):
        self.sent.append(("scores", round_, node, scores.copy()))

    def push(self, round_, node, slot, sums, seconds):
        self.sent.append(("push", round_, node, sums.copy()))


def work(loss, metric, labels):
    """Return all pushes of a worker with a network of one unit; each part has its share of the labels."""
    network = build(
        spec.Network.model_validate({"layers": [{"dense": {"units": 1}}], "loss": loss, "metrics": [metric]}), (2,)
    )
    name, channel = network.output.name, Recording(network)
    x = np.random.default_rng(3).normal(size=(ROWS + TEST_ROWS, 2)).astype(np.float32)
    data = {"train/x/input": x[:ROWS], "test/x/input": x[ROWS:]}
    data |= {f"train/y/{name}": labels[:ROWS], f"test/y/{name}": labels[ROWS:]}
    channel.weights[:] = [1, -1, 0]
    source = MemorySource.of(data)
    Worker(network=network, schedule=SCHEDULE, seed=4, data=source, channel=channel, clock=lambda: 0.0).run()
    return network, channel, x


@pytest.mark.parametrize("mean", [0, 1e6, -1e6])
def test_r2_of_labels_far_from_0_keeps_its_digits(mean):
    rng = np.random.default_rng(1)
    labels = (mean + rng.uniform(-1, 1, (ROWS + TEST_ROWS, 1))).astype(np.float32)
    network, channel, x = work("mean_squared_error", "r2", labels)
    for kind, part in ((RoundKind.TRAIN, slice(0, ROWS)), (RoundKind.EVALUATE, slice(ROWS, None))):
        pushed = [sums for _, round_, _, sums in channel.sent if SCHEDULE.round(round_).kind is kind]
        t, y = labels[part].astype(float), (x[part, :1] - x[part, 1:]).astype(float)
        metric_value = network.finish([len(t), *np.sum(pushed, axis=0)])["r2"]
        assert metric_value == pytest.approx(1 - np.sum((y - t) ** 2) / np.sum((t - t.mean()) ** 2), rel=1e-7)


def test_scores_of_a_node_come_before_its_push_in_the_order_of_its_rows():
    labels = np.random.default_rng(1).integers(0, 2, (ROWS + TEST_ROWS, 1)).astype(np.float32)
    _, channel, x = work("binary_cross_entropy", "auc", labels)
    order, seen = epoch_order(4, 0, ROWS), 0
    for scores, push in zip(channel.sent[::2], channel.sent[1::2], strict=True):
        assert (scores[0], push[0], scores[1:3]) == ("scores", "push", push[1:3])
        round_, node = SCHEDULE.round(scores[1]), scores[2]
        rows = np.arange(round_.leaf(node[0])[0], round_.leaf(node[1] - 1)[1])
        rows = order[rows] if round_.kind is RoundKind.TRAIN else ROWS + rows
        np.testing.assert_allclose(scores[3]["score"][:, 0], x[rows, 0] - x[rows, 1], atol=1e-6)
        np.testing.assert_array_equal(scores[3]["positive"][:, 0], labels[rows, 0] == 1)
        seen += len(rows)
    assert seen == ROWS + TEST_ROWS
