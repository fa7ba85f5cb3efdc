"""Every layer, activation and loss in the tables against difference quotients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.spec import functions
from raydient.spec import network as spec
from raydient.steps.layout import Learned
from raydient.workers.network import Verdict, build, check_gradients, random_batch
from raydient.workers.network.activations import ACTIVATIONS, Tanh
from raydient.workers.network.gradient_check import NOT_CONVERGED, ZERO
from raydient.workers.network.layers import LAYERS
from raydient.workers.network.layers.dense import Dense
from raydient.workers.network.losses import LOSSES

from .examples import EXAMPLES, assert_sound, cases, graph

OUTPUTS = {"binary_cross_entropy": 1, "binary_focal_cross_entropy": 1, "hinge": 1}


def check(network, seed=1, rows=5, **options):
    return check_gradients(network, *random_batch(network, seed, rows), seed, **options)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("as_layer", [False, True])
def test_activation(make_network, activation, as_layer):
    hidden = [{"dense": {"units": 7}}, {"activation": {"function": activation}}]
    if not as_layer:
        hidden = [{"dense": {"units": 7, "activation": activation}}]
    report = check(make_network([{"dense": {"units": 4}}, *hidden, {"dense": {"units": 3}}]))
    assert_sound(report)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_at_the_end(make_network, activation):
    report = check(make_network([{"dense": {"units": 3, "activation": activation}}], "sum_squared_error"))
    assert_sound(report)


@pytest.mark.parametrize("loss", LOSSES)
def test_loss(make_network, loss):
    layers = [{"dense": {"units": 4, "activation": "tanh"}}, {"dense": {"units": OUTPUTS.get(loss, 3)}}]
    report = check(make_network(layers, loss))
    assert_sound(report)


@pytest.mark.parametrize(
    "loss",
    [
        {"softmax_cross_entropy": {"label_smoothing": 0.3}},
        {"softmax_cross_entropy": {"one_hot": True}},
        {"softmax_cross_entropy": {"one_hot": True, "label_smoothing": 0.3}},
        {"binary_cross_entropy": {"label_smoothing": 0.3}},
        {"huber": {"delta": 0.1}},
        {"quantile": {"quantile": 0.9}},
        {"binary_focal_cross_entropy": {"gamma": 0.5, "apply_class_balancing": True, "class_weight": [0.5, 3.0]}},
        {"categorical_focal_cross_entropy": {"gamma": 0.0, "alpha": 2.0}},
        {"categorical_focal_cross_entropy": {"gamma": 5.0, "class_weight": [1.0, 0.0, 2.5]}},
        {"softmax_cross_entropy": {"class_weight": [1.0, 0.0, 2.5]}},
        {"softmax_cross_entropy": {"class_weight": [1.0, 0.0, 2.5], "one_hot": True}},
        {"binary_cross_entropy": {"class_weight": [0.5, 3.0]}},
        {"hinge": {"class_weight": [0.5, 3.0]}},
    ],
    ids=str,
)
def test_loss_with_settings(make_network, loss):
    layers = [{"dense": {"units": 4, "activation": "tanh"}}, {"dense": {"units": OUTPUTS.get(next(iter(loss)), 3)}}]
    report = check(make_network(layers, loss))
    assert_sound(report)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("case", cases().values(), ids=cases())
def test_every_layer_with_every_activation_under_every_loss(make_network, case, activation):
    """Each test has every fourth loss: each layer meets every loss, and each activation too."""
    turn = list(ACTIVATIONS).index(activation) + list(cases().values()).index(case)
    for loss in list(LOSSES)[turn % 4 :: 4]:
        layers = graph(*case, activation=activation, units=OUTPUTS.get(loss, 3))
        report = check(make_network(layers, loss, (4,)), rows=3, entries_per_parameter=4)
        assert_sound(report)


@pytest.mark.parametrize("case", cases().values(), ids=cases())
def test_layer_between_layers(make_network, case):
    report = check(make_network(graph(*case), input_shape=(4,)))
    assert_sound(report)


@pytest.mark.parametrize("case", [c for c in cases().values() if len(c[2]) == 1], ids=lambda case: case[0])
def test_layer_at_the_beginning(make_network, case):
    kind, settings, (shape,) = case
    report = check(make_network([{kind: settings}, "flatten", {"dense": {"units": 3}}], input_shape=shape))
    assert_sound(report)


def test_tables_cover_the_specification():
    assert ACTIVATIONS.keys() == functions.Activation.model_fields.keys()
    assert LAYERS.keys() == spec.Layer.model_fields.keys() - {"shared"}
    assert LAYERS.keys() == EXAMPLES.keys()
    assert LOSSES.keys() == spec.Loss.model_fields.keys()


def test_dense_without_bias(make_network):
    report = check(make_network([{"dense": {"units": 4, "use_bias": False}}, {"dense": {"units": 3}}]))
    assert [p.name for p in report.parameters] == ["dense_1.kernel", "dense_2.kernel", "dense_2.bias"]
    assert_sound(report)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    layers=st.lists(st.tuples(st.integers(1, 5), st.sampled_from(sorted(ACTIVATIONS))), min_size=1, max_size=4),
    loss=st.sampled_from(sorted(LOSSES)),
    inputs=st.integers(1, 4),
    rows=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_stack(make_network, layers, loss, inputs, rows, seed):
    stack = [{"dense": {"units": units, "activation": activation}} for units, activation in layers]
    last = {"dense": {"units": OUTPUTS.get(loss, 3)}}
    report = check(make_network([*stack, last], loss, (inputs,)), seed, rows)
    assert_sound(report)


def test_large_parameters_are_sampled(make_network):
    report = check(make_network([{"dense": {"units": 30}}, {"dense": {"units": 3}}]), entries_per_parameter=20)
    assert [p.entries for p in report.parameters] == [20, 20, 20, 3]
    assert_sound(report)


class NoTranspose(Dense):
    """Computes dK with the input of the next row."""

    def backward(self, buffers, weights, gradients):
        super().backward(buffers, weights, gradients)
        np.matmul(np.roll(buffers.x, 1, axis=0).T, buffers.dy, out=gradients["kernel"])


class NoBias(Dense):
    """Does not write the gradient by the bias."""

    def backward(self, buffers, weights, gradients):
        super().backward(buffers, weights, {**gradients, "bias": np.empty_like(gradients["bias"])})


class WrongSign(Dense):
    """Computes dx with the wrong sign."""

    def backward(self, buffers, weights, gradients):
        super().backward(buffers, weights, gradients)
        if buffers.dx is not None:
            np.negative(buffers.dx, out=buffers.dx)


@pytest.mark.parametrize(
    ("broken", "names"),
    [
        (NoTranspose, {"dense_1.kernel", "dense_2.kernel"}),
        (NoBias, {"dense_1.bias", "dense_2.bias"}),
        (WrongSign, {"dense_1.kernel", "dense_1.bias"}),
    ],
)
def test_a_broken_layer_is_found_and_named(make_network, monkeypatch, broken, names):
    monkeypatch.setitem(LAYERS, "dense", broken)
    report = check(make_network([{"dense": {"units": 4, "activation": "tanh"}}, {"dense": {"units": 3}}]))
    assert report.verdict is Verdict.WRONG
    assert {p.name for p in report.of(Verdict.WRONG)} == names


def test_a_slightly_wrong_activation_is_found(make_network, monkeypatch):
    network = make_network([{"dense": {"units": 4, "activation": "tanh"}}, {"dense": {"units": 3}}])
    assert check(network).verdict is Verdict.RIGHT
    original = Tanh.inplace_backward

    def wrong(self, y, dy, scratch, saved):
        original(self, y, dy, scratch, saved)
        dy *= 1.0001

    monkeypatch.setattr(Tanh, "inplace_backward", wrong)
    report = check(network)
    assert {p.name for p in report.of(Verdict.WRONG)} == {"dense_1.kernel", "dense_1.bias"}


def test_a_loss_that_is_not_finite_is_not_resolved(make_network):
    network = make_network([{"dense": {"units": 3}}])
    x, y = random_batch(network, 1, 4)
    x[0, 0] = np.inf
    report = check_gradients(network, x, y, 1)
    assert report.verdict is Verdict.NOT_RESOLVED
    assert {p.reason for p in report.parameters} == {"the loss is not finite"}


@pytest.mark.parametrize("magnitude", [1e-6, 1e-3, 1.0, 5e3, 1e6])
@pytest.mark.parametrize("activation", ["identity", "relu", "softplus"])
def test_inputs_may_be_of_any_size(make_network, magnitude, activation):
    network = make_network([{"dense": {"units": 4, "activation": activation}}, {"dense": {"units": 3}}])
    x, y = random_batch(network, 3, 6)
    assert_sound(check_gradients(network, x * magnitude, y, 3))


def test_saturated_units_are_not_resolved(make_network):
    network = make_network([{"dense": {"units": 4, "activation": "tanh"}}, {"dense": {"units": 3}}])
    x, y = random_batch(network, 1, 5)
    report = check_gradients(network, 1e6 * x, y, 1)
    assert report.verdict is Verdict.NOT_RESOLVED
    assert {p.name: p.reason for p in report.parameters if p.reason} == {"dense_1.kernel": ZERO, "dense_1.bias": ZERO}
    assert [p.name for p in report.of(Verdict.RIGHT)] == ["dense_2.kernel", "dense_2.bias"]


def test_a_kink_at_the_point_itself_is_not_resolved(make_network):
    """Weights of exactly 0 put every unit on the kink of ReLU: the quotient is the mean of both slopes."""
    layers = [{"dense": {"units": 3, "activation": "relu", "use_bias": False}}, {"dense": {"units": 1}}]
    network = make_network(layers, "sum_squared_error")
    point = np.zeros(network.layout.size)
    network.layout.views(point)["dense_2.kernel"][:] = 1
    kernel = check(network, point=point).parameters[0]
    assert (kernel.verdict, kernel.reason) == (Verdict.NOT_RESOLVED, NOT_CONVERGED)


def test_samples_are_weighed(make_network):
    """Weights change the derivatives; with all weights 0 nothing is resolved."""
    network = make_network([{"dense": {"units": 4, "activation": "tanh"}}, {"dense": {"units": 3}}])
    x, y = random_batch(network, 1, 5)
    weights = np.array([0.0, 2.0, 0.5, 1.0, 7.0])
    weighted, plain = (check_gradients(network, x, y, 1, weights=w) for w in (weights, None))
    assert weighted.verdict is plain.verdict is Verdict.RIGHT
    assert weighted.parameters[0].backward != plain.parameters[0].backward
    nothing = check_gradients(network, x, y, 1, weights=np.zeros(5))
    assert {p.reason for p in nothing.parameters} == {ZERO}


WRONGS = {
    "sign": lambda d: np.negative(d, out=d),
    "factor": lambda d: np.multiply(d, 1.001, out=d),
    "off by one": lambda d: np.copyto(d, np.roll(d, 1) + 0.01 * (d.size == 1)),
    "term": lambda d: np.subtract(d, d.mean(), out=d),
    "forgotten": lambda d: d.fill(0),
}


@pytest.mark.parametrize("wrong", WRONGS)
@pytest.mark.parametrize("case", cases().values(), ids=cases())
def test_a_wrong_gradient_of_any_parameter_of_any_layer_is_found(make_network, monkeypatch, case, wrong):
    kind, _, _ = case
    network = make_network(graph(*case), input_shape=(4,))
    batch = random_batch(network, 1, 5)
    right = check_gradients(network, *batch, 1, entries_per_parameter=4)
    mine = next(layer for layer in network.layers if layer.kind == kind)
    prefix = f"{mine.name}."
    names = [p.name.removeprefix(prefix) for p in right.of(Verdict.RIGHT) if p.name.startswith(prefix)]
    learned = [p.name for p in mine.parameters if isinstance(p.kind, Learned)]
    assert len(names) > len(learned) / 2 or not learned, right
    original = LAYERS[kind].backward
    for name in names:

        def backward(layer, buffers, weights, gradients, name=name):
            original(layer, buffers, weights, gradients)
            if layer is mine:
                WRONGS[wrong](gradients[name])

        monkeypatch.setattr(LAYERS[kind], "backward", backward)
        report = check_gradients(network, *batch, 1, entries_per_parameter=4)
        assert [p.name for p in report.of(Verdict.WRONG)] == [prefix + name], report


def test_a_network_needs_only_the_specification():
    network = spec.Network.model_validate({"layers": [{"dense": {"units": 2}}], "loss": "mean_squared_error"})
    assert check(build(network, (3,))).verdict is Verdict.RIGHT
