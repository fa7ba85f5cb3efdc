"""An update against tree and optimizer over the whole vector: blocks and threads change no bits."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters import blocks
from raydient.steps.layout import Average, Frozen, Learned, Parameter
from raydient.steps.tree import children, maximal_subtrees

from .conftest import dense, make_rule, make_updater

ADAM = ("adam", {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7})
MOMENTUM = ("sgd", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True})
SGD = ("sgd", {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False})


def naive_sum(leaves, node):
    if node[1] - node[0] == 1:
        return leaves[node[0]]
    left, right = children(node)
    return naive_sum(leaves, left) + naive_sum(leaves, right)


def part(start, stop, kind):
    """Return a parameter at `start`..`stop` - 1 of the flat vector."""
    return Parameter("part", (stop - start,), start, kind)


@st.composite
def rounds(draw, most=20, most_cuts=6):
    """Draw a number of leaves and the nodes that are pushed, from a division among workers."""
    leaves = draw(st.integers(1, most))
    cuts = sorted(draw(st.lists(st.integers(0, leaves), max_size=most_cuts)))
    ranges = zip([0, *cuts], [*cuts, leaves], strict=True)
    return leaves, [node for first, last in ranges for node in maximal_subtrees(first, last, leaves)]


@given(
    case=rounds(),
    size=st.integers(1, 200),
    block=st.integers(1, 64),
    threads=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    rule=st.sampled_from([ADAM, SGD]),
)
def test_division_blocks_and_threads_change_no_bit(case, size, block, threads, seed, rule):
    leaves, nodes = case
    rng = np.random.default_rng(seed)
    rule = make_rule(*rule)
    gradients = [rng.normal(size=size).astype(np.float32) for _ in range(leaves)]
    contributions = {node: dense(naive_sum(gradients, node)) for node in nodes}
    for contribution in contributions.values():
        contribution.vector.flags.writeable = False
    start = rng.normal(size=size).astype(np.float32)
    arrays = [start.copy(), *(np.zeros_like(start) for _ in rule.optimizer.state)]
    expected = [array.copy() for array in arrays]
    total = naive_sum(gradients, (0, leaves))

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as executor:
        patch.setattr(blocks, "BLOCK", block)
        patch.setattr(blocks, "PARALLEL_FROM", 1)
        updater = make_updater(arrays[0], arrays[1:], rule, leaves.bit_length(), threads, executor)
        for step in range(2):
            norm = updater.update(step, contributions, (0, leaves))
            scratch = [np.empty_like(start) for _ in range(2)]
            rule.update(step, expected[0], total, expected[1:], scratch)

    assert [array.tobytes() for array in arrays] == [array.tobytes() for array in expected]
    assert norm == pytest.approx(float(np.sum(total.astype(np.float64) ** 2)), rel=1e-4)


@given(
    case=rounds(most=6),
    size=st.integers(1, 200),
    block=st.integers(1, 64),
    threads=st.integers(1, 3),
    factor=st.sampled_from([0.0, 0.25, 1.0]),
    choice=st.sampled_from([ADAM, SGD, MOMENTUM]),
)
def test_a_factor_of_the_gradient_is_known_before_any_weight_changes(case, size, block, threads, factor, choice):
    """The factor follows from the norm of the whole gradient, as in clipping; statistics have no part in it."""
    leaves, nodes = case
    rng = np.random.default_rng(size)
    gradients = [rng.normal(size=size).astype(np.float32) for _ in range(leaves)]
    contributions = {node: dense(naive_sum(gradients, node)) for node in nodes}
    start = rng.normal(size=size).astype(np.float32)
    rule = make_rule(*choice)
    arrays = [start.copy(), *(np.zeros_like(start) for _ in rule.optimizer.state)]
    expected = [array.copy() for array in arrays]
    frozen = part(0, size // 3, Frozen())
    parameters = [frozen, part(frozen.stop, size, Learned())]
    norms = []

    def scale(square):
        assert arrays[0].tobytes() == start.tobytes()
        norms.append(square)
        return factor

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as executor:
        patch.setattr(blocks, "BLOCK", block)
        patch.setattr(blocks, "PARALLEL_FROM", 1)
        scaled, depth = replace(rule, scale=scale), leaves.bit_length()
        updater = make_updater(arrays[0], arrays[1:], scaled, depth, threads, executor, parameters=parameters)
        norm = float(np.sum(updater.reduce(contributions, (0, leaves))))
        updater.apply(0, dict.fromkeys([p.name for p in parameters], scale(norm)))

    where = slice(frozen.stop, size)
    total = naive_sum(gradients, (0, leaves))[where]
    state, scratch = [array[where] for array in expected[1:]], [np.empty_like(total) for _ in range(2)]
    rule.update(0, expected[0][where], total * np.float32(factor), state, scratch)
    assert [array.tobytes() for array in arrays] == [array.tobytes() for array in expected]
    assert norms == [norm]
    assert norm == pytest.approx(float(np.sum(total.astype(np.float64) ** 2)), rel=1e-4)


@pytest.mark.parametrize("choice", [ADAM, SGD, MOMENTUM])
def test_each_update_has_the_learning_rate_of_its_step(choice, executor):
    rates = [0.5, 0.125, 0.0]
    rule = replace(make_rule(*choice), learning_rate=rates.__getitem__)
    weights, expected = np.ones(8, np.float32), np.ones(8, np.float32)
    state, twin = ([np.zeros(8, np.float32) for _ in rule.optimizer.state] for _ in range(2))
    updater, gradient = make_updater(weights, state, rule, 1, 1, executor), np.arange(8, dtype=np.float32)
    for step, rate in enumerate(rates):
        updater.update(step, {(0, 1): dense(gradient)}, (0, 1))
        rule.optimizer.update(step, expected, gradient, twin, [np.empty(8, np.float32) for _ in range(2)], rate=rate)
        assert weights.tobytes() == expected.tobytes()


def test_a_large_vector_is_updated_by_two_threads_to_the_same_bits(executor):
    size = blocks.PARALLEL_FROM + blocks.BLOCK // 3
    gradient = np.random.default_rng(0).normal(size=size).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        weights = np.ones(size, np.float32)
        updater = make_updater(weights, [], make_rule(*SGD), 1, threads, executor)
        square = updater.update(0, {(0, 1): dense(gradient)}, (0, 1))
        results.append((weights.tobytes(), square.tobytes()))

    assert len(set(results)) == 1
    assert np.frombuffer(results[0][0], np.float32)[-1] == np.float32(1) - gradient[-1] * np.float32(0.1)


@given(
    size=st.integers(1, 200),
    cuts=st.lists(st.integers(0, 200), min_size=2, max_size=6),
    block=st.integers(1, 64),
    threads=st.integers(1, 3),
    rule=st.sampled_from([ADAM, SGD]),
)
def test_moving_averages_follow_their_own_rule_and_have_no_part_in_the_norm(size, cuts, block, threads, rule):
    cuts = sorted(min(cut, size) for cut in cuts)
    averages = [part(a, b, Average(0.9)) for a, b in zip(cuts[::2], cuts[1::2], strict=False) if a < b]
    learned = np.ones(size, bool)
    for average in averages:
        average.view(learned)[:] = False
    rng, rule = np.random.default_rng(size), make_rule(*rule)
    start, gradient = rng.normal(size=(2, size)).astype(np.float32)
    arrays = [start.copy(), *(np.zeros_like(start) for _ in rule.optimizer.state)]
    expected = [array[learned] for array in arrays]

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as executor:
        patch.setattr(blocks, "BLOCK", block)
        patch.setattr(blocks, "PARALLEL_FROM", 1)
        updater = make_updater(arrays[0], arrays[1:], rule, 1, threads, executor, parameters=averages)
        norm = updater.update(0, {(0, 1): dense(gradient)}, (0, 1))

    scratch = [np.empty_like(expected[0]) for _ in range(2)]
    rule.update(0, expected[0], gradient[learned], expected[1:], scratch)
    assert [array[learned].tobytes() for array in arrays] == [array.tobytes() for array in expected]
    np.testing.assert_allclose(arrays[0][~learned], (0.9 * start + 0.1 * gradient)[~learned], rtol=1e-5, atol=1e-6)
    assert all((array[~learned] == 0).all() for array in arrays[1:])
    assert norm == pytest.approx(float(np.sum(gradient[learned].astype(np.float64) ** 2)), rel=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_norm_is_not_finite_if_a_statistic_is_not(bad, executor):
    updater = make_updater(
        np.zeros(4, np.float32), [], make_rule(*SGD), 1, 1, executor, parameters=[part(2, 4, Average(0.5))]
    )

    assert not np.isfinite(updater.update(0, {(0, 1): dense([1, 1, 1, bad])}, (0, 1)))


@pytest.mark.parametrize("threads", [1, 2])
def test_weights_that_are_reported_as_updated_are_final(threads, executor, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 32)
    monkeypatch.setattr(blocks, "PARALLEL_FROM", 1)
    weights, reported = np.zeros(200, np.float32), []
    updater = make_updater(
        weights,
        [],
        make_rule(*SGD),
        1,
        threads,
        executor,
        updated=lambda stop: reported.append((stop, weights[:stop].copy())),
    )

    updater.update(0, {(0, 1): dense(np.arange(1, 201))}, (0, 1))

    stops = [stop for stop, _ in reported]
    assert stops == ([32, 64, 96, 128, 160, 192, 200] if threads == 1 else [32, 64, 96, 200])
    for stop, seen in reported:
        assert seen.tobytes() == weights[:stop].tobytes()
    assert (weights < 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0), (1, 99), (2, 50)])
def test_the_norm_is_not_finite_if_a_gradient_is_not(bad, where, executor, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 32)
    gradients = np.ones((3, 100), np.float32)
    gradients[where] = bad
    contributions = {(0, 2): dense(gradients[0] + gradients[1]), (2, 3): dense(gradients[2])}
    updater = make_updater(np.zeros(100, np.float32), [], make_rule(*SGD), 2, 1, executor)

    assert not np.isfinite(updater.update(0, contributions, (0, 3)))


def test_the_norm_is_not_finite_if_the_sum_of_finite_gradients_overflows(executor):
    huge = np.full(4, 3e38, np.float32)
    updater = make_updater(np.zeros(4, np.float32), [], make_rule(*SGD), 1, 1, executor)

    assert not np.isfinite(updater.update(0, {(0, 1): dense(huge), (1, 2): dense(huge)}, (0, 2)))


@given(
    size=st.integers(1, 200),
    cuts=st.lists(st.integers(0, 200), min_size=2, max_size=2),
    block=st.sampled_from([1, 16, 1000]),
    threads=st.sampled_from([1, 3]),
    leaves=st.integers(1, 3),
    l1=st.sampled_from([0.0, 0.25]),
    l2=st.sampled_from([0.0, 0.5]),
)
def test_a_penalty_is_added_once_to_the_summed_gradient(size, cuts, block, threads, leaves, l1, l2):
    """Numbers are small multiples of powers of two, so that every sum is exact in any order."""
    a, b = sorted(min(cut, size) for cut in cuts)
    rng, rule = np.random.default_rng(size), make_rule(*SGD)
    start = rng.integers(-8, 8, size).astype(np.float32) / 4
    gradients = rng.integers(-8, 8, (leaves, size)).astype(np.float32)
    kept = gradients.copy()
    contributions = {(leaf, leaf + 1): dense(gradients[leaf]) for leaf in range(leaves)}
    weights, expected = start.copy(), start.copy()

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as executor:
        patch.setattr(blocks, "BLOCK", block)
        patch.setattr(blocks, "PARALLEL_FROM", 1)
        updater = make_updater(weights, [], rule, 2, threads, executor, parameters=[part(a, b, Learned(l1, l2))])
        norm = updater.update(0, contributions, (0, leaves))

    total = gradients.sum(axis=0)
    total[a:b] += np.float32(l1) * np.sign(start[a:b]) + 2 * np.float32(l2) * start[a:b]
    rule.update(0, expected, total, [], [np.empty_like(total) for _ in range(2)])
    assert weights.tobytes() == expected.tobytes()
    assert norm == pytest.approx(float(np.sum(total.astype(np.float64) ** 2)), rel=1e-6)
    assert gradients.tobytes() == kept.tobytes()


@pytest.mark.parametrize("rule", [ADAM, SGD, MOMENTUM])
def test_a_frozen_parameter_keeps_every_bit(rule, executor):
    weights = np.array([-0.0, 1e-45, np.pi, 1.0, 2.0], np.float32)
    start, rule = weights.copy(), make_rule(*rule)
    state = [np.zeros_like(weights) for _ in rule.optimizer.state]
    updater = make_updater(weights, state, rule, 1, 1, executor, parameters=[part(0, 3, Frozen())])
    for step in range(3):
        updater.update(step, {(0, 1): dense([0, 0, 0, 1, 1])}, (0, 1))
    assert weights[:3].tobytes() == start[:3].tobytes()
    assert (weights[3:] != start[3:]).all()
