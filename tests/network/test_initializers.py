"""Initial values: the published variances, and a random stream for each parameter."""

import math

import numpy as np
import pytest

from raydient.spec import functions as spec
from raydient.workers.network.initializers import INITIALIZERS

from .training_step import initial

FAN_IN, FAN_OUT = 300, 500
GLOROT, HE, LECUN = 2 / (FAN_IN + FAN_OUT), 2 / FAN_IN, 1 / FAN_IN


def kernel(make_network, initializer, seed=1):
    layers = [{"dense": {"units": FAN_OUT, "kernel_initializer": initializer}}]
    network = make_network(layers, input_shape=(FAN_IN,))
    return network.bind(initial(network, seed))[0]["kernel"]


def weights(network, seed=1):
    return network.layout.views(initial(network, seed))


def test_table_covers_the_specification():
    assert INITIALIZERS.keys() == spec.Initializer.model_fields.keys()


@pytest.mark.parametrize(
    ("kind", "variance"), [("glorot_uniform", GLOROT), ("he_uniform", HE), ("lecun_uniform", LECUN)]
)
def test_uniform(make_network, kind, variance):
    values = kernel(make_network, kind)
    limit = math.sqrt(3 * variance)
    assert 0.999 * limit < values.max() <= limit
    assert -limit <= values.min() < -0.999 * limit
    assert values.mean() == pytest.approx(0, abs=0.01 * limit)
    assert values.var() == pytest.approx(variance, rel=0.01)


@pytest.mark.parametrize(("kind", "variance"), [("glorot_normal", GLOROT), ("he_normal", HE), ("lecun_normal", LECUN)])
def test_normal(make_network, kind, variance):
    values = kernel(make_network, kind)
    assert values.mean() == pytest.approx(0, abs=0.01 * math.sqrt(variance))
    assert values.var() == pytest.approx(variance, rel=0.01)
    assert np.abs(values).max() > 4 * math.sqrt(variance)  # not truncated


@pytest.mark.parametrize(("choice", "value"), [("zeros", 0), ("ones", 1), ({"constant": {"value": -2.5}}, -2.5)])
def test_constants(make_network, choice, value):
    assert (kernel(make_network, choice) == value).all()


@pytest.mark.parametrize(
    ("choice", "limits"),
    [("random_uniform", (-0.05, 0.05)), ({"random_uniform": {"minval": 1.0, "maxval": 4.0}}, (1, 4))],
)
def test_random_uniform(make_network, choice, limits):
    values, (low, high) = kernel(make_network, choice), limits
    assert low <= values.min() < low + 0.001 * (high - low)
    assert high - 0.001 * (high - low) < values.max() <= high
    assert values.mean() == pytest.approx((low + high) / 2, abs=0.01 * (high - low))


@pytest.mark.parametrize(
    ("choice", "mean", "deviation"),
    [("random_normal", 0, 0.05), ({"random_normal": {"mean": 2.0, "stddev": 3.0}}, 2, 3)],
)
def test_random_normal(make_network, choice, mean, deviation):
    values = kernel(make_network, choice)
    assert values.mean() == pytest.approx(mean, abs=0.02 * deviation)
    assert values.std() == pytest.approx(deviation, rel=0.01)


@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonal(make_network, gain):
    values = kernel(make_network, {"orthogonal": {"gain": gain}}).astype(float)
    np.testing.assert_allclose(values @ values.T, gain**2 * np.eye(FAN_IN), atol=1e-5)  # fewer rows than columns
    assert abs(values.mean()) < 0.001


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 3, 4), (1,), (7,)])
def test_orthogonal_of_any_shape(shape):
    out = np.empty(shape, np.float32)
    settings = spec.Initializer.model_validate("orthogonal").value
    INITIALIZERS["orthogonal"](out, np.random.default_rng(1), 1, 1, settings)
    rows = out.reshape(-1, shape[-1]).astype(float)
    fewer = rows if len(rows) < shape[-1] else rows.T
    np.testing.assert_allclose(fewer @ fewer.T, np.eye(len(fewer)), atol=1e-6)


@pytest.mark.parametrize("settings", [{"minval": 1.0, "maxval": 0.05}, {"minval": 1.0}], ids=str)
def test_limits_in_the_wrong_order_are_refused(settings):
    with pytest.raises(ValueError, match=r"0\.05 is not above minval, 1"):
        spec.Initializer.model_validate({"random_uniform": settings})


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


def uniform(low, high):
    """Distribution function."""
    return lambda x: np.clip((x - low) / (high - low), 0, 1)


def normal(mean, deviation):
    """Distribution function."""
    return lambda x: 0.5 * (1 + np.vectorize(math.erf)((x - mean) / (deviation * math.sqrt(2))))


def truncated(mean, deviation):
    """Distribution function without the values more than two deviations from the mean."""
    whole, (low, high) = normal(mean, deviation), normal(0, 1)(np.array([-2.0, 2.0]))
    return lambda x: np.clip((whole(x) - low) / (high - low), 0, 1)


def distance(values, function):
    """The Kolmogorov-Smirnov distance to a distribution, times the root of the number of values: above 1.95 in one
    of a thousand samples of it.
    """
    x = np.sort(np.asarray(values, float).reshape(-1))
    steps, expected = np.arange(len(x) + 1) / len(x), function(x)
    return max((steps[1:] - expected).max(), (expected - steps[:-1]).max()) * math.sqrt(len(x))


