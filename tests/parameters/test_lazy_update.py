"""`sparse: lazy` changes the rows of tables that a step uses, in weights and state, and leaves the others."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.steps import sparse
from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Layout, Learned

from .conftest import begin, make_rule, make_updater
from .optimizer_cases import CASES
from .optimizer_twins import LAYERWISE_TWINS
from .test_sparse_update import SHAPES, TABLES, gradient_of

NAMES = [name for name, (kind, _) in CASES.items() if kind not in LAYERWISE_TWINS]


@given(
    name=st.sampled_from(NAMES),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    penalized=st.sampled_from([None, *TABLES]),
    rows_block=st.integers(1, 20),
    clips=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_rows_that_are_not_in_use_keep_weights_and_state(name, share, penalized, rows_block, clips, seed):
    clipping, rng = {"global_norm": {"limit": 1.0}} if clips else None, np.random.default_rng(seed)
    rule = make_rule(*CASES[name], sparse="lazy", clipping=clipping)
    layout = Layout.of(SHAPES.items(), {penalized: Learned(0.25, 0.5)}, TABLES)
    start = rng.normal(size=layout.size).astype(np.float32)
    ours, twin = ([start.copy(), *begin(rule, layout)] for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as executor:
        patch.setattr(sparse, "BLOCK", rows_block)
        tables = GradientLayout.of(layout).tables
        updater = make_updater(ours[0], ours[1:], rule, 1, 1, executor, parameters=layout.parameters, tables=tables)
        for step in range(3):
            gradient = gradient_of(layout, rng, share)
            if clips:
                updater.reduce({(0, 1): gradient}, (0, 1))
                updater.apply(step, dict.fromkeys(SHAPES, 0.25))
            else:
                updater.update(step, {(0, 1): gradient}, (0, 1))
            for p in layout.parameters:
                part = gradient.tables.get(p.offset)
                rows = part.used if part is not None and p.name != penalized else slice(None)
                update_rows(rule, step, layout, p.name, rows, gradient.dense(), twin, 0.25 if clips else 1.0)
            assert [array.tobytes() for array in ours] == [array.tobytes() for array in twin]


def update_rows(rule, step, layout, name, rows, gradient, arrays, factor):
    """Update some rows of a parameter by the definition."""
    parameter = next(p for p in layout.parameters if p.name == name)
    by_rows = rule.rowwise is not None and parameter.sparse
    of_state = layout.by_rows() if rule.rowwise is not None else layout
    places = [of.views(array)[name] for of, array in zip([layout] + [of_state] * 9, arrays, strict=False)]
    chosen = [place[rows].copy() for place in places]
    weights, *state = chosen
    l1, l2 = np.float32([parameter.kind.l1, parameter.kind.l2])
    g = parameter.view(gradient)[rows]
    g = g + 2 * l2 * weights + l1 * np.sign(weights) if l1 or l2 else g
    if rule.decay is not None:
        weights *= np.float32(rule.decay.factor(rule.learning_rate(step)))
    state = [array[:, np.newaxis] for array in state] if by_rows else state
    rule.update(step, weights, g * np.float32(factor), state, [np.empty_like(weights) for _ in range(2)])
    for place, changed in zip(places, chosen, strict=True):
        place[rows] = changed


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adagrad from zero", "rowwise adagrad"])
def test_a_rule_that_rests_at_zero_is_lazy_by_itself(name):
    assert make_rule(*CASES[name]).optimizer.rests_at_zero
