"""The moving average of the weights: the rule, its place in an evaluation, and in snapshots."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.server.parameters import blocks
from raydient.spec.training import Training
from raydient.steps import ranges
from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Average, Frozen, Layout, Learned
from raydient.steps.schedule import RoundKind
from raydient.wire import control
from raydient.wire.endpoint import Transport

from .conftest import begin, make_rule, make_updater
from .optimizer_cases import CASES
from .test_sparse_update import SHAPES, TABLES, gradient_of

FIGURES = json.loads((Path(__file__).parent / "figures" / "average.json").read_text())
DECAY = 0.75


def moved(average, weights, decay):
    """Return the average after a step, value by value in float32."""
    rest = np.float32(1 - decay)
    return np.array([a + (w - a) * rest for a, w in zip(average, weights, strict=True)], np.float32)


@pytest.mark.parametrize("case", FIGURES["cases"], ids=lambda case: str(case["decay"]))
def test_the_average_is_that_of_pytorch(case, executor):
    start = np.zeros(5, np.float32)
    rule = make_rule("sgd", {"learning_rate": 1.0}, average={"decay": case["decay"]})
    weights, average = start.copy(), start.copy()
    updater = make_updater(weights, [], rule, 1, 1, executor, average=average)
    form = GradientLayout(5)
    for step, (target, expected) in enumerate(zip(FIGURES["weights"], case["averages"], strict=True)):
        gradient = form.zeros()
        gradient.vector[:] = weights - np.array(target, np.float32)
        updater.update(step, {(0, 1): gradient}, (0, 1))
        np.testing.assert_allclose(average, expected, rtol=2e-6, atol=2e-7)


@given(
    name=st.sampled_from(sorted(CASES)),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    lazy=st.booleans(),
    block=st.integers(4, 60),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=60)
def test_all_weights_are_averaged_those_of_rows_that_rest_too(name, share, lazy, block, seed):
    kind, options = CASES[name]
    rng = np.random.default_rng(seed)
    sparse = "lazy" if lazy and kind not in ("lamb", "lars") else "exact"
    rule = make_rule(kind, options, average={"decay": DECAY}, sparse=sparse)
    names = list(SHAPES)
    layout = Layout.of(SHAPES.items(), {names[0]: Average(0.5), names[-1]: Frozen()}, TABLES)
    start = rng.normal(size=layout.size).astype(np.float32)
    weights, state, average, twin = start.copy(), begin(rule, layout), start.copy(), start.copy()
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as executor:
        patch.setattr(blocks, "BLOCK", block)
        patch.setattr(ranges, "PIECE", block)
        settings = {"parameters": layout.parameters, "tables": GradientLayout.of(layout).tables}
        settings["bounds"] = ranges.pieces(layout)
        updater = make_updater(weights, state, rule, 1, 1, executor, average=average, **settings)
        for step in range(3):
            gradient = {(0, 1): gradient_of(layout, rng, share)}
            if rule.in_one_pass:
                updater.update(step, gradient, (0, 1))
            else:
                updater.reduce(gradient, (0, 1))
                updater.direct(step, {})
                updater.follow(step, dict.fromkeys(SHAPES, 0.5))
            for p in layout.parameters:
                new, mean = p.view(weights).reshape(-1), p.view(twin).reshape(-1)
                copied = step == 0 or not isinstance(p.kind, Learned)
                p.view(twin)[...] = (new if copied else moved(mean, new, DECAY)).reshape(p.shape)
            assert average.tobytes() == twin.tobytes()


def test_constant_weights_are_their_average(executor):
    weights, average = (np.full(3, 0.1, np.float32) for _ in range(2))
    rule = make_rule("sgd", {}, average={"decay": 0.999})
    updater = make_updater(weights, [], rule, 1, 1, executor, average=average)
    for step in range(100):
        updater.update(step, {(0, 1): GradientLayout(3).zeros()}, (0, 1))
    assert average.tolist() == weights.tolist() == np.full(3, 0.1, np.float32).tolist()


class Averaging:
    """A parameter server of the job of `conftest` that averages, with the averages after each step."""

    def __init__(self, coordinator, **parts):
        job = self.job = coordinator.job
        self.coordinator, self.seen = coordinator, []
        kind, options = job.optimizer
        training = Training.model_validate({"optimizer": {kind: options}, "average": {"decay": DECAY}})
        coordinator.serve(training=training.canonical(), **parts)
        self.averages = [job.start, job.reference[1][0]]
        for weights, *_ in job.reference[2:]:
            self.averages.append(moved(self.averages[-1], weights, DECAY))

    def work(self, channel, rounds=None):
        """Compute assignments, and assert that a round sees the weights, an evaluation the average."""
        while (rounds is None or len(self.seen) < rounds) and (assignment := channel.wait()) is not None:
            round_ = self.job.schedule.round(assignment.round)
            evaluates = round_.kind is RoundKind.EVALUATE
            expected = self.averages[round_.step] if evaluates else self.job.reference[round_.step][0]
            np.testing.assert_array_equal(channel.weights, expected)
            self.seen.append(round_.number)
            self.coordinator.compute(channel, assignment)

    def complete(self, channel):
        self.work(channel)
        return self.coordinator.expect(control.Snapshot)

    def assert_at(self, arrays, step):
        self.coordinator.assert_at(arrays, step)
        np.testing.assert_array_equal(arrays["average"], self.averages[step])


@pytest.fixture
def averaging(start_server):
    return lambda **parts: Averaging(start_server(), **parts)


def complete_by_one(server, transport):
    channel = server.coordinator.attach(1, transport)
    server.coordinator.plan(1)
    with ThreadPoolExecutor(1) as pool:
        working = server.coordinator.working(pool, server.work, channel)
        final, arrays = server.coordinator.expect(control.Snapshot)
        working.result(20)
    assert final.final
    server.assert_at(arrays, server.job.schedule.steps)


def test_an_evaluation_sees_the_average_and_the_next_step_the_weights(averaging, transport):
    server = averaging()
    complete_by_one(server, transport)
    assert server.seen == list(range(server.job.schedule.rounds))


def test_a_snapshot_within_an_evaluation_has_weights_and_average(averaging, transport):
    server = averaging()
    evaluation = server.job.schedule.rounds_per_epoch - 1
    first = server.coordinator.attach(1, transport)
    server.coordinator.plan(1)
    server.work(first, rounds=evaluation)
    assert first.wait().round == evaluation  # the average is in place of the weights
    server.coordinator.tell(control.Dismiss(1))
    server.coordinator.tell(control.TakeSnapshot())
    snapshot, arrays = server.coordinator.expect(control.Snapshot)
    assert (snapshot.round, snapshot.final) == (evaluation, False)
    server.assert_at(arrays, evaluation)
    again = averaging(round=snapshot.round, step=snapshot.step, epoch_sums=snapshot.epoch_sums, arrays=arrays)
    complete_by_one(again, Transport.TCP)
    assert again.seen == list(range(evaluation, server.job.schedule.rounds))
