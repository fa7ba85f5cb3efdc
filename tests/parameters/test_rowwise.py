"""Row-wise Adagrad: one accumulator for each row of a table, in updates, vectors, ranges and checkpoints."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters.snapshots import Form, division, restore, vectors
from raydient.server.parameters.state import State
from raydient.server.training.checkpoints import Checkpoints
from raydient.server.training.memory import values_of
from raydient.server.training.table_problems import table_problems
from raydient.spec.training import Training
from raydient.steps import ranges
from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Layout
from raydient.steps.schedule import Schedule

from .conftest import begin, make_rule, make_updater
from .optimizer_cases import CASES
from .optimizer_twins import adagrad, rowwise_adagrad
from .test_sparse_update import SHAPES, TABLES, gradient_of

KIND, SETTINGS = CASES["rowwise adagrad"]
LAYOUT = Layout.of(SHAPES.items(), sparse=TABLES)
TRAINING = Training.model_validate({"optimizer": {KIND: SETTINGS}})


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of a few rows, so that several shards divide the tables of `LAYOUT`."""
    monkeypatch.setattr(ranges, "PIECE", 8)


def run(rule, layout, start, gradients, executor):
    """Return the weights after each step, and the state."""
    arrays = [start.copy(), *begin(rule, layout)]
    updater = make_updater(
        *(arrays[0], arrays[1:], rule, 1, 1, executor),
        parameters=layout.parameters,
        tables=GradientLayout.of(layout).tables,
        bounds=ranges.pieces(layout),
    )
    after = []
    for step, gradient in enumerate(gradients):
        updater.update(step, {(0, 1): gradient}, (0, 1))
        after.append(arrays[0].copy())
    return after, arrays[1:]


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_each_step_is_that_of_a_loop_over_rows_and_weights(share, executor):
    rng = np.random.default_rng(5)
    start = rng.normal(size=LAYOUT.size).astype(np.float32)
    gradients = [gradient_of(LAYOUT, rng, share) for _ in range(6)]
    ours, (accumulators,) = run(make_rule(KIND, SETTINGS), LAYOUT, start, gradients, executor)

    whole = [gradient.dense().astype(np.float64) for gradient in gradients]
    for p in LAYOUT.parameters:
        width = p.shape[1] if p.sparse else 1
        for place in range(p.offset, p.stop, width):
            row = slice(place, place + width)
            expected = rowwise_adagrad(start[row].astype(np.float64), [g[row] for g in whole], **SETTINGS)
            np.testing.assert_allclose([w[row] for w in ours], list(expected), rtol=2e-5, atol=2e-6, err_msg=p.name)
            if not p.sparse:
                expected = adagrad(float(start[place]), [float(g[place]) for g in whole], **SETTINGS)
                np.testing.assert_allclose([w[place] for w in ours], list(expected), rtol=2e-5, atol=2e-6)
    assert len(accumulators) == 3 * 2 + 9 + 40 + 5 + 7


@given(
    rows=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    magnitude=st.sampled_from([1e-25, 1.0, 1e18]),
    seed=st.integers(0, 2**32 - 1),
)
def test_tables_of_one_column_have_the_bits_of_adagrad(rows, magnitude, seed):
    shapes = {"a.kernel": (5,), **{f"t{number}.table": (count, 1) for number, count in enumerate(rows)}}
    layout = Layout.of(shapes.items(), sparse=[name for name in shapes if "table" in name])
    runs = []
    for kind in ("rowwise_adagrad", "adagrad"):
        rng = np.random.default_rng(seed)
        start = rng.normal(size=layout.size).astype(np.float32)
        gradients = [gradient_of(layout, rng, 0.5) for _ in range(3)]
        for gradient in gradients:
            gradient.vector *= np.float32(magnitude)
        runs.append(run(make_rule(kind, SETTINGS), layout, start, gradients, None))
    (ours, our_state), (theirs, their_state) = runs
    assert [array.tobytes() for array in (*ours, *our_state)] == [a.tobytes() for a in (*theirs, *their_state)]


