"""Encoding of labels, by loss."""

import numpy as np
import pytest

from raydient.spec.losses import Loss
from raydient.workers.network import Program, build
from raydient.workers.network.losses import LOSSES, LabelError, loss_class, takes_categories


def encode(loss, *labels):
    return loss_class(loss).encode(*labels)


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_fit_the_program(make_spec, loss):
    """Encoded labels have the type and shape of a program's labels."""
    network = build(make_spec(1, loss), (3,))
    labels = {"softmax_cross_entropy": np.zeros(4), "kl_divergence": np.ones((4, 1))}
    encoded, _ = LOSSES[loss].encode(labels.get(loss, np.array([0, 1, 1, 0])))
    program = Program(network, 4)
    np.take(encoded, np.arange(4), axis=0, out=program.y, mode="clip")
    assert encoded.dtype == network.output.label_dtype
    assert encoded.shape[1:] == network.output.label_shape


@pytest.fixture
def make_spec():
    from raydient.spec.network import Network

    return lambda units, loss: Network.model_validate({"layers": [{"dense": {"units": units}}], "loss": loss})


@pytest.mark.parametrize(
    ("loss", "labels", "expected"),
    [
        ("softmax_cross_entropy", np.array([2.0, 0.0]), np.array([2, 0], np.int32)),
        ("softmax_cross_entropy", np.array([[2], [0]]), np.array([2, 0], np.int32)),
        ("softmax_cross_entropy", np.array([True, False]), np.array([1, 0], np.int32)),
        ("binary_cross_entropy", np.array([1, 0]), np.array([[1], [0]], np.float32)),
        ("binary_cross_entropy", np.array([[1.0], [0.0]]), np.array([[1], [0]], np.float32)),
        ("binary_cross_entropy", np.array([True, False]), np.array([[1], [0]], np.float32)),
        ("mean_squared_error", np.array([1.5, -2]), np.array([[1.5], [-2]], np.float32)),
        ("sum_squared_error", np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]], np.float32)),
        ("mean_absolute_error", np.array([1.5, -2]), np.array([[1.5], [-2]], np.float32)),
        ("huber", np.array([1.5, -2]), np.array([[1.5], [-2]], np.float32)),
        ("hinge", np.array([1, 0]), np.array([[1], [0]], np.float32)),
        ("poisson", np.array([[0, 7]]), np.array([[0, 7]], np.float32)),
        ({"softmax_cross_entropy": {"one_hot": True}}, np.eye(2), np.eye(2, dtype=np.float32)),
        ({"softmax_cross_entropy": {"one_hot": True}}, np.array([[0.25, 0.75]]), np.array([[0.25, 0.75]], np.float32)),
        ("softmax_cross_entropy", np.array([[2.0, 0], [1, 0]]), np.array([[2, 0], [1, 0]], np.int32)),
        ({"softmax_cross_entropy": {"ignore_class": 255}}, np.array([[255, 3]]), np.array([[-1, 3]], np.int32)),
        ({"softmax_cross_entropy": {"ignore_class": 0}}, np.array([[0, 3]]), np.array([[-1, 3]], np.int32)),
        ({"softmax_cross_entropy": {"one_hot": True}}, np.eye(2)[[[0, 1]]], np.eye(2, dtype=np.float32)[[[0, 1]]]),
        ("binary_cross_entropy", np.array([[1, 0, 1]]), np.array([[1, 0, 1]], np.float32)),
        ("binary_focal_cross_entropy", np.array([1, 0]), np.array([[1], [0]], np.float32)),
        ({"categorical_focal_cross_entropy": {"ignore_class": 255}}, np.array([255, 3]), np.array([-1, 3], np.int32)),
        ("kl_divergence", np.array([[0.25, 0.75]]), np.array([[0.25, 0.75]], np.float32)),
        ("cosine_similarity", np.array([[1.5, -2]]), np.array([[1.5, -2]], np.float32)),
        ("hinge", np.zeros((2, 3, 1)), np.zeros((2, 3, 1), np.float32)),
    ],
)
def test_numbers(loss, labels, expected):
    encoded, classes = encode(loss := Loss.model_validate(loss), labels, None, loss.value)
    assert classes == (("False", "True") if labels.dtype == np.bool_ else ())
    assert encoded.dtype == expected.dtype
    assert np.array_equal(encoded, expected)


