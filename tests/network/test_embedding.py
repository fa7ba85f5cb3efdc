"""Embedding: its gradient against a naive loop, its bits, and invalid indices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.spec import network as spec
from raydient.spec.errors import InvalidSpec
from raydient.spec.recurrent import Embedding as EmbeddingSpec
from raydient.steps.gradient import Dense, GradientLayout
from raydient.workers.network import (
    Extent,
    Model,
    Program,
    TableUse,
    build,
    check_gradients,
    index_problems,
    random_batch,
    table_uses,
)
from raydient.workers.network.indices import check_samples
from raydient.workers.network.layers import Buffers, Views
from raydient.workers.network.layers.embedding import Embedding

from .examples import assert_sound
from .training_step import initial, step

WORDS = {"embedding": {"input_dim": 7, "output_dim": 3, "name": "words"}}
LAST = {"dense": {"units": 3}}


def gradient_of(network, x, y, dtype):
    """Return the gradient of the summed loss by the table, the vectors that were looked up, and the weights."""
    vector, program = initial(network, dtype=dtype), Program(network, len(x), dtype)
    _, gradient = step(program, vector, (x, y), 1.0)
    return network.bind(gradient)[0]["embeddings"], program.outputs[0], network.bind(vector)


@given(seed=st.integers(0, 1000), rows=st.integers(1, 9), steps=st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_equals_a_loop_over_all_places(make_network, seed, rows, steps):
    network = make_network([WORDS, "flatten", {"dense": {"units": 3}}], "sum_squared_error", (steps,))
    x, y = random_batch(network, seed, rows)
    gradient, looked_up, (words, _, dense) = gradient_of(network, x, y, np.float64)
    expected = np.zeros((7, 3))
    for n in range(rows):
        row = np.concatenate([words["embeddings"][int(i)] for i in x[n]])
        dy = 2 * (row @ dense["kernel"] + dense["bias"] - y[n]) @ dense["kernel"].T
        for t in range(steps):
            assert np.array_equal(looked_up[n, t], words["embeddings"][int(x[n, t])])
            expected[int(x[n, t])] += dy[3 * t : 3 * t + 3]
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-13)


def test_equal_numbers_are_added_up_in_the_order_of_their_places(make_network):
    """Float32 sums in another order have other bits, so an unstable sort would fail."""
    network = make_network([WORDS, "flatten", LAST], input_shape=(40,))
    x, y = random_batch(network, 2, 50)
    gradient, _, _ = gradient_of(network, x, y, np.float32)
    again, _, _ = gradient_of(network, x, y, np.float32)
    assert gradient.tobytes() == again.tobytes()
    assert np.count_nonzero(gradient) == gradient.size


@given(seed=st.integers(0, 1000), vocabulary=st.sampled_from([3, 40, 2000]))
def test_each_sum_is_that_of_its_places_alone(seed, vocabulary):
    """Bits do not depend on the other numbers, nor on how often these occur."""
    rng = np.random.default_rng(seed)
    layer = Embedding("words", [(4,)], EmbeddingSpec(input_dim=vocabulary, output_dim=3))
    x = rng.integers(0, vocabulary, (25, 4)).astype(np.float32)
    dy = rng.normal(size=(25, 4, 3)).astype(np.float32)
    dy[rng.random(dy.shape) < 0.2] = -0.0
    work = {name: np.empty(shape, kind or np.float32) for name, (shape, kind) in layer.work(25).items()}
    gradient = np.full((vocabulary, 3), np.nan, np.float32)
    layer.backward(Buffers((x,), dy, dy.copy(), (None,), dy, {}, work), {}, Views({"embeddings": Dense(gradient)}))

    expected = np.zeros((vocabulary, 3), np.float32)
    for number in set(x.ravel().tolist()):
        expected[int(number)] = np.add.reduceat(dy[x == number], [0], axis=0)[0]
    assert gradient.tobytes() == expected.tobytes()


def test_words_that_do_not_occur_have_no_gradient(make_network):
    network = make_network([WORDS, "flatten", LAST], input_shape=(2,))
    gradient, _, _ = gradient_of(network, np.array([[1, 5], [5, 5]]), np.array([0, 1]), np.float32)
    assert np.flatnonzero(gradient.any(axis=1)).tolist() == [1, 5]


LARGE = {"embedding": {"input_dim": 1 << 14, "output_dim": 4, "name": "words"}}
AGAIN = {"shared": {"layer": "words", "name": "again", "inputs": "input"}}


def row_sparse_step(network, rows):
    """Return a function that runs a backward pass over new numbers below 1000 and returns them and the gradient."""
    vector, gradient = initial(network), GradientLayout.of(network.layout).zeros()
    program = Program(network, rows)
    weights, gradients = network.bind(vector), network.bind_gradient(gradient)
    rng = np.random.default_rng(0)

    def one_step():
        program.x[...] = rng.integers(0, 1000, program.x.shape)
        program.forward(weights)
        program.backward(weights, gradients, 1.0)
        return program.x, gradient.tables[0]

    return one_step


@pytest.mark.parametrize("layers", [[LARGE], [LARGE, AGAIN, {"add": {"inputs": ["words", "again"]}}]])
def test_only_rows_in_use_are_touched(make_network, layers):
    """At most 40 rows are in use, two for each sample; the memory behind them is marked."""
    one_step = row_sparse_step(make_network([*layers, "flatten", LAST], input_shape=(2,)), 20)
    _, table = one_step()
    table.values[40:] = np.nan
    for _ in range(3):
        x, table = one_step()
        used = table.used.tolist()
        assert used == np.unique(x).tolist() == np.flatnonzero(table.dense().any(axis=1)).tolist()
        assert np.isnan(table.values[40:]).all()


def test_small_tables_have_dense_gradients(make_network):
    for words, sparse in ((WORDS, []), (LARGE, ["words.embeddings"])):
        layout = make_network([words, "flatten", LAST], input_shape=(2,)).layout
        assert [p.name for p in layout.parameters if p.sparse] == sparse


def test_only_data_can_be_looked_up(make_network):
    layers = [{"dense": {"units": 4, "name": "made"}}, {"reshape": {"shape": [2, 2]}}, WORDS, "flatten", LAST]
    with pytest.raises(InvalidSpec) as refused:
        make_network(layers)
    assert [(e.path, e.message) for e in refused.value.errors] == [
        (
            "network.layers[2].embedding.inputs",
            "words looks up whole numbers of the data, not the outputs of other layers",
        )
    ]


def problems(network, x):
    return index_problems(network, {"input": Extent.of(x)})


@pytest.mark.parametrize(
    ("values", "extent"),
    [
        ([3.0, -2.0, 7.0], Extent(None, -2, 7)),
        ([3.0, 0.5, 7.5], Extent(0.5)),
        ([*range(200_000), -1], Extent(None, -1, 199_999)),
        ([*range(200_000), 0.25], Extent(0.25)),
    ],
)
def test_the_extent_of_samples(values, extent):
    assert Extent.of(np.array([values], np.float32)) == extent


@pytest.mark.parametrize(
    ("value", "field", "message"),
    [
        (7, "input_dim", "the largest number in the data is 7: 8 vectors are needed, not 7"),
        (-1, "inputs", "the data has -1, but words takes whole numbers from 0 to 6"),
        (1.5, "inputs", "the data has 1.5, but words takes whole numbers from 0 to 6"),
    ],
)
def test_invalid_indices(make_network, value, field, message):
    network = make_network([{"transpose": {"axes": [0]}}, WORDS, "flatten", LAST], input_shape=(2,))
    x = np.array([[0, 6], [1, value]], np.float32)
    assert problems(network, x[:1]) == []
    ((path, text),) = [(e.path, e.message) for e in problems(network, x)]
    assert path == f"network.layers[1].embedding.{field}"
    assert message in text
    model = Model.plain(network.spec, (2,), np.zeros(network.layout.size, np.float32))
    with pytest.raises(ValueError, match=r"the data has|the largest number"):
        model.predict(x)


def test_errors_of_a_shared_table_name_its_owner(make_network):
    layers = [WORDS, {"shared": {"layer": "words", "name": "again", "inputs": "input"}}]
    layers += [{"multiply": {"inputs": ["words", "again"]}}, "flatten", LAST]
    network = make_network(layers, input_shape=(2,))
    assert {e.path for e in problems(network, np.array([[0, 9]]))} == {"network.layers[0].embedding.input_dim"}
    errors = problems(network, np.array([[0, 0.5]]))
    assert [e.path for e in errors] == ["network.layers[0].embedding.inputs", "network.layers[1].shared.inputs"]
    assert_sound(check_gradients(network, *random_batch(network, 1, 4), 1))


def test_an_empty_array_of_samples_is_valid(make_network):
    network = make_network([WORDS, "flatten", LAST], input_shape=(2,))
    check_samples(network, {"input": np.zeros((0, 2), np.float32)})


def test_the_use_of_large_tables():
    """Layers that share a table use two inputs, another one rearranged values; a small table is left out."""
    large = {"input_dim": 1 << 15, "output_dim": 4}
    layers = [
        {"reshape": {"shape": [2, 1], "inputs": "b", "name": "column"}},
        {"embedding": {**large, "inputs": "a", "name": "words"}},
        {"shared": {"layer": "words", "name": "again", "inputs": "b"}},
        {"embedding": {**large, "inputs": "column", "name": "others"}},
        {"embedding": {"input_dim": 9, "output_dim": 4, "inputs": "a", "name": "small"}},
        *({"flatten": {"inputs": name, "name": f"flat_{name}"}} for name in ("words", "again", "others", "small")),
        {"concatenate": {"inputs": [f"flat_{name}" for name in ("words", "again", "others", "small")]}},
        LAST,
    ]
    described = {"layers": layers, "loss": "softmax_cross_entropy"}
    network = build(spec.Network.model_validate(described), {"a": (3,), "b": (2,)})

    first, second = table_uses(network)

    assert (first, second) == (TableUse(0, 1 << 15, ("a", "b")), TableUse(1 << 17, 1 << 15, ("b",)))
    xs = {"a": np.array([[5.0, 3, 5]], "f4"), "b": np.array([[3.0, 1e6]], "f4")}
    assert first.numbers(xs).tolist() == [3, 5, (1 << 15) - 1]  # a number out of range reads the nearest row
    assert second.numbers(xs).tolist() == [3, (1 << 15) - 1]
    assert first.numbers(xs).dtype == np.int32
