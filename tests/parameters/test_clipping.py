"""Clipping: its factors, its norms by parameter, which have the bits of a loop over rows, and what was clipped."""

from math import hypot, inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters import blocks
from raydient.server.parameters.clipping import Clipped, GlobalNorm, LayerNorm
from raydient.server.parameters.norms import ParameterSquares
from raydient.steps import ranges
from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Average, Frozen, Layout, Learned
from raydient.steps.ranges import pieces
from tests.end_to_end import norm_twin

from .conftest import make_rule, make_updater
from .optimizer_cases import CASES

SHAPES = {"a.kernel": (3, 7), "t.embeddings": (30, 2), "b.kernel": (13,), "b.mean": (3,), "c.kernel": (9,)}
KINDS = {"b.mean": Average(0.5), "c.kernel": Frozen()}


@pytest.mark.parametrize(
    ("scale", "norms", "factors"),
    [
        (LayerNorm(2.0), [4.0, 1.0, 2.0, 0.0], [0.5, 1.0, 1.0, 1.0]),
        (GlobalNorm(2.5), [3.0, 4.0, 0.0], [0.5, 0.5, 0.5]),
        (GlobalNorm(5.0), [3.0, 4.0], [1.0, 1.0]),
        (GlobalNorm(1.0), [0.0, 0.0], [1.0, 1.0]),
        (LayerNorm(1e-30), [1e30], [1e-60]),
    ],
)
def test_factors_by_hand(scale, norms, factors):
    assert list(scale(np.square(norms))) == pytest.approx(factors, rel=1e-15)


# clip_grad_value_(all, 0.3), clip_grad_norm_([each], 2.0) and clip_grad_norm_(all, 2.0) of torch.nn.utils, PyTorch 2.13
TORCH = {
    "values": (0.3, [0.3, -0.3, 0.3, 0.25, -0.1]),
    "layer_norm": (2.0, [1.1940444707870483, -1.5920592546463013, 0.19900740683078766, 0.25, -0.1]),
    "global_norm": (
        2.0,
        [1.1923339366912842, -1.5897785425186157, 0.19872231781482697, 0.09936115890741348, -0.03974446281790733],
    ),
}


@pytest.mark.parametrize("kind", TORCH)
def test_a_clipped_gradient_is_that_of_pytorch(kind, executor):
    limit, expected = TORCH[kind]
    rule = make_rule("sgd", {"learning_rate": 1.0}, clipping={kind: {"limit": limit}})
    layout, weights = Layout.of([("a.kernel", (3,)), ("b.kernel", (2,))]), np.zeros(5, np.float32)
    updater = make_updater(weights, [], rule, 1, 1, executor, parameters=layout.parameters, bounds=[0, 5])
    _step(updater, layout, np.array([3, -4, 0.5, 0.25, -0.1], np.float32), {})
    np.testing.assert_allclose(-weights, expected, rtol=1e-6)


def _step(updater, layout, vector, rows):
    """Make a step with one contribution, and return its squares by parameter if it takes two passes."""
    gradient = GradientLayout.of(layout).zeros()
    gradient.vector[:] = vector
    for table in gradient.tables.values():
        table.write(np.array([*rows], np.int64), np.array([*rows.values()], np.float32).reshape(len(rows), -1))
    if updater.rule.in_one_pass:
        updater.update(0, {(0, 1): gradient}, (0, 1))
        return None
    squares = ParameterSquares(layout).of(updater.reduce({(0, 1): gradient}, (0, 1)))
    factors = updater.rule.scale(squares) if updater.rule.scale else [1.0] * len(squares)
    updater.apply(0, {p.name: factor for p, factor in zip(layout.parameters, factors, strict=True)})
    return squares


