"""A leaf's local steps against the rule in plain NumPy, in float64."""

import numpy as np
import pytest

from raydient.spec import network as spec
from raydient.steps.gradient import GradientLayout
from raydient.steps.local import LocalSteps
from raydient.steps.schedule import Schedule
from raydient.wire.channel import Assignment
from raydient.wire.terms import Terms
from raydient.workers.data import MemorySource, epoch_order
from raydient.workers.network import build
from raydient.workers.worker import Worker

from .channel import FakeChannel

ROWS, STEPS, BATCH, LEAVES, RATE, SEED = 110, 4, 20, 3, 0.05, 4
L1, L2 = 0.01, 0.05
SCHEDULE = Schedule(ROWS, 0, epochs=1, batch_size=STEPS * BATCH, microbatches=LEAVES, gradient_health_every=1)
"""A round of 80 rows, then one of 30 rows in two local steps."""
LAYERS = [
    {"batch_normalization": {"name": "norm", "scale": False, "center": False}},
    {"dense": {"name": "fixed", "units": 3, "trainable": False}},
    {"dense": {"name": "out", "units": 1, "kernel_regularizer": {"l1": L1, "l2": L2}}},
]


class Recording(FakeChannel):
    """A channel that assigns each round leaf by leaf, at the rate of local steps, and keeps the pushes."""

    def __init__(self, network, rate):
        units = sum(layer.rectified_units for layer in network.layers)
        terms = Terms(GradientLayout(network.layout.size, units), LEAVES, network.sums)
        rounds = map(SCHEDULE.round, range(SCHEDULE.rounds))
        assignments = [Assignment(r.number, m, m + 1, rate=rate) for r in rounds for m in range(r.leaves)]
        super().__init__(network, terms, LEAVES, assignments)
        network.initialize(5, self.weights)
        self.pushed = {}

    def push(self, round_, node, slot, sums, seconds):
        gradient = self._slots[slot]
        self.pushed[round_, node[0]] = gradient.vector.copy(), gradient.active.copy(), sums.copy()


def work(layers, labels, local_steps=STEPS, rate=RATE):
    network = build(spec.Network.model_validate({"layers": layers, "loss": "mean_squared_error"}), (2,))
    x = np.random.default_rng(3).normal(size=(ROWS, 2)).astype(np.float32)
    channel = Recording(network, rate)
    data = MemorySource.of({"train/x/input": x, f"train/y/{network.output.name}": labels(x)})
    worker = Worker(
        network=network,
        schedule=SCHEDULE,
        seed=SEED,
        data=data,
        channel=channel,
        clock=lambda: 0.0,
        part=1,
        local_steps=local_steps,
    )
    worker.run()
    return network, channel, x


def learn(weights, x, y, count):
    """Return the sums of a learner with its rows: gradients and penalties after the first by name, and losses."""
    kernel, bias = weights["out.kernel"].copy(), weights["out.bias"].copy()
    sums = {name: np.zeros_like(values) for name, values in weights.items()}
    loss, n = 0.0, len(x)
    for i in range(count):
        part = slice(n * i // count, n * (i + 1) // count)
        rows = len(x[part])
        mean, variance = x[part].mean(axis=0), x[part].var(axis=0)
        hidden = ((x[part] - mean) / np.sqrt(variance + 1e-3)) @ weights["fixed.kernel"] + weights["fixed.bias"]
        errors = hidden @ kernel + bias - y[part]
        loss += np.sum(errors**2)
        gradients = 2 / rows * hidden.T @ errors, 2 / rows * errors.sum(axis=0)
        penalty = 2 * L2 * kernel + L1 * np.sign(kernel)
        sums["out.kernel"] += gradients[0] + (penalty if i else 0)
        sums["out.bias"] += gradients[1]
        sums["norm.moving_mean"] += rows / n * mean
        sums["norm.moving_variance"] += rows / n * variance * rows / (rows - 1)
        kernel -= RATE * (gradients[0] + penalty)
        bias -= RATE * gradients[1]
    return sums, loss


def test_a_learner_contributes_its_gradients_at_its_own_weights():
    network, channel, x = work(LAYERS, lambda x: (x[:, :1] * 2 + 1).astype(np.float32))
    weights = {name: view.astype(float) for name, view in network.layout.views(channel.weights).items()}
    order = epoch_order(SEED, 0, ROWS)
    for number, count in ((0, 4), (1, 2)):
        opened = SCHEDULE.round(number)
        for leaf in range(opened.leaves):
            start, stop = opened.leaf(leaf)
            rows = x[order[start:stop]].astype(float)
            expected, loss = learn(weights, rows, rows[:, :1] * 2 + 1, count)
            vector, _, sums = channel.pushed[number, leaf]
            share = (stop - start) / (opened.stop - opened.start)
            for name, view in network.layout.views(vector).items():
                np.testing.assert_allclose(view, share * expected[name], rtol=2e-5, atol=1e-6, err_msg=name)
            assert sums[0] == pytest.approx(loss, rel=1e-5)


def test_a_unit_is_active_in_a_leaf_if_it_is_in_any_local_step():
    rare = {"units": 20, "activation": "relu", "bias_initializer": {"constant": {"value": -1.0}}}
    layers = [{"dense": rare}, {"dense": {"units": 1}}]

    def counts(local_steps):
        """Return the counts of each leaf; at a rate this small all its rows meet the same weights."""
        _, channel, _ = work(layers, lambda x: x[:, :1], local_steps, rate=1e-12)
        return np.array([active for _, active, _ in channel.pushed.values()])

    assert 0.1 < counts(1).mean() < 0.9
    np.testing.assert_array_equal(counts(STEPS), counts(1))


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 200])
@pytest.mark.parametrize("batch_size", [1, 5, 32])
def test_local_steps_cover_each_row_of_a_leaf_once(steps, batch_size):
    schedule = Schedule(101, 0, epochs=1, batch_size=steps * batch_size, microbatches=4)
    local = LocalSteps.of(schedule, steps)
    sizes = set()
    for number in range(schedule.rounds):
        opened = schedule.round(number)
        for leaf in range(opened.leaves):
            start, stop = opened.leaf(leaf)
            parts = local.parts(opened, leaf)
            assert [row for a, b in parts for row in range(a, b)] == list(range(start, stop))
            assert len(parts) == min(steps, -(-(opened.stop - opened.start) // batch_size), stop - start)
            sizes |= {b - a for a, b in parts}
    assert min(sizes) >= 1
    assert sizes == local.shape_rows(schedule)
