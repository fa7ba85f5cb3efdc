"""Updates with row-sparse gradients against an updater without tables, byte by byte."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters import blocks
from raydient.server.parameters.health import PieceMeter, measured_pieces
from raydient.steps import ranges, sparse
from raydient.steps.gradient import Gradient, GradientLayout
from raydient.steps.layout import Frozen, Layout, Learned

from .conftest import LayerMeter, begin, make_rule, make_updater
from .test_update import rounds

RULES = {
    "adam": ("adam", {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}),
    "momentum": ("sgd", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    "adagrad": ("adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.1, "epsilon": 1e-7}),
    "rowwise adagrad": ("rowwise_adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.1, "epsilon": 1e-7}),
    "sgd": ("sgd", {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False}),
}
SHAPES = {"a.kernel": (3, 2), "b.table": (9, 4), "c.table": (40, 3), "d.bias": (5,), "e.table": (7, 1)}
TABLES = [name for name in SHAPES if name.endswith("table")]
LAYERS = [(name.partition(".")[0], 0) for name in SHAPES]


def gradient_of(layout, rng, share):
    """Return a gradient whose tables have about a share of their rows in use, negative zeros among their values."""
    gradient = GradientLayout.of(layout).zeros()
    gradient.vector[:] = rng.normal(size=layout.size)
    for table in gradient.tables.values():
        rows, width = table.values.shape
        numbers = np.flatnonzero(rng.random(rows) < share)
        values = rng.normal(size=(len(numbers), width)).astype(np.float32)
        values[rng.random(values.shape) < 0.2] = -0.0
        table.write(numbers, values)
    return gradient


def packed(gradient):
    return b"".join(part.tobytes() for part in gradient.pack())


@given(
    division=rounds(most=9, most_cuts=3),
    rule=st.sampled_from(list(RULES)),
    share=st.sampled_from([0.0, 0.03, 0.3, 1.0]),
    block=st.integers(1, 64),
    rows_block=st.integers(1, 20),
    threads=st.integers(1, 3),
    frozen=st.sampled_from([None, *TABLES]),
    penalized=st.sampled_from([None, *SHAPES]),
    measured=st.sets(st.integers(0, 2)),
    scaled=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_alone_give_the_bits_of_the_whole_table(
    division, rule, share, block, rows_block, threads, frozen, penalized, measured, scaled, seed
):
    leaves, nodes = division
    rng, rule = np.random.default_rng(seed), make_rule(*RULES[rule])
    if scaled:
        rule = replace(rule, scale=len)  # the factors are those below
    kinds = {penalized: Learned(0.25, 0.5), frozen: Frozen()}
    layout = Layout.of(SHAPES.items(), kinds, TABLES)
    tables = GradientLayout.of(layout).tables
    settings, dense = {"parameters": layout.parameters}, GradientLayout(layout.size)
    start = rng.normal(size=layout.size).astype(np.float32)
    start[rng.random(len(start)) < 0.2] = -0.0
    ours, twin = ([start.copy(), *begin(rule, layout)] for _ in range(2))
    updated = []

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(3) as executor:
        patch.setattr(blocks, "BLOCK", block)
        patch.setattr(blocks, "PARALLEL_FROM", 1)
        patch.setattr(sparse, "BLOCK", rows_block)
        patch.setattr(ranges, "PIECE", block)
        depth = leaves.bit_length()
        settings["bounds"] = measured_pieces(layout)
        settings["updated"] = lambda stop: updated.append((stop, ours[0][:stop].copy()))
        with_tables = make_updater(ours[0], ours[1:], rule, depth, threads, executor, tables=tables, **settings)
        settings["updated"] = lambda stop: None
        without = make_updater(twin[0], twin[1:], rule, depth, 1, executor, **settings)
        for step in range(3):
            contributions = {node: gradient_of(layout, rng, share) for node in nodes}
            before = {node: packed(gradient) for node, gradient in contributions.items()}
            norms, measurements = [], []
            whole = {node: Gradient(dense, gradient.dense()) for node, gradient in contributions.items()}
            for updater, gradients in ((with_tables, contributions), (without, whole)):
                meter = None
                if step in measured:
                    meter = LayerMeter(layout, LAYERS)
                if scaled:
                    norms.append(np.sum(updater.reduce(gradients, (0, leaves), meter)))
                    updater.apply(step, dict(zip(SHAPES, [0.25, 1.0, 0.5, 0.125, 2.0], strict=True)), meter)
                else:
                    norms.append(updater.update(step, gradients, (0, leaves), meter))
                measurements.append(meter and meter.health(step, None, updated=True))
            assert [array.tobytes() for array in ours] == [array.tobytes() for array in twin]
            assert norms[0] == pytest.approx(norms[1], rel=1e-4)
            for one, other in zip(*(m.layers if m else () for m in measurements), strict=True):
                assert (one.layer, one.non_finite_values) == (other.layer, other.non_finite_values)
                assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-6)
                assert one.update_ratio == pytest.approx(other.update_ratio, rel=1e-6)
            assert {node: packed(gradient) for node, gradient in contributions.items()} == before
            for stop, seen in updated:
                assert seen.tobytes() == ours[0][:stop].tobytes(), "reported before they had their new values"
            stops = [stop for stop, _ in updated]
            assert stops == sorted(set(stops)), "each is more than the one before"
            assert stops[-1] == layout.size
            updated.clear()


@pytest.fixture
def step(executor):
    """Return a function that makes the first update of a large table of ones, and returns weights and norm after it.

    Contributions are given by their rows in use: {number: value all over the row}. The memory behind these rows is
    marked with NaN, so that a result shows if it was read.
    """
    layout = Layout.of([("dense", (2,)), ("table", (1000, 2))], sparse=["table"])
    form = GradientLayout.of(layout)
    (table,) = form.tables

    def make(rule, *contributions):
        gradients = {}
        for leaf, used in enumerate(contributions):
            gradients[leaf, leaf + 1] = gradient = form.zeros()
            values = np.repeat(np.array([*used.values()], np.float32), 2).reshape(-1, 2)
            gradient.tables[table.offset].write(np.array([*used], np.int64), values)
            gradient.tables[table.offset].values[len(used) :] = np.nan
        rule, weights = make_rule(*RULES[rule]), np.ones(layout.size, np.float32)
        state = begin(rule, layout)
        settings = {"parameters": layout.parameters, "tables": (table,)}
        updater = make_updater(weights, state, rule, 3, 1, executor, **settings)
        norm = updater.update(0, gradients, (0, len(gradients)))
        return table.values(weights), norm

    return make


@pytest.mark.parametrize("rule", RULES)
def test_rows_that_are_not_in_use_are_not_read(step, rule):
    weights, norm = step(rule, {3: 1.0, 10: 2.0}, {10: 4.0, 999: 8.0})

    assert norm == 2 * (1 + 36 + 64)
    assert np.flatnonzero((weights != 1).any(axis=1)).tolist() == [3, 10, 999]
    if rule == "sgd":
        np.testing.assert_array_equal(weights[10], np.float32(1) - np.float32(6) * np.float32(0.1))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("values", [({5: np.nan}, {}), ({5: np.inf}, {5: -np.inf}), ({5: 3e38}, {5: 3e38})])
def test_the_norm_is_not_finite_if_a_row_is_not(step, rule, values):
    _, norm = step(rule, *values)

    assert not np.isfinite(norm)


@given(
    rows=st.integers(1, 40),
    width=st.integers(1, 5),
    piece=st.integers(1, 30),
    scale=st.sampled_from([1e-44, 1e-30, 1e-15, 1.0, 1e15, 1e30]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_norm_of_a_table_is_measured_whatever_the_range_of_its_values(rows, width, piece, scale, seed):
    layout = Layout.of([("a.kernel", (3,)), ("b.table", (rows, width))], sparse=["b.table"])
    weights = (np.random.default_rng(seed).normal(size=layout.size) * scale).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "PIECE", piece)
        bounds = measured_pieces(layout)
        meter = PieceMeter(bounds)
        meter.add_table(3, weights[3:])

    exact = [np.sum(weights[a:b].astype(np.float64) ** 2) for a, b in pairwise(bounds)]
    exact[: bounds.index(3)] = [0.0] * bounds.index(3)
    np.testing.assert_allclose(meter.read()[:, 1], exact, rtol=1e-6)
