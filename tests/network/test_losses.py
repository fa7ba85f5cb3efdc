"""Losses and their metrics against naive twins, row by row in Python floats."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.spec import losses as spec
from raydient.workers.network.losses import LOSSES, loss_class


def squared(y, t):
    errors = [a - b for a, b in zip(y, t, strict=True)]
    return sum(e * e for e in errors), sum(abs(e) for e in errors) / len(errors)


def mean_squared(y, t):
    loss, metric = squared(y, t)
    return loss / len(y), metric


def softmax(y, t):
    largest = max(y)
    return largest + math.log(sum(math.exp(v - largest) for v in y)) - y[t], y.index(largest) == t


def binary(y, t):
    logit = y[0] if t[0] else -y[0]
    loss = math.log1p(math.exp(-logit)) if logit > -30 else -logit
    return loss, (y[0] > 0) == (t[0] == 1)


def absolute(y, t):
    mean = squared(y, t)[1]
    return mean, mean


def huber(delta):
    def cost(e):
        return e * e / 2 if abs(e) <= delta else delta * (abs(e) - delta / 2)

    return lambda y, t: (sum(cost(a - b) for a, b in zip(y, t, strict=True)) / len(y), squared(y, t)[1])


def quantile(q):
    def cost(y, t):
        each = [(1 - q) * (a - b) if a > b else q * (b - a) for a, b in zip(y, t, strict=True)]
        return sum(each) / len(y), squared(y, t)[1]

    return cost


def smoothed(spread):
    def cost(y, t):
        target = [spread / len(y) + (1 - spread) * (k == t) for k in range(len(y))]
        return one_hot(0)(y, target)[0], y.index(max(y)) == t

    return cost


def one_hot(spread):
    def cost(y, t):
        target = [spread / len(y) + (1 - spread) * p for p in t]
        each = [p * softmax(y, k)[0] for k, p in enumerate(target)]
        return sum(each), y.index(max(y)) == t.index(max(t))

    return cost


def binary_smoothed(spread):
    def cost(y, t):
        share = (1 - spread) * t[0] + spread / 2
        return share * binary(y, [1])[0] + (1 - share) * binary(y, [0])[0], binary(y, t)[1]

    return cost


def hinge(y, t):
    return max(0, 1 - y[0] * (1 if t[0] else -1)), binary(y, t)[1]


def poisson(y, t):
    mean = sum(math.exp(a) - a * b for a, b in zip(y, t, strict=True)) / len(y)
    return mean, squared([math.exp(a) for a in y], t)[1]


def kl_divergence(y, t):
    entropy = sum(p * math.log(p) for p in t if p)
    loss, metric = one_hot(0)(y, t)
    return loss + entropy, metric


def focus(cost, gamma):
    """The focal loss for a cross-entropy -log p; with p near 1 by 1 - p = -expm1(-cost)."""
    return (-math.expm1(-cost)) ** gamma * cost


def binary_focal(gamma):
    return lambda y, t: (focus(binary(y, t)[0], gamma), binary(y, t)[1])


def categorical_focal(gamma, alpha):
    def cost(y, t):
        cost = math.log1p(sum(math.exp(v - y[t]) for k, v in enumerate(y) if k != t))
        return alpha * focus(cost, gamma), y.index(max(y)) == t

    return cost


def cosine_similarity(y, t):
    def length(v):
        return max(math.sqrt(sum(a * a for a in v)), 1e-7)

    cosine = sum(a * b for a, b in zip(y, t, strict=True)) / length(y) / length(t)
    return -cosine, squared(y, t)[1]


TWINS = {
    "sum_squared_error": ("sum_squared_error", squared),
    "mean_squared_error": ("mean_squared_error", mean_squared),
    "softmax_cross_entropy": ("softmax_cross_entropy", softmax),
    "smoothed": ({"softmax_cross_entropy": {"label_smoothing": 0.2}}, smoothed(0.2)),
    "one_hot": ({"softmax_cross_entropy": {"one_hot": True}}, one_hot(0)),
    "one_hot smoothed": ({"softmax_cross_entropy": {"one_hot": True, "label_smoothing": 0.2}}, one_hot(0.2)),
    "binary_cross_entropy": ("binary_cross_entropy", binary),
    "binary smoothed": ({"binary_cross_entropy": {"label_smoothing": 0.2}}, binary_smoothed(0.2)),
    "mean_absolute_error": ("mean_absolute_error", absolute),
    "huber": ("huber", huber(1)),
    "huber, wide": ({"huber": {"delta": 20.0}}, huber(20)),
    "hinge": ("hinge", hinge),
    "quantile": ("quantile", quantile(0.5)),
    "quantile, high": ({"quantile": {"quantile": 0.9}}, quantile(0.9)),
    "poisson": ("poisson", poisson),
    "kl_divergence": ("kl_divergence", kl_divergence),
    "binary_focal": ("binary_focal_cross_entropy", binary_focal(2)),
    "binary_focal, root": ({"binary_focal_cross_entropy": {"gamma": 0.5}}, binary_focal(0.5)),
    "categorical_focal": ("categorical_focal_cross_entropy", categorical_focal(2, 0.25)),
    "categorical_focal, 0": (
        {"categorical_focal_cross_entropy": {"gamma": 0.0, "alpha": 1.0}},
        softmax,
    ),
    "cosine_similarity": ("cosine_similarity", cosine_similarity),
}
ONE_OUTPUT = ("binary_cross_entropy", "binary_focal_cross_entropy", "hinge")


def make(choice, outputs):
    outputs, choice = np.array(outputs), spec.Loss.model_validate(choice)
    empty = np.full_like(outputs, np.nan)
    return loss_class(choice)(choice.value, outputs, empty, empty.copy())


def test_twins_cover_the_table():
    assert {spec.Loss.model_validate(choice).kind for choice, _ in TWINS.values()} == LOSSES.keys()


@pytest.mark.parametrize(("choice", "twin"), TWINS.values(), ids=TWINS)
@given(data=st.data())
def test_sums_are_those_of_the_twin(choice, twin, data):
    rows = data.draw(st.integers(1, 6))
    units = 1 if any(kind in choice for kind in ONE_OUTPUT) else data.draw(st.integers(1, 5))
    numbers = st.floats(-50, 50).map(lambda v: round(v, 3))
    y = data.draw(st.lists(st.lists(numbers, min_size=units, max_size=units), min_size=rows, max_size=rows))
    generator = np.random.default_rng(data.draw(st.integers(0, 1000)))
    loss = make(choice, y)
    loss.labels[...] = loss.random_labels(generator, rows, (units,))
    loss.weights[...] = generator.integers(0, 4, rows) / 2
    loss.forward()
    each = [twin(row, label) for row, label in zip(y, loss.labels.tolist(), strict=True)]
    expected = [sum(w * value for w, (value, _) in zip(loss.weights, each, strict=True)), sum(m for _, m in each)]
    np.testing.assert_allclose(loss.sums, expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("choice", [choice for choice, _ in TWINS.values()], ids=TWINS)
def test_a_weight_repeats_a_row(choice):
    """With whole numbers as weights, sums and derivatives equal those of rows repeated as often."""
    units = 1 if any(kind in choice for kind in ONE_OUTPUT) else 4
    generator = np.random.default_rng(0)
    y, times = generator.standard_normal((5, units)), np.array([1, 0, 3, 2, 1])
    weighted, repeated = make(choice, y), make(choice, y.repeat(times, axis=0))
    weighted.labels[...] = weighted.random_labels(generator, 5, (units,))
    repeated.labels[...] = weighted.labels.repeat(times, axis=0)
    weighted.weights[...] = times
    for loss in (weighted, repeated):
        loss.forward()
        loss.backward(0.5)
    assert weighted.sums[0] == pytest.approx(repeated.sums[0], rel=1e-12)
    first = [0, 1, 4, 6]  # of the repeated rows, for each weight but 0
    expected = repeated.gradient[first] * times[times > 0][:, np.newaxis]
    np.testing.assert_allclose(weighted.gradient[times > 0], expected, rtol=1e-12)
    assert (weighted.gradient[1] == 0).all()


@pytest.mark.parametrize("kind", LOSSES)
def test_scale_is_a_factor_of_the_gradient(kind):
    units = 1 if kind in ONE_OUTPUT else 4
    y = np.random.default_rng(0).standard_normal((5, units))
    gradients = []
    for scale in (1.0, 0.25):
        loss = make(kind, y)
        loss.labels[...] = LOSSES[kind].random_labels(np.random.default_rng(1), 5, (units,))
        loss.forward()
        loss.backward(scale)
        gradients.append(loss.gradient)
    np.testing.assert_allclose(gradients[1], 0.25 * gradients[0], rtol=1e-14)


def test_squared_errors_have_no_factor_of_a_half():
    loss = make("sum_squared_error", [[3.0, 1.0]])
    loss.labels[...] = [[1.0, 2.0]]
    loss.forward()
    assert loss.sums.tolist() == [5.0, 1.5]
    loss.backward(1.0)
    assert loss.gradient.tolist() == [[4.0, -2.0]]


def test_mean_squared_error_divides_by_the_outputs():
    loss = make("mean_squared_error", [[3.0, 1.0]])
    loss.labels[...] = [[1.0, 2.0]]
    loss.forward()
    assert loss.sums.tolist() == [2.5, 1.5]
    loss.backward(1.0)
    assert loss.gradient.tolist() == [[2.0, -1.0]]


def test_softmax_gradient_is_probability_minus_onehot():
    loss = make("softmax_cross_entropy", [[math.log(1), math.log(2), math.log(5)]])
    loss.labels[...] = [1]
    loss.forward()
    loss.backward(1.0)
    np.testing.assert_allclose(loss.gradient, [[1 / 8, 2 / 8 - 1, 5 / 8]])


def test_binary_gradient_is_probability_minus_label():
    loss = make("binary_cross_entropy", [[math.log(3)], [0.0]])
    loss.labels[...] = [[1], [0]]
    loss.forward()
    loss.backward(1.0)
    np.testing.assert_allclose(loss.gradient, [[-1 / 4], [1 / 2]])


@pytest.mark.parametrize(
    ("kind", "y", "label", "expected"),
    [
        ("softmax_cross_entropy", [[1e30, -1e30, 0]], [0], 0.0),
        ("softmax_cross_entropy", [[1e4, 0, 0]], [1], 1e4),
        ("binary_cross_entropy", [[1e30]], [[1]], 0.0),
        ("binary_cross_entropy", [[-1e4]], [[1]], 1e4),
        ("binary_focal_cross_entropy", [[1e30]], [[1]], 0.0),
        ("binary_focal_cross_entropy", [[-1e4]], [[1]], 1e4),
        ("categorical_focal_cross_entropy", [[1e30, -1e30, 0]], [0], 0.0),
        ("categorical_focal_cross_entropy", [[1e4, 0, 0]], [1], 2500.0),
        ({"categorical_focal_cross_entropy": {"gamma": 0.5}}, [[1e4, 0, 0]], [0], 0.0),
        ("kl_divergence", [[1e30, -1e30, 0]], [[1, 0, 0]], 0.0),
    ],
)
def test_large_logits_neither_overflow_nor_cancel(kind, y, label, expected):
    loss = make(kind, np.array(y, np.float32))
    loss.labels[...] = label
    loss.forward()
    assert loss.sums[0] == expected
    loss.backward(1.0)
    assert np.isfinite(loss.gradient).all()


@pytest.mark.parametrize(("y", "slopes"), [([3.0, 4.0], [-0.128, 0.096]), ([0.0, 0.0], [-1e7, 0.0])])
def test_the_gradient_of_the_cosine_is_at_right_angles_to_the_outputs(y, slopes):
    """Below a length of 1e-7 it is that of a length of 1e-7, as in Keras."""
    loss = make("cosine_similarity", [y])
    loss.labels[...] = [[2.0, 0.0]]
    loss.forward()
    loss.backward(1.0)
    np.testing.assert_allclose(loss.gradient, [slopes], rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "gamma"), [("binary_focal_cross_entropy", 0.5), ("categorical_focal_cross_entropy", 3)]
)
def test_focal_losses_keep_their_digits_in_float32(kind, gamma):
    """Margins from -60 to 60 in float32 against float64; a probability of 1 in float32 does not end the loss."""
    margins = np.linspace(-60, 60, 241)
    y = margins[:, np.newaxis] if kind in ONE_OUTPUT else np.stack([np.zeros_like(margins), margins], axis=1)
    losses = [make({kind: {"gamma": gamma}}, y.astype(dtype)) for dtype in (np.float32, np.float64)]
    for loss in losses:
        loss.labels[...] = 1
        loss.forward()
        loss.backward(1.0)
    single, double = losses
    np.testing.assert_allclose(single.losses, double.losses, rtol=2e-5, atol=1e-37)
    np.testing.assert_allclose(single.gradient, double.gradient, rtol=2e-5, atol=1e-37)


def test_equal_outputs_are_one_guess_and_not_all_of_them():
    loss = make("softmax_cross_entropy", np.zeros((3, 3)))
    loss.labels[...] = [0, 1, 2]
    loss.forward()
    assert loss.sums[1] == 1


def test_prediction_is_a_probability():
    outputs = np.array([[1e30, 0, 0], [1, 1, 1]], np.float32)
    make("softmax_cross_entropy", outputs).inplace_predict(outputs)
    np.testing.assert_allclose(outputs, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)
    outputs = np.array([[0], [1e30], [-1e30]], np.float32)
    make("binary_cross_entropy", outputs).inplace_predict(outputs)
    np.testing.assert_allclose(outputs, [[0.5], [1], [0]], atol=1e-30)


@pytest.mark.parametrize("one_hot", [False, True])
def test_each_class_has_its_weight(one_hot):
    """With equal outputs the loss of every sample is log 3 times the weight of its class."""
    settings = {"class_weight": [1.0, 0.0, 2.5], "one_hot": one_hot}
    loss = make({"softmax_cross_entropy": settings}, np.zeros((4, 3)))
    loss.labels[...] = np.eye(3)[[0, 1, 2, 2]] if one_hot else [0, 1, 2, 2]
    loss.forward()
    assert loss.sums[0] == pytest.approx(6 * math.log(3))
    loss.backward(1.0)
    np.testing.assert_allclose(
        loss.gradient[:3], [[-2 / 3, 1 / 3, 1 / 3], [0, 0, 0], [5 / 6, 5 / 6, -5 / 3]], atol=1e-12
    )


def test_both_of_two_classes_have_their_weight():
    loss = make({"binary_cross_entropy": {"class_weight": [0.5, 3.0]}}, np.zeros((2, 1)))
    loss.labels[...] = [[0], [1]]
    loss.forward()
    assert loss.sums[0] == pytest.approx(3.5 * math.log(2))
    loss.backward(1.0)
    np.testing.assert_allclose(loss.gradient, [[0.25], [-1.5]])


def test_both_of_two_classes_have_their_weight_by_distance():
    loss = make({"hinge": {"class_weight": [0.5, 3.0]}}, [[0.5], [0.5], [-2.0]])
    loss.labels[...] = [[0], [1], [0]]
    loss.forward()
    assert loss.sums.tolist() == [0.5 * 1.5 + 3 * 0.5, 2]
    loss.backward(2.0)
    assert loss.gradient.tolist() == [[1], [-6], [0]]


@pytest.mark.parametrize(("weights", "equal"), [([], [0.7, 0.3]), ([2.0, 5.0], [1.4, 1.5])])
def test_balanced_focal_losses_weigh_both_classes(weights, equal):
    balanced = {"class_weight": weights, "apply_class_balancing": True, "alpha": 0.3}
    losses = [make({"binary_focal_cross_entropy": one}, [[0.5], [0.5]]) for one in (balanced, {"class_weight": equal})]
    for loss in losses:
        loss.labels[...] = [[0], [1]]
        loss.forward()
        loss.backward(1.0)
    assert losses[0].sums[0] == pytest.approx(losses[1].sums[0])
    np.testing.assert_allclose(losses[0].gradient, losses[1].gradient)