@pytest.mark.parametrize(
    ("loss", "labels", "message"),
    [
        ("softmax_cross_entropy", np.array([0, 1.5, 2.5]), r"1\.5 in row 2 is not a class index.*2 such rows"),
        ("softmax_cross_entropy", np.array([0, -1]), "-1 in row 2 is not a class index"),
        ("softmax_cross_entropy", np.array([0, 3e9]), "too large"),
        ("softmax_cross_entropy", np.array([[0, 1], [0, -1]]), r"-1 in row 2, position \(1,\), is not a class index"),
        ({"softmax_cross_entropy": {"ignore_class": -2}}, np.array([-2, -1]), "-1 in row 2 is not a class index"),
        ({"softmax_cross_entropy": {"ignore_class": -1}}, np.array([-1, -1]), "every label is -1, the class to ignore"),
        (
            {"softmax_cross_entropy": {"ignore_class": 0}},
            ["low"],
            "'low' in row 1 is text, but ignore_class is a number",
        ),
        ("binary_cross_entropy", np.array([0, 1, 2]), "2 in row 3 is neither 0 nor 1"),
        ("binary_cross_entropy", np.array([[0, 1], [0.5, 1]]), r"0.5 in row 2, position \(0,\), is neither 0 nor 1"),
        ("binary_cross_entropy", np.array([["a", "b"]], object), "'a' in row 1 is text, but a loss of two classes by"),
        ("mean_squared_error", np.array([["1", "2"], ["3", "b"]], object), "'b' in row 2 is text"),
        (
            "binary_cross_entropy",
            ["1", "yes", "no"],
            r"has 3 classes \('1', 'no', 'yes'\), but a loss of two classes needs",
        ),
        ("hinge", ["yes"], r"has 1 classes \('yes'\)"),
        ({"hinge": {"categories": True}}, np.array([1, 2, 3]), "has 3 classes"),
        ({"hinge": {"categories": True}}, np.eye(3), r"has shape \(3, 3\).*one label a row"),
        ("mean_squared_error", ["low", "high"], "'low' in row 1 is text.*softmax_cross_entropy"),
        ("mean_squared_error", ["1", "2,5"], "'2,5' in row 2 is text.*: the decimal separator is a point, as in 2.5"),
        ("mean_squared_error", np.zeros((2, 3, 4)), r"has shape \(2, 3, 4\)"),
        ("mean_squared_error", np.array([1e39]), "too large for float32"),
        ("hinge", np.array([1, -1]), "-1 in row 2 is neither 0 nor 1"),
        ("poisson", np.array([[1, 2], [0, -3]]), "-3 in row 2 is below 0, but poisson needs counts"),
        ({"softmax_cross_entropy": {"one_hot": True}}, np.array([0, 1]), r"has shape \(2,\).*one value per class"),
        ({"softmax_cross_entropy": {"one_hot": True}}, np.eye(3) * 2, r"2 in row 1 is the sum.*3 such rows"),
        ({"softmax_cross_entropy": {"one_hot": True}}, np.array([[1.5, -0.5]]), "1 in row 1 is the sum"),
        (
            "kl_divergence",
            np.array([[0.5, 0.25]]),
            "0.75 in row 1 is the sum of the probabilities; kl_divergence needs",
        ),
        ("kl_divergence", np.array([0, 1]), r"has shape \(2,\), but kl_divergence needs one value per class"),
    ],
)
def test_labels_that_do_not_fit(loss, labels, message):
    with pytest.raises(LabelError, match=message):
        encode(loss := Loss.model_validate(loss), labels, written(loss, labels), loss.value)


def written(loss, labels):
    """The texts that a reader returns beside the labels; None unless they are categories."""
    if not takes_categories(loss):
        return None
    return labels if isinstance(labels, list) else [str(label) for label in labels.ravel()]


@pytest.mark.parametrize(
    ("loss", "texts", "expected", "classes"),
    [
        ("softmax_cross_entropy", ["-1", "1", "-1"], [0, 1, 0], ("-1", "1")),
        ("softmax_cross_entropy", ["100", "20", "3"], [2, 1, 0], ("3", "20", "100")),
        ("softmax_cross_entropy", ["00010", "00002"], [1, 0], ("00002", "00010")),
        ("softmax_cross_entropy", ["b10", "b9"], [0, 1], ("b10", "b9")),
        ("binary_cross_entropy", ["-1", "1", "-1"], [[0], [1], [0]], ("-1", "1")),
        ("hinge", ["True", "False"], [[1], [0]], ("False", "True")),
    ],
)
def test_categories(loss, texts, expected, classes):
    loss = Loss.model_validate({loss: {"categories": True}})
    encoded, names = encode(loss, texts, texts)
    assert encoded.tolist() == expected
    assert names == classes


@pytest.mark.parametrize("settings", [{}, {"categories": True}])
def test_texts_by_position(settings):
    tags = np.array([["noun", "verb"], ["article", "noun"]], object)
    loss = Loss.model_validate({"softmax_cross_entropy": settings})
    labels, classes = encode(loss, tags, tags.ravel().tolist() if settings else None)
    assert labels.tolist() == [[1, 2], [0, 1]]
    assert classes == ("article", "noun", "verb")


def test_two_texts_are_the_classes_of_a_loss_of_two_classes():
    labels, classes = encode(Loss.model_validate("binary_cross_entropy"), ["yes", "no", "yes"])
    assert labels.tolist() == [[1], [0], [1]]
    assert classes == ("no", "yes")


@pytest.mark.parametrize(
    ("loss", "labels", "hint"),
    [
        ("softmax_cross_entropy", [-1, 1], "{softmax_cross_entropy: {categories: true}}"),
        ("softmax_cross_entropy", [0.5, 1], "{softmax_cross_entropy: {categories: true}}"),
        ("binary_cross_entropy", [1, 2], "{binary_cross_entropy: {categories: true}}"),
    ],
)
def test_the_message_offers_categories(loss, labels, hint):
    with pytest.raises(LabelError) as caught:
        encode(Loss.model_validate(loss), np.array(labels))
    assert (
        f"if the 2 different values ({labels[0]:g}, {labels[1]:g}) are names of classes, write `loss: {hint}`"
        in str(caught.value)
    )