DISTRIBUTIONS = {
    "glorot_uniform": ({}, uniform(-math.sqrt(3 * GLOROT), math.sqrt(3 * GLOROT))),
    "he_uniform": ({}, uniform(-math.sqrt(3 * HE), math.sqrt(3 * HE))),
    "lecun_uniform": ({}, uniform(-math.sqrt(3 * LECUN), math.sqrt(3 * LECUN))),
    "random_uniform": ({"minval": -1.0, "maxval": 3.0}, uniform(-1, 3)),
    "glorot_normal": ({}, normal(0, math.sqrt(GLOROT))),
    "he_normal": ({}, normal(0, math.sqrt(HE))),
    "lecun_normal": ({}, normal(0, math.sqrt(LECUN))),
    "random_normal": ({"mean": 2.0, "stddev": 3.0}, normal(2, 3)),
    "truncated_normal": ({"mean": 2.0, "stddev": 3.0}, truncated(2, 3)),
    "variance_scaling": ({"scale": 2.0}, truncated(0, math.sqrt(HE) / 0.8796256610342398)),
}
CONSTANT = {"zeros", "ones", "constant"}


def test_each_random_initializer_has_a_distribution():
    assert DISTRIBUTIONS.keys() | CONSTANT | {"orthogonal"} == INITIALIZERS.keys()


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_values_have_the_distribution_and_do_not_depend_on_each_other(make_network, kind):
    settings, function = DISTRIBUTIONS[kind]
    values = kernel(make_network, {kind: settings}, seed=5).astype(float)
    assert distance(values, function) < 1.95
    assert distance(values[:, 7], function) < 1.95
    centered = (values - values.mean()) / values.std()
    for neighbours in (centered[1:] * centered[:-1], centered[:, 1:] * centered[:, :-1]):
        assert abs(neighbours.mean()) < 3.5 / math.sqrt(neighbours.size)


def test_the_distance_separates_distributions(make_network):
    """With 150,000 values, a deviation that is 3 % too large or a normal truncated at two deviations is detected."""
    values = kernel(make_network, {"random_normal": {"mean": 0.0, "stddev": 1.0}}, seed=5).astype(float)
    assert distance(values, normal(0, 1.03)) > 1.95
    assert distance(values[np.abs(values) < 2], normal(0, 1)) > 1.95


def orthogonal_draws(shape, gain, count=4_000):
    settings = spec.Initializer.model_validate({"orthogonal": {"gain": gain}}).value
    draws, generator = np.empty((count, *shape), np.float32), np.random.default_rng(1)
    for out in draws:
        INITIALIZERS["orthogonal"](out, generator, 1, 1, settings)
    return draws.astype(float)


@pytest.mark.parametrize("shape", [(3, 3), (3, 2), (2, 3), (3, 1)])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonal_matrices_are_uniformly_distributed(shape, gain):
    """Rows or columns are uniform on the sphere in three dimensions, so each value is uniform (Archimedes)."""
    draws = orthogonal_draws(shape, gain)
    for place in np.ndindex(shape):
        assert distance(draws[:, *place], uniform(-gain, gain)) < 1.95, place


def test_traces_and_determinants_of_orthogonal_matrices_are_those_of_haar_measure():
    """Moments of the trace are those of a normal number as far as the size goes (Diaconis and Shahshahani 1994)."""
    draws = orthogonal_draws((4, 4), 1.0)
    traces, determinants = np.trace(draws, axis1=1, axis2=2), np.linalg.det(draws)
    standard_errors = math.sqrt(len(draws))
    assert abs(traces.mean()) < 3.5 / standard_errors
    assert abs((traces**2).mean() - 1) < 3.5 * math.sqrt(2) / standard_errors
    assert abs((traces**4).mean() - 3) < 3.5 * math.sqrt(96) / standard_errors
    assert abs(np.sign(determinants).mean()) < 3.5 / standard_errors


@pytest.mark.parametrize("kind", INITIALIZERS)
def test_the_seed_decides_for_every_initializer(make_network, kind):
    first, again, other = (kernel(make_network, kind, seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert (first.tobytes() == other.tobytes()) == (kind in CONSTANT)


@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
@pytest.mark.parametrize(("mode", "fan"), [("fan_in", FAN_IN), ("fan_out", FAN_OUT), ("fan_avg", 400)])
def test_variance_scaling_has_the_variance_of_its_fan(make_network, distribution, mode, fan):
    choice = {"variance_scaling": {"scale": 3.0, "mode": mode, "distribution": distribution}}
    values = kernel(make_network, choice).astype(float)
    assert values.var() == pytest.approx(3 / fan, rel=0.01)
    largest = {"uniform": math.sqrt(3), "truncated_normal": 2 / 0.8796256610342398}
    if distribution in largest:
        assert np.abs(values).max() <= largest[distribution] * math.sqrt(3 / fan) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("general", "special"),
    [({"scale": 2.0}, "he_normal"), ({"mode": "fan_avg"}, "glorot_normal"), ({}, "lecun_normal")],
)
def test_variance_scaling_is_the_general_form_of_the_others(make_network, general, special):
    choice = {"variance_scaling": {**general, "distribution": "untruncated_normal"}}
    assert np.array_equal(kernel(make_network, choice), kernel(make_network, special))


def test_values_beyond_two_deviations_are_drawn_again(make_network):
    values = kernel(make_network, {"truncated_normal": {"stddev": 1.0}})
    assert 1.99 < np.abs(values).max() <= 2
    normal_numbers = kernel(make_network, {"random_normal": {"stddev": 1.0}})
    same = values == normal_numbers
    assert np.array_equal(same, np.abs(normal_numbers) <= 2)
