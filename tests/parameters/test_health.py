"""Gradient health equals its definition over whole vectors, for any blocks, threads and division of the sums."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters import blocks as update_blocks
from raydient.server.parameters.actions import Diverged
from raydient.server.parameters.position import Position
from raydient.steps import ranges
from raydient.steps.layout import Average, Layout
from raydient.steps.measurements import GradientHealth, LayerHealth
from raydient.steps.schedule import Schedule

from .conftest import LayerMeter, Server, dense, make_rule, make_updater

SGD = {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False}
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=6)


def layout_of(sizes):
    """Return a layout with one layer of two parameters for each size."""
    return Layout.of(
        part for n, size in enumerate(sizes) for part in ((f"l{n}.kernel", (size, 2)), (f"l{n}.bias", (1,)))
    )


def naive(sizes, gradient, before, after):
    """Return gradient norm, update ratio and number of non-finite values of each layer, by the definition."""
    health_by_layer, start = {}, 0
    for n, size in enumerate(sizes):
        g, w, v = (array[start : start + 2 * size + 1].astype(np.float64) for array in (gradient, before, after))
        with np.errstate(all="ignore"):
            ratio = np.linalg.norm(v - w) / np.linalg.norm(w)
        health_by_layer[f"l{n}"] = (np.linalg.norm(g), ratio, np.sum(~np.isfinite(g)))
        start += 2 * size + 1
    return health_by_layer


def measure(sizes, gradients, weights, piece, blocks, threads):
    """Return the health of one update as the parameter server measures it; changes `weights`."""
    layout, contributions = layout_of(sizes), {node: dense(gradient) for node, gradient in gradients.items()}
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as executor:
        patch.setattr(ranges, "PIECE", piece)
        patch.setattr(update_blocks, "BLOCK", piece * blocks)
        patch.setattr(update_blocks, "PARALLEL_FROM", 1)
        meter = LayerMeter(layout, [(f"l{n}", 0) for n in range(len(sizes))])
        make_updater(weights, [], make_rule("sgd", SGD), 2, threads, executor).update(0, contributions, (0, 2), meter)
        return meter.health(1, None, updated=True)


@given(
    sizes=sizes,
    piece=st.integers(1, 32),
    blocks=st.integers(1, 4),
    threads=st.integers(1, 4),
    bad=st.lists(st.tuples(st.floats(0, 0.999), st.sampled_from([math.nan, math.inf, -math.inf])), max_size=3),
    scale=st.sampled_from([1e-30, 1.0, 1e25]),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_the_naive_twin_whatever_the_blocks_and_threads(sizes, piece, blocks, threads, bad, scale, seed):
    size, rng = layout_of(sizes).size, np.random.default_rng(seed)
    left, right = (rng.normal(scale=scale, size=size).astype(np.float32) for _ in range(2))
    for place, value in bad:
        left[int(place * size)] = value
    before = rng.normal(size=size).astype(np.float32)
    after, again = before.copy(), before.copy()

    measured = measure(sizes, {(0, 1): left, (1, 2): right}, after, piece, blocks, threads)

    for layer, (norm, ratio, count) in zip(
        measured.layers, naive(sizes, left + right, before, after).values(), strict=True
    ):
        assert layer.gradient_norm == pytest.approx(norm, rel=1e-12, nan_ok=True)
        assert layer.update_ratio == pytest.approx(ratio, rel=1e-12, nan_ok=True)
        assert layer.non_finite_values == count
        assert layer.dead_units_ratio is None
    assert [layer.layer for layer in measured.layers] == [f"l{n}" for n in range(len(sizes))]
    alone = measure(sizes, {(0, 2): left + right}, again, piece, blocks + 1, 1)
    assert repr(alone) == repr(measured), "one worker summed both, other blocks, one thread"  # repr: nan is not nan


def test_a_large_vector_gives_the_same_bits_with_real_pieces_and_threads(executor):
    size = update_blocks.PARALLEL_FROM + update_blocks.BLOCK // 3
    layout = Layout.of([("a.kernel", (size // 3,)), ("b.kernel", (size - size // 3,))])
    gradient = np.random.default_rng(0).normal(size=size).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        meter, weights = LayerMeter(layout, [("a", 0), ("b", 0)]), np.ones(size, np.float32)
        updater = make_updater(weights, [], make_rule("sgd", SGD), 1, threads, executor)
        square = updater.update(0, {(0, 1): dense(gradient)}, (0, 1), meter)
        results.append((square, meter.health(1, None, updated=True)))

    assert results[0] == results[1] == results[2]
    assert results[0][1].layers[1].gradient_norm == pytest.approx(
        float(np.linalg.norm(gradient[size // 3 :])), rel=1e-5
    )


def test_measuring_changes_no_bit_of_the_weights(executor):
    gradient = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    layout, results = Layout.of([("a.kernel", (200_000,))]), set()
    for meter in (None, LayerMeter(layout, [("a", 0)])):
        weights = np.linspace(-1, 1, 200_000, dtype=np.float32)
        updater = make_updater(weights, [], make_rule("sgd", SGD), 1, 1, executor)
        updater.update(0, {(0, 1): dense(gradient)}, (0, 1), meter)
        results.add(weights.tobytes())

    assert len(results) == 1


@pytest.mark.parametrize(
    ("before", "after", "ratio"), [([0, 0], [0, 0], 0.0), ([0, 0], [0, 1], math.inf), ([3, 4], [3, 4], 0.0)]
)
def test_update_ratio_of_zeros(before, after, ratio):
    meter = LayerMeter(Layout.of([("a.kernel", (2,))]), [("a", 0)])
    meter.add_gradient(0, np.zeros(2, np.float32))
    meter.add_update(0, np.array(before, np.float32), np.array(after, np.float32))

    assert meter.health(1, None, updated=True).layers == (LayerHealth("a", 0.0, ratio, 0),)


def test_norms_leave_out_moving_averages():
    shapes = [("a.kernel", (2,)), ("b.gamma", (2,)), ("b.mean", (3,)), ("c.mean", (2,)), ("d.kernel", (1,))]
    meter = LayerMeter(
        Layout.of(shapes, {"b.mean": Average(0.9), "c.mean": Average(0.5)}), [(name, 0) for name in "abcd"]
    )
    meter.add_gradient(0, np.array([0, 1, 3, 4, math.nan, 9, 9, 9, 9, 2], np.float32))
    meter.add_update(0, np.ones(10, np.float32), np.array([1, 1, 1, 1, 9, 9, 9, 9, 9, 3], np.float32))

    assert meter.health(1, None, updated=True).layers == (
        LayerHealth("a", 1.0, 0.0, 0),
        LayerHealth("b", 5.0, 0.0, 0),
        LayerHealth("d", 2.0, 2.0, 0),
    )


def test_dead_units_are_inactive_in_every_microbatch():
    meter = LayerMeter(Layout.of([("b.kernel", (2,))]), [("flatten", 0), ("a", 2), ("b", 4), ("c", 1)])
    meter.add_gradient(0, np.array([3, 4], np.float32))
    active = np.array([0, 3, 1, 0, 0, 0, 7], np.float32)

    assert meter.health(9, active, updated=False) == GradientHealth(
        9,
        (
            LayerHealth("a", dead_units_ratio=0.5),
            LayerHealth("b", 5.0, None, 0, 0.75),
            LayerHealth("c", dead_units_ratio=0.0),
        ),
    )


# ---- in training


@pytest.fixture
def make_server(executor):
    """Return a function that makes a server of ten steps; the layer has two values and two rectified units."""

    def make(every=4):
        layout = Layout.of([("a.kernel", (2,))])
        rule = make_rule("sgd", SGD)
        updater = make_updater(np.ones(2, np.float32), [], rule, 2, 1, executor)
        schedule = Schedule(2, 0, epochs=10, batch_size=2, microbatches=2, gradient_health_every=every)
        return Server(schedule, Position(0, 0, np.zeros(2)), layout, [("a", 2)], rule, updater)

    return make


def step(server, *slots, loss=1.0):
    """Push the leaves of the open round, gradient and counts in one slot each; return the resulting actions."""
    number, actions = server.current.number, []
    for leaf, slot in enumerate(slots):
        _, more = server.push(number, (leaf, leaf + 1), dense(slot, units=2), np.array([loss]))
        actions += more
    return actions


def test_the_first_step_every_fourth_and_the_last_are_measured(make_server):
    server, seen = make_server(), []
    server.attached(0)
    server.plan(1, [0], [1.0])
    assert server.verdict.health is None
    for _ in range(10):
        step(server, [1, 0, 1, 0], [2, 4, 0, 0])
        seen.append(server.verdict.health.step)

    assert seen == [1, 1, 1, 4, 4, 4, 4, 8, 8, 10]
    assert server.verdict.health.layers[0].gradient_norm == 5.0
    assert server.verdict.health.layers[0].dead_units_ratio == 0.5


def test_nothing_is_measured_if_it_is_turned_off(make_server):
    server = make_server(every=0)
    server.attached(0)
    server.plan(1, [0], [1.0])
    for _ in range(10):
        step(server, [1, 0, 1, 0], [2, 4, 0, 0])

    assert server.verdict.health is None


@pytest.mark.parametrize("done", [0, 1])
def test_a_diverging_step_is_measured_always(make_server, done):
    server = make_server()
    server.attached(0)
    server.plan(1, [0], [1.0])
    for _ in range(done):
        step(server, [1, 0, 1, 0], [2, 4, 0, 0])

    (action,) = step(server, [1, math.nan, 1, 0], [2, 4, 0, 0])

    assert isinstance(action, Diverged)
    (layer,) = server.verdict.health.layers
    assert (server.verdict.health.step, layer.non_finite_values, layer.update_ratio) == (done + 1, 1, None)
    assert layer.dead_units_ratio == (None if done else 0.5)


def test_finite_gradients_of_a_diverging_step_are_measured(make_server):
    server = make_server(every=0)
    server.attached(0)
    server.plan(1, [0], [1.0])

    step(server, [1, 0, 1, 0], [2, 4, 0, 0], loss=math.inf)

    assert server.verdict.health == GradientHealth(1, (LayerHealth("a", 5.0, None, 0),))
