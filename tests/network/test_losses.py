"""Each loss and its metrics against a naive twin that goes row by row in Python's own numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.workers.network.losses import LOSSES


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


TWINS = {
    "sum_squared_error": squared,
    "mean_squared_error": mean_squared,
    "softmax_cross_entropy": softmax,
    "binary_cross_entropy": binary,
}


def make(kind, outputs):
    outputs = np.array(outputs)
    return LOSSES[kind](outputs, np.full_like(outputs, np.nan), np.full_like(outputs, np.nan))


def test_twins_cover_the_table():
    assert TWINS.keys() == LOSSES.keys()


@pytest.mark.parametrize("kind", LOSSES)
@given(data=st.data())
def test_sums_are_those_of_the_twin(kind, data):
    rows = data.draw(st.integers(1, 6))
    units = 1 if kind == "binary_cross_entropy" else data.draw(st.integers(1, 5))
    numbers = st.floats(-50, 50).map(lambda v: round(v, 3))
    y = data.draw(st.lists(st.lists(numbers, min_size=units, max_size=units), min_size=rows, max_size=rows))
    generator = np.random.default_rng(data.draw(st.integers(0, 1000)))
    loss = make(kind, y)
    loss.labels[...] = LOSSES[kind].random_labels(generator, rows, (units,))
    loss.forward()
    expected = np.sum([TWINS[kind](row, label) for row, label in zip(y, loss.labels.tolist(), strict=True)], axis=0)
    np.testing.assert_allclose(loss.sums, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", LOSSES)
def test_scale_is_a_factor_of_the_gradient(kind):
    units = 1 if kind == "binary_cross_entropy" else 4
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
    ],
)
def test_large_logits_neither_overflow_nor_cancel(kind, y, label, expected):
    loss = make(kind, np.array(y, np.float32))
    loss.labels[...] = label
    loss.forward()
    assert loss.sums[0] == expected
    loss.backward(1.0)
    assert np.isfinite(loss.gradient).all()


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
