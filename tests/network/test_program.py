"""The compiled program: its mathematics against a naive twin, its memory, its bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.workers.network import Program, random_batch
from raydient.workers.network.layers.dense import Dense
from raydient.workers.network.losses import LOSSES

from .test_gradient_check import OUTPUTS
from .training_step import initial, step

HIDDEN = {"dense": {"units": 7, "activation": "relu"}}
LAYERS = [HIDDEN, {"dense": {"units": 6, "activation": "tanh"}}, {"dense": {"units": 3}}]


def naive_step(vector, network, x, y):
    """Return summed loss and mean gradient of `LAYERS` with softmax cross-entropy, by matrices."""
    k1, b1, k2, b2, k3, b3 = (p.view(vector) for p in network.layout.parameters)
    a1 = np.maximum(x @ k1 + b1, 0)
    a2 = np.tanh(a1 @ k2 + b2)
    exponentials = np.exp(a2 @ k3 + b3)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    d3 = (probabilities - np.eye(3)[y]) / len(x)
    d2 = d3 @ k3.T * (1 - a2**2)
    d1 = d2 @ k2.T * (a1 > 0)
    gradients = [x.T @ d1, d1.sum(0), a1.T @ d2, d2.sum(0), a2.T @ d3, d3.sum(0)]
    return -np.log(probabilities[range(len(x)), y]).sum(), np.concatenate([g.ravel() for g in gradients])


@given(rows=st.integers(1, 40), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_equals_the_naive_twin(make_network, rows, seed):
    network = make_network(LAYERS)
    vector, batch = initial(network, seed, np.float64), random_batch(network, seed, rows)
    sums, gradient = step(Program(network, rows, np.float64), vector, batch)
    expected_sum, expected_gradient = naive_step(vector, network, *batch)
    assert sums[0] == pytest.approx(expected_sum, rel=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-14)


@given(shares=st.lists(st.integers(1, 20), min_size=1, max_size=5), loss=st.sampled_from(sorted(LOSSES)))
@settings(deadline=None, max_examples=40)
def test_microbatches_add_up_to_the_batch(make_network, shares, loss):
    last = {"dense": {"units": OUTPUTS.get(loss, 3)}}
    network, rows = make_network([HIDDEN, last], loss), sum(shares)
    vector, (x, y) = initial(network, dtype=np.float64), random_batch(network, 5, rows)
    sums, gradient = step(Program(network, rows, np.float64), vector, (x, y))
    cuts = np.cumsum(shares)[:-1]
    parts = [
        step(Program(network, len(px), np.float64), vector, (px, py), 1 / rows)
        for px, py in zip(np.split(x, cuts), np.split(y, cuts), strict=True)
    ]
    np.testing.assert_allclose(np.sum([s for s, _ in parts], axis=0), sums, rtol=1e-12)
    np.testing.assert_allclose(np.sum([g for _, g in parts], axis=0), gradient, rtol=1e-9, atol=1e-15)


def test_float32_agrees_with_float64(make_network):
    network = make_network(LAYERS)
    batch = random_batch(network, 1, 30)
    single = step(Program(network, 30), initial(network), batch)
    double = step(Program(network, 30, np.float64), initial(network, dtype=np.float64), batch)
    for a, b in zip(single, double, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_results_do_not_depend_on_what_was_computed_before(make_network):
    network, program_rows = make_network(LAYERS), 20
    vector, batch = initial(network), random_batch(network, 1, program_rows)
    fresh = step(Program(network, program_rows), vector, batch)
    used = Program(network, program_rows)
    step(used, initial(network, 2), random_batch(network, 2, program_rows))
    used.predict(network.bind(vector))
    again = step(used, vector, batch)
    assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))


def test_bits_do_not_depend_on_where_memory_lies(make_network):
    """Weights lie in shared memory or on the heap; the bits must not depend on their alignment."""
    layers = [{"dense": {"units": 67, "activation": "relu"}}, {"dense": {"units": 33}}, {"dense": {"units": 1}}]
    network = make_network(layers, "sum_squared_error", (45,))
    values, batch = initial(network), random_batch(network, 1, 32)
    results = set()
    for offset in range(17):
        vector = np.zeros(network.layout.size + 17, np.float32)[offset : offset + network.layout.size]
        vector[...] = values
        sums, gradient = step(Program(network, 32), vector, batch)
        results.add((sums.tobytes(), gradient.tobytes()))
    assert len(results) == 1


def test_weights_are_only_read(make_network):
    network = make_network(LAYERS)
    vector = initial(network)
    vector.flags.writeable = False
    step(Program(network, 4), vector, random_batch(network, 1, 4))


@pytest.fixture
def backward_of_dense(monkeypatch):
    """Return a list of the dense layers whose backward pass has run, each with True if it computed dx."""
    layers, original = [], Dense.backward

    def backward(self, buffers, weights, gradients):
        layers.append((self.name, buffers.dx is not None))
        original(self, buffers, weights, gradients)

    monkeypatch.setattr(Dense, "backward", backward)
    return layers


def test_the_derivative_by_the_samples_is_not_computed(make_network, backward_of_dense):
    """This derivative would cost one more matrix product."""
    network = make_network([{"activation": {"function": "tanh"}}, *LAYERS])
    step(Program(network, 4), initial(network), random_batch(network, 1, 4))
    assert backward_of_dense == [("dense_3", True), ("dense_2", True), ("dense_1", False)]


def test_nothing_is_computed_for_frozen_layers_at_the_beginning(make_network, backward_of_dense):
    """Derivatives of layers before which nothing learns are not used."""
    first, second, third = LAYERS
    network = make_network([{"dense": {**layer["dense"], "trainable": False}} for layer in (first, second)] + [third])
    step(Program(network, 4), initial(network), random_batch(network, 1, 4))
    assert backward_of_dense == [("dense_3", False)]


def test_predict_applies_the_activation_that_the_loss_assumes(make_network):
    network = make_network(LAYERS)
    vector, (x, _) = initial(network), random_batch(network, 1, 5)
    program = Program(network, 5)
    program.x[...] = x
    probabilities = program.predict(network.bind(vector))
    assert probabilities.shape == (5, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    program.forward(network.bind(vector))
    logits = program.outputs[-1].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(program.predict(network.bind(vector)), expected, rtol=1e-5)


def test_a_squared_error_predicts_the_outputs_themselves(make_network):
    network = make_network([{"dense": {"units": 2}}], "mean_squared_error")
    vector, (x, _) = initial(network), random_batch(network, 1, 5)
    program = Program(network, 5, np.float64)
    program.x[...] = x
    views = network.bind(vector.astype(np.float64))
    np.testing.assert_allclose(program.predict(views), x @ views[0]["kernel"] + views[0]["bias"])


def test_flatten_and_images(make_network):
    flat, images = make_network(LAYERS), make_network(["flatten", *LAYERS], input_shape=(3, 2))
    batch = random_batch(flat, 1, 8)
    sums, gradient = step(Program(flat, 8), initial(flat), batch)
    other = step(Program(images, 8), initial(images), (batch[0].reshape(8, 3, 2), batch[1]))
    assert np.array_equal(other[0], sums)
    assert np.array_equal(other[1], gradient)


def test_a_diverged_network_has_sums_that_are_not_finite_and_no_warnings(make_network):
    network = make_network(LAYERS)
    vector = np.full(network.layout.size, 3e38, np.float32)
    sums, gradient = step(Program(network, 4), vector, random_batch(network, 1, 4))
    assert not np.isfinite(sums[0])
    assert not np.isfinite(gradient).all()


def test_gradient_descent_learns_exclusive_or(make_network):
    layers = [{"dense": {"units": 8, "activation": "tanh"}}, {"dense": {"units": 1}}]
    network = make_network(layers, "binary_cross_entropy", (2,))
    vector, program = initial(network), Program(network, 4)
    batch = (np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]]))
    for _ in range(500):
        sums, gradient = step(program, vector, batch)
        vector -= 1.0 * gradient
    assert sums[1] == 4
    assert sums[0] / 4 < 0.05


def test_units_with_a_rectifier_that_are_zero_for_every_sample_are_not_active(make_network):
    bias = {"constant": {"value": -1.0}}
    layers = [
        {"activation": {"function": "relu"}},
        "flatten",
        {"dense": {"units": 30, "activation": "relu", "bias_initializer": bias}},
        {"dense": {"units": 9, "activation": "tanh"}},
        {"dense": {"units": 20, "activation": {"leaky_relu": {"negative_slope": 0.0}}}},
        {"dense": {"units": 20, "activation": "leaky_relu", "bias_initializer": bias}},
        {"dense": {"units": 3}},
    ]
    network = make_network(layers, input_shape=(3, 2))
    assert [layer.rectified_units for layer in network.layers] == [2, 0, 30, 0, 20, 0, 0]
    program = Program(network, 4)
    program.x[...], program.y[...] = random_batch(network, 1, 4)
    program.x[..., 1] = -1  # the second column of every sample
    program.forward(network.bind(initial(network)))
    active = np.full(52, np.nan, np.float32)
    program.count_active(active)
    expected = [1, 0]
    for index in (2, 4):
        units = network.layers[index].output_shape[-1]
        expected += [any(row[unit] != 0 for row in program.outputs[index]) for unit in range(units)]
    assert active.tolist() == expected
    assert 0 < sum(active[2:32]) < 30
    assert 0 < sum(active[32:]) < 20


def test_a_unit_whose_output_is_not_a_number_is_not_dead(make_network):
    network = make_network([HIDDEN, {"dense": {"units": 3}}])
    program, active = Program(network, 4), np.zeros(7, np.float32)
    program.outputs[0][...] = 0
    program.outputs[0][2, 5] = np.nan
    program.count_active(active)
    assert active.tolist() == [0, 0, 0, 0, 0, 1, 0]


@given(frozen=st.sets(st.integers(0, 2), max_size=2), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_only_frozen_layers_have_gradient_zero(make_network, frozen, seed):
    def built(trainable):
        layers = [{"dense": {**layer["dense"], "trainable": trainable(i)}} for i, layer in enumerate(LAYERS)]
        return make_network(layers)

    plain, network = built(lambda _: True), built(lambda i: i not in frozen)
    vector, batch = initial(network, seed), random_batch(network, seed, 9)
    (_, expected), (_, gradient) = (step(Program(n, 9), vector, batch) for n in (plain, network))
    names = {f"dense_{i + 1}" for i in frozen}
    for p in network.layout.parameters:
        wanted = np.zeros(p.shape, np.float32) if p.name.partition(".")[0] in names else p.view(expected)
        assert p.view(gradient).tobytes() == wanted.tobytes()