@given(
    kind=st.sampled_from(["values", "layer_norm", "global_norm"]),
    case=st.sampled_from(["sgd", "adam", "adagrad"]),
    magnitude=st.sampled_from([1e-25, 1e-3, 1.0, 1e15]),
    l2=st.sampled_from([0.0, 0.25]),
    on_non_finite=st.sampled_from(["fail", "skip_step"]),
    block=st.sampled_from([4, 16, 1000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_clipped_update_is_that_of_a_loop(kind, case, magnitude, l2, on_non_finite, block, seed):
    """The rows in use are changed alone by SGD and Adagrad, and with the whole table by Adam.

    A step that may be skipped takes two passes, with any kind of clipping.
    """
    rng, limit = np.random.default_rng(seed), np.float32(magnitude)
    rule = make_rule(*CASES[case], clipping={kind: {"limit": float(limit)}}, on_non_finite=on_non_finite)
    layout = Layout.of(SHAPES.items(), KINDS | {"t.embeddings": Learned(0, l2)}, ["t.embeddings"])
    vector = (rng.normal(size=layout.size) * magnitude).astype(np.float32)
    layout.views(vector)["c.kernel"][:] = 0  # as of every frozen parameter
    rows = {number: (rng.normal(size=2) * magnitude).astype(np.float32) for number in rng.permutation(30)[:5]}
    ours = [rng.normal(size=layout.size).astype(np.float32)]
    ours += [np.full_like(ours[0], value) for value in rule.optimizer.state.values()]
    twin = [array.copy() for array in ours]
    gradient = _whole(layout, vector, rows, twin[0], l2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "PIECE", 8)
        patch.setattr(blocks, "BLOCK", block)
        settings = {"parameters": layout.parameters, "tables": GradientLayout.of(layout).tables}
        updater = make_updater(ours[0], ours[1:], rule, 1, 1, None, bounds=pieces(layout), **settings)
        squares = _step(updater, layout, vector, dict(sorted(rows.items())))
        expected = norm_twin.squares(layout, gradient)
    assert squares is None or squares.tolist() == expected
    for p, square in zip(layout.parameters, expected, strict=True):
        weights, *state = (array[p.offset : p.stop] for array in twin)
        g, norm = gradient[p.offset : p.stop], np.sum(expected if kind == "global_norm" else square) ** 0.5
        if isinstance(p.kind, Learned):
            scaled = g * np.float32(float(limit) / max(norm, float(limit)))
            clipped = g.clip(-limit, limit) if kind == "values" else scaled
            rule.update(0, weights, clipped, state, (np.empty_like(g), np.empty_like(g)))
        elif isinstance(p.kind, Average):
            weights[:] = np.float32(0.5) * weights + np.float32(0.5) * g
    assert [array.tobytes() for array in ours] == [array.tobytes() for array in twin]


def _whole(layout, vector, rows, weights, l2):
    """Return the gradient with that of the penalty of the table."""
    whole = vector.copy()
    p = layout.parameters[1]
    table = p.view(whole)
    table[:] = 0
    for number, row in rows.items():
        table[number] = row
    if l2:
        table += np.float32(2 * l2) * p.view(weights)
    return whole


def test_what_was_clipped():
    clipped = Clipped()
    for before, after in ((25.0, 25.0), (25.0, 1.0), (0.0, 0.0), (9.0, 2.25)):
        clipped.add(before, after)
    assert (clipped.factor, clipped.steps) == (0.5, 2)
    clipped.add(inf, inf)
    assert (clipped.factor, clipped.steps) == (1.0, 2)


def test_a_gradient_far_beyond_the_range_of_its_squares_keeps_its_direction(executor):
    rule = make_rule("sgd", {"learning_rate": 1.0}, clipping={"global_norm": {"limit": 5.0}})
    layout, weights = Layout.of([("a.kernel", (2,))]), np.zeros(2, np.float32)
    updater = make_updater(weights, [], rule, 1, 1, executor, parameters=layout.parameters, bounds=[0, 2])
    (square,) = _step(updater, layout, np.array([3e30, 4e30], np.float32), {})
    assert square**0.5 == pytest.approx(hypot(3e30, 4e30), rel=1e-6)
    assert weights.tolist() == pytest.approx([-3, -4], rel=1e-6)