@given(
    width=st.one_of(st.integers(1, 20), st.integers(100, 300)),
    count=st.integers(1, 60),
    cuts=st.sets(st.integers(0, 60), max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_bits_of_a_row_do_not_depend_on_the_others(width, count, cuts, seed):
    rng, rule = np.random.default_rng(seed), make_rule(KIND, SETTINGS)
    start, gradient = (rng.normal(size=(count, width)).astype(np.float32) for _ in range(2))
    bounds = sorted({0, count, *(cut for cut in cuts if cut < count)})
    results = []
    for parts in ([(0, count)], pairwise(bounds), [(n, n + 1) for n in range(count)]):
        weights, state = start.copy(), np.full((count, 1), 0.1, np.float32)
        for part in (slice(*bounds) for bounds in parts):
            scratch = [np.full_like(start[part], np.nan) for _ in range(2)]
            rule.update(0, weights[part], gradient[part], [state[part]], scratch)
        results.append((weights.tobytes(), state.tobytes()))
    assert results[1:] == results[:1] * 2


def test_the_mean_has_the_scale_of_one_value():
    """A row whose values have one gradient each moves as a weight with that gradient does, whatever its width."""
    rule, moved = make_rule(KIND, {**SETTINGS, "initial_accumulator_value": 0.0}), []
    for width in (1, 2, 64):
        weights, state = np.zeros((1, width), np.float32), np.zeros((1, 1), np.float32)
        rule.update(0, weights, np.full_like(weights, 3), [state], [np.empty_like(weights) for _ in range(2)])
        assert state.item() == 9
        moved.append(set(weights.reshape(-1).tolist()))
    assert moved == [{np.float32(-0.3).item()}] * 3


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_ranges_of_the_accumulators_follow_from_those_of_the_weights(count, small_pieces):
    divided = ranges.ranges(LAYOUT, count)
    held = division(TRAINING, LAYOUT, divided)
    assert [part["weights"] for part in held] == divided
    states = [part["accumulator"] for part in held]
    assert [start for start, _ in states] == [0, *(stop for _, stop in states[:-1])]
    assert states[-1][1] == LAYOUT.by_rows().size
    for (start, stop), (first, last) in zip(divided, states, strict=True):
        part = LAYOUT.within(start, stop)
        assert last - first == sum(p.shape[0] if p.sparse else p.size for p in part.parameters)


@pytest.mark.parametrize(("before", "after"), [(3, 2), (1, 5), (5, 1)])
def test_accumulators_are_put_together_saved_and_divided_again(before, after, small_pieces, tmp_path):
    layout = Layout.of([("words.embeddings", (30, 4)), ("a.kernel", (13,)), ("names.embeddings", (9, 2))],
                       sparse=["words.embeddings", "names.embeddings"])  # fmt: skip
    rng = np.random.default_rng(2)
    whole = {"weights": rng.normal(size=layout.size), "accumulator": rng.random(30 + 13 + 9)}
    whole = {name: values.astype(np.float32) for name, values in whole.items()}
    forms = vectors(TRAINING)

    parts = [cut(whole, held) for held in division(TRAINING, layout, ranges.ranges(layout, before))]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in whole}
    checkpoints = Checkpoints(
        tmp_path,
        job="a1",
        layout=layout,
        state={name: form.layout(layout) for name, form in forms.items()},
        schedule=Schedule(train_rows=100, test_rows=0, epochs=2, batch_size=20, microbatches=4),
    )
    position = {"round": 3, "step": 3, "epoch": 0, "epoch_sums": [], "numerics": {}}
    checkpoints.save(arrays, position, metadata={"digest": layout.digest(whole["weights"])}, keep=1)
    loaded, damage = checkpoints.load_latest()

    assert damage == []
    assert {name: array.tobytes() for name, array in loaded.arrays.items()} == {
        name: array.tobytes() for name, array in whole.items()
    }
    divided = ranges.ranges(layout, after)
    for (start, stop), held in zip(divided, division(TRAINING, layout, divided), strict=True):
        part, weights = cut(loaded.arrays, held), np.zeros(stop - start, np.float32)
        restored = restore(part, weights, layout.within(start, stop), forms)
        assert {name: array.tobytes() for name, array in restored.items()} == {
            name: array.tobytes() for name, array in part.items()
        }


def cut(arrays, held):
    return {name: arrays[name][slice(*where)] for name, where in held.items()}


def test_a_part_of_the_weights_has_the_state_of_its_rows():
    tables = GradientLayout.of(LAYOUT).tables
    state = State([np.arange(LAYOUT.by_rows().size, dtype=np.float32)], tables)
    kernel, table, _, bias, _ = LAYOUT.parameters
    parts = list(state.parts(kernel.offset + 1, table.offset + 3 * 4))
    assert [(part.start, part.stop, part.shape) for part in parts] == [(1, 6, (5,)), (6, 18, (3, 4))]
    assert [part.state[0].tolist() for part in parts] == [[1, 2, 3, 4, 5], [[6], [7], [8]]]
    (part,) = state.parts(bias.offset, bias.stop)
    assert part.state[0].tolist() == [6 + 9 + 40 + n for n in range(5)]
    (rows,) = state.of(tables[0])
    assert rows.shape == (9, 1)
    rows += 1
    (part,) = state.parts(6, 10)
    assert part.state[0].tolist() == [[7]], "a view"


def test_the_copy_of_the_last_epoch_has_the_form_of_the_accumulators():
    training = {"optimizer": KIND, "on_non_finite": {"rollback": {}}, "average": {}, "keep": "best"}
    forms = vectors(Training.model_validate(training))
    assert {name for name, form in forms.items() if form.by_rows} == {"accumulator", "last_epoch_accumulator"}
    assert forms["accumulator"] == Form(0.1, by_rows=True)


def test_the_accumulators_take_the_memory_of_one_value_a_row():
    layout = Layout.of([("words.embeddings", (1000, 64)), ("a.kernel", (10,))], sparse=["words.embeddings"])
    plain = Training.model_validate({"optimizer": "adagrad"})
    assert values_of(TRAINING, layout) == layout.size + 1000 + 10
    assert values_of(plain, layout) == 2 * layout.size


def test_a_network_without_a_table_is_refused_with_the_remedy():
    layout = Layout.of([("words.embeddings", (10, 4)), ("a.kernel", (3,))])
    (error,) = table_problems(TRAINING, layout)
    assert str(error) == (
        "training.optimizer: rowwise_adagrad keeps one value for each row of a table, and the network has no table: "
        "a table is an embedding of 65,536 values or more. adagrad does the same on this network"
    )
    assert table_problems(Training.model_validate({"optimizer": "adagrad"}), layout) == []
    assert table_problems(TRAINING, LAYOUT) == []
