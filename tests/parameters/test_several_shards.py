"""A step in several shards has the bits of one: weights, state, norms by piece, verdict and gradient health."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.server.parameters import blocks
from raydient.server.parameters.actions import Assign, Diverged
from raydient.server.parameters.blocks import Blocks
from raydient.server.parameters.conductor import Conductor
from raydient.server.parameters.health import LayerSums, PieceMeter, measured_pieces
from raydient.server.parameters.position import Position
from raydient.server.parameters.requests import Reduce, Request
from raydient.server.parameters.shard import Shard
from raydient.server.parameters.update import Updater
from raydient.server.parameters.weights import Weights
from raydient.steps import ranges
from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Average, Frozen, Layout, Learned
from raydient.steps.schedule import Schedule

from .conftest import begin, make_rule
from .optimizer_cases import CASES
from .optimizer_twins import LAYERWISE_TWINS

SGD = ("sgd", {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False})
LEAVES, STEPS, UNITS = 3, 3, 2
LAYOUT = Layout.of(
    [("a.kernel", (5, 3)), ("t.embeddings", (40, 2)), ("b.kernel", (11,)), ("b.mean", (4,)), ("c.kernel", (9,)),
     ("d.kernel", (6,))],
    kinds={"a.kernel": Learned(l1=0.01, l2=0.1), "b.mean": Average(0.9), "c.kernel": Frozen()},
    sparse=["t.embeddings"],
)  # fmt: skip
LAYERS = [("a", UNITS), ("t", 0), ("b", 0), ("c", 0), ("d", 0)]
PIECE = 4


CLIPPINGS = [None, {"values": {"limit": 0.7}}, {"layer_norm": {"limit": 1.5}}, {"global_norm": {"limit": 3.0}}]


def gradients(rng):
    """Return a gradient for each leaf: a few rows of the table are in use."""
    form = GradientLayout.of(LAYOUT, UNITS)
    made = {}
    for leaf in range(LEAVES):
        gradient = form.zeros()
        gradient.vector[:] = rng.normal(size=LAYOUT.size)
        gradient.active[:] = rng.integers(0, 2, UNITS)
        (table,) = gradient.tables.values()
        numbers = np.flatnonzero(rng.random(40) < 0.1)
        table.write(numbers, rng.normal(size=(len(numbers), 2)).astype(np.float32))
        made[leaf, leaf + 1] = gradient
    return made


class Server:
    """A conductor with shards that answer in a given order."""

    def __init__(self, divided, rule, start, executor, shuffle):
        schedule = Schedule(LEAVES, 0, STEPS, LEAVES, LEAVES, gradient_health_every=2)
        layers = LayerSums(LAYOUT, LAYERS)
        self.conductor = Conductor(schedule, Position(0, 0, np.zeros(2)), rule, layers, shards=len(divided))
        self.arrays = [start.copy(), *begin(rule, LAYOUT), *([start.copy()] if rule.average is not None else [])]
        self.squares, self.health = [], []
        self._shuffle = shuffle
        self._shards = [self._shard(a, b, rule, executor) for a, b in divided]
        self.conductor.attached(0)
        self.actions = self.conductor.plan(1, [0], [1.0])

    def _shard(self, start, stop, rule, executor):
        def within(bounds):
            return [bound - start for bound in bounds if start <= bound <= stop]

        layout, form = LAYOUT.within(start, stop), GradientLayout.of(LAYOUT, UNITS).within(start, stop)
        weights, average = self.arrays[0][start:stop], None
        if rule.average is not None:
            average = self.arrays[-1][start:stop]
        state = slice(*(ranges.by_rows(LAYOUT, (start, stop)) if rule.rowwise else (start, stop)))
        state = [array[state] for array in self.arrays[1 : 1 + len(rule.optimizer.state)]]
        updater = Updater(
            Weights(weights, state, rule, layout.parameters, average),
            Blocks(within(ranges.pieces(LAYOUT)), 2, 1, executor),
            tables=form.tables,
        )
        meter = PieceMeter(within(measured_pieces(LAYOUT)))
        return Shard(layout, updater, meter, lambda node, gradient: gradient.within(start, form))

    def step(self, leaves, loss=1.0):
        number = self.conductor.current.number
        for node, gradient in leaves.items():
            refusal, self.actions = self.conductor.push(number, node, gradient, np.array([loss]))
            assert refusal == ""
        while self.actions and isinstance(self.actions[0], Request):
            (request,) = self.actions
            answers = [(shard, self._shards[shard].answer(request)) for shard in range(len(self._shards))]
            if isinstance(request, Reduce):
                self.squares.append(np.concatenate([answer.squares for _, answer in answers]).tobytes())
            self._shuffle(answers)
            for shard, answer in answers:
                assert self.actions == [request] or not self.actions
                self.actions = self.conductor.answered(shard, answer)
        self.health.append(self.conductor.verdict.health)


@given(
    count=st.integers(2, 9),
    block=st.sampled_from([PIECE, 3 * PIECE, 100]),
    choice=st.sampled_from(list(CASES.values())),
    clipping=st.sampled_from(CLIPPINGS),
    lazy=st.booleans(),
    decay=st.sampled_from([None, {"rate": 0.5}, {"rate": 0.5, "exclude": ["t.*"]}]),
    average=st.sampled_from([None, {"decay": 0.5}]),
    shuffled=st.randoms(use_true_random=False),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=150)
def test_the_number_of_shards_changes_no_bit(count, block, choice, clipping, lazy, decay, average, shuffled, seed):
    sparse = "lazy" if lazy and choice[0] not in LAYERWISE_TWINS else "exact"
    decay = None if choice[0] in ("adamw", "lamb", "lars") else decay  # they have their own
    rule = make_rule(*choice, clipping=clipping, sparse=sparse, weight_decay=decay, average=average)
    rng = np.random.default_rng(seed)
    start = rng.normal(size=LAYOUT.size).astype(np.float32)
    steps = [gradients(rng) for _ in range(STEPS)]
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as executor:
        patch.setattr(ranges, "PIECE", PIECE)
        patch.setattr(blocks, "BLOCK", block)
        one = Server([(0, LAYOUT.size)], rule, start, executor, lambda answers: None)
        several = Server(ranges.ranges(LAYOUT, count), rule, start, executor, shuffled.shuffle)
        for leaves in steps:
            one.step(leaves)
            several.step(leaves)
            assert [array.tobytes() for array in several.arrays] == [array.tobytes() for array in one.arrays]
    assert several.squares == one.squares
    for ours, theirs in zip(several.health, one.health, strict=True):
        assert ours.step == theirs.step
        for layer, twin in zip(ours.layers, theirs.layers, strict=True):
            assert layer.gradient_norm == twin.gradient_norm
            assert layer.update_ratio == twin.update_ratio
            assert (layer.layer, layer.non_finite_values) == (twin.layer, twin.non_finite_values)
            assert layer.dead_units_ratio == twin.dead_units_ratio


@pytest.mark.parametrize("clipping", CLIPPINGS)
@pytest.mark.parametrize(("place", "name"), [(0, "a.kernel"), (LAYOUT.size - 1, "d.kernel")])
def test_a_gradient_that_is_not_finite_in_one_shard_ends_training(clipping, place, name):
    rule = make_rule(*SGD, clipping=clipping)
    leaves = gradients(np.random.default_rng(1))
    leaves[1, 2].vector[place] = np.nan
    start = np.ones(LAYOUT.size, np.float32)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as executor:
        patch.setattr(ranges, "PIECE", PIECE)
        server = Server(ranges.ranges(LAYOUT, 4), rule, start, executor, lambda answers: None)
        server.step(leaves)
    (action,) = server.actions
    assert isinstance(action, Diverged)
    assert (action.parameter, action.finite, action.step) == (name, False, 0)
    if rule.scale:
        assert server.arrays[0].tobytes() == start.tobytes(), "the verdict comes before any weight changes"


def test_an_answer_that_is_not_due_is_refused():
    with ThreadPoolExecutor(1) as executor:
        server = Server([(0, LAYOUT.size)], make_rule(*SGD), np.ones(LAYOUT.size, np.float32), executor, list)
    assert [type(action) for action in server.actions if isinstance(action, Assign)]
    with pytest.raises(ValueError, match="not due"):
        server.conductor.answered(0, None)


def test_ranges_of_this_layout_cut_the_table_and_a_parameter():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "PIECE", PIECE)
        bounds = {stop for _, stop in ranges.ranges(LAYOUT, 9)}
        assert all(b - a <= PIECE for a, b in pairwise(ranges.pieces(LAYOUT)))
    inside = [b for p in LAYOUT.parameters for b in bounds if p.offset < b < p.stop]
    assert len(inside) > 4


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("choice", [SGD, ("sgd", {"momentum": 0.9}), ("adam", {}), ("lamb", {})])
@pytest.mark.parametrize("value", [np.nan, np.inf, None])
def test_a_step_that_is_not_finite_is_skipped_in_every_shard(count, choice, value, monkeypatch, executor):
    monkeypatch.setattr(ranges, "PIECE", PIECE)
    rng = np.random.default_rng(5)
    start = rng.normal(size=LAYOUT.size).astype(np.float32)
    first, bad, last = (gradients(rng) for _ in range(STEPS))
    if value is not None:
        bad[1, 2].vector[7] = value
    rule, patient = make_rule(*choice), make_rule(*choice, on_non_finite="skip_step")
    skipping = Server(ranges.ranges(LAYOUT, count), patient, start, executor, lambda answers: None)
    plain = Server([(0, LAYOUT.size)], rule, start, executor, lambda answers: None)
    for server in (skipping, plain):
        server.step(first)
    assert [array.tobytes() for array in skipping.arrays] == [array.tobytes() for array in plain.arrays]
    before = [array.tobytes() for array in skipping.arrays]
    skipping.step(bad, loss=1.0 if value is not None else np.nan)
    assert [array.tobytes() for array in skipping.arrays] == before
    skip, end, *_ = skipping.actions
    assert (skip.step, skip.skipped, skip.finite) == (1, 1, value is None)
    assert (end.step, end.train) == (2, ()), "its rows have no part in the results"
    skipping.step(last)
    assert skipping.conductor.position.step == STEPS
    if choice[0] == "sgd":  # the others depend on the number of the update
        plain.step(last)
        assert [array.tobytes() for array in skipping.arrays] == [array.tobytes() for array in plain.arrays]
