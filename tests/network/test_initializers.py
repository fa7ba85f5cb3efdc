"""How parameters begin: the published variances, and one stream for each parameter."""

import math

import numpy as np
import pytest

from raydient.spec import functions as spec
from raydient.workers.network.initializers import INITIALIZERS

FAN_IN, FAN_OUT = 300, 500
GLOROT, HE = 2 / (FAN_IN + FAN_OUT), 2 / FAN_IN


def kernel(make_network, initializer, seed=1):
    layers = [{"dense": {"units": FAN_OUT, "kernel_initializer": initializer}}]
    network = make_network(layers, input_shape=(FAN_IN,))
    vector = np.full(network.layout.size, np.nan, np.float32)
    network.initialize(seed, vector)
    return network.bind(vector)[0]["kernel"]


def weights(network, seed=1):
    vector = np.full(network.layout.size, np.nan, np.float32)
    network.initialize(seed, vector)
    return network.layout.views(vector)


def test_table_covers_the_specification():
    assert INITIALIZERS.keys() == spec.Initializer.model_fields.keys()


@pytest.mark.parametrize(("kind", "variance"), [("glorot_uniform", GLOROT), ("he_uniform", HE)])
def test_uniform(make_network, kind, variance):
    values = kernel(make_network, kind)
    limit = math.sqrt(3 * variance)
    assert 0.999 * limit < values.max() <= limit
    assert -limit <= values.min() < -0.999 * limit
    assert values.mean() == pytest.approx(0, abs=0.01 * limit)
    assert values.var() == pytest.approx(variance, rel=0.01)


@pytest.mark.parametrize(("kind", "variance"), [("glorot_normal", GLOROT), ("he_normal", HE)])
def test_normal(make_network, kind, variance):
    values = kernel(make_network, kind)
    assert values.mean() == pytest.approx(0, abs=0.01 * math.sqrt(variance))
    assert values.var() == pytest.approx(variance, rel=0.01)
    assert np.abs(values).max() > 4 * math.sqrt(variance)  # not truncated


@pytest.mark.parametrize(("choice", "value"), [("zeros", 0), ("ones", 1), ({"constant": {"value": -2.5}}, -2.5)])
def test_constants(make_network, choice, value):
    assert (kernel(make_network, choice) == value).all()


def test_the_seed_decides(make_network):
    network = make_network([{"dense": {"units": 4}}])
    first, again, other = (weights(network, seed)["dense_1.kernel"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_another_layer_changes_none_of_the_others(make_network):
    short = weights(make_network([{"dense": {"units": 6, "name": "a"}}, {"dense": {"units": 3, "name": "c"}}]))
    layers = [{"dense": {"units": 6, "name": name}} for name in "ab"] + [{"dense": {"units": 3, "name": "c"}}]
    long = weights(make_network(layers))
    assert all(np.array_equal(values, long[name]) for name, values in short.items())
    assert not np.array_equal(long["a.kernel"], long["b.kernel"])


def test_biases_have_an_initializer_of_their_own(make_network):
    views = weights(make_network([{"dense": {"units": 4, "bias_initializer": {"constant": {"value": 0.5}}}}]))
    assert (views["dense_1.bias"] == 0.5).all()
    assert (views["dense_1.kernel"] != 0.5).all()
