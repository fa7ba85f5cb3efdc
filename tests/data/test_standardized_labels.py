"""Standardized labels: the figures of the training part, for each value of each label, and what has none."""

import numpy as np
import pytest

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Output
from raydient.spec.validation import validate_job
from raydient.workers.data import load

SQUARES = "mean_squared_error"
TABLE = "a,y,z,k\n1,100,-3,p\n2,300,-1,q\n3,500,-1,q\n"


def test_figures_are_those_of_the_training_part_alone(load_file):
    rows = "".join(f"{row},{row * row}\n" for row in range(40))
    data = load_file(f"a,y\n{rows}", SQUARES, standardize_label=True, split={"test": 0.25})
    y = data.train.x[:, 0].astype(float) ** 2
    scaling = data.target.scaling
    assert (scaling.mean[0], scaling.scale[0]) == (pytest.approx(y.mean()), pytest.approx(y.std()))
    for part in (data.train, data.test):
        assert part.y.dtype == np.float32
        np.testing.assert_allclose(part.y[:, 0], (part.x[:, 0] ** 2 - y.mean()) / y.std(), rtol=1e-5, atol=1e-6)


def test_each_value_of_a_label_has_its_own_figures(load_file):
    data = load_file(TABLE, SQUARES, label_columns=["y", "z"], features=["a"], standardize_label=True)
    np.testing.assert_allclose(data.target.scaling.mean, [300, -5 / 3])
    np.testing.assert_allclose(data.train.y.mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(data.train.y.std(axis=0), 1, rtol=1e-6)


def test_labels_are_rounded_once_after_it(load_file):
    """Seconds since 1970 differ by less than float32 resolves, but not the standardized ones."""
    data = load_file("a,y\n1,1700000001\n2,1700000002\n3,1700000003\n", SQUARES, standardize_label=True)
    np.testing.assert_allclose(data.train.y[:, 0], np.array([-1, 0, 1]) * np.sqrt(1.5), rtol=1e-6)


def test_a_constant_label_becomes_0(load_file):
    data = load_file("a,y\n1,7\n2,7\n", SQUARES, standardize_label=True)
    assert data.train.y.ravel().tolist() == [0, 0]
    assert (data.target.scaling.mean.tolist(), data.target.scaling.scale.tolist()) == ([7], [1])


def test_some_of_several_labels(load_file):
    losses = {"price": SQUARES, "depth": "huber", "kind": "softmax_cross_entropy"}
    labels = {"price": "y", "depth": "z", "kind": "k"}
    data = load_file(TABLE, losses, labels=labels, features=["a"], standardize_labels=["price"])
    assert data.train.ys["predicts_depth"].ravel().tolist() == [-3, -1, -1]
    assert data.targets["predicts_depth"].scaling is None
    assert data.targets["predicts_kind"].classes == ("p", "q")
    assert data.targets["predicts_price"].scaling.mean.tolist() == [300]
    np.testing.assert_allclose(data.train.ys["predicts_price"].mean(), 0, atol=1e-7)


def test_held_out_data_of_their_own_have_the_figures_of_the_training_data(tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n1,10\n2,30\n")
    (tmp_path / "v.csv").write_text("a,y\n1,40\n")
    spec = {"uri": "t.csv", "validation": {"uri": "v.csv"}, "standardize_label": True}
    outputs = [Output(layer="out", label="label", loss=SQUARES)]

    def loaded():
        return load(DatasetSpec.model_validate(spec), tmp_path / "t.csv", outputs, 1, validation=tmp_path / "v.csv")

    assert loaded().test.y.tolist() == [[2]]
    (tmp_path / "t.csv").write_text("a,y\n1,1e-30\n2,3e-30\n")
    (tmp_path / "v.csv").write_text("a,y\n1,1e30\n")
    with pytest.raises(InvalidSpec) as caught:
        loaded()
    (error,) = caught.value.errors
    assert error.path == "dataset.validation.uri"
    assert error.message == "'y': row 1 is too far from the training part's values for float32"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,y\n1,p\n2,q\n", "'y': 'p' in row 1 is text, but a loss on numbers needs numbers"),
        ("a,y\n1,1e39\n2,3\n", "'y': 1e+39 in row 1 is too large for float32"),
        ("a,y\n1,0\n2,5e-324\n", "'y': its values, 0.0 to 5e-324, are too close together to be standardized"),
    ],
)
def test_labels_that_cannot_be_standardized(errors_of, content, message):
    ((path, text),) = errors_of(content, SQUARES, standardize_label=True)
    assert path == "dataset.label"
    assert text.startswith(message)


def job(dataset, *losses):
    layers = [{"dense": {"units": 1, "name": f"o{number}"}} for number in range(len(losses))]
    outputs = [{"layer": f"o{n}", "label": f"l{n}", "loss": loss} for n, loss in enumerate(losses)]
    network = {"outputs": outputs} if len(losses) > 1 else {"loss": losses[0]}
    return {"dataset": {"uri": "a.csv", **dataset}, "network": {"layers": layers, **network}}


HINGE = (
    'the loss of the label "l1" is hinge, and only labels of sum_squared_error, mean_squared_error, '
    "mean_absolute_error, huber, quantile have a scale: name the other labels in `standardize_labels` instead"
)
TWO = {"labels": {"l0": "y", "l1": "k"}}


@pytest.mark.parametrize(
    ("spec", "setting", "message"),
    [
        (job({"standardize_label": True}, "poisson"), "standardize_label", "the loss is poisson, and only labels of"),
        (job({"standardize_label": True}, "cosine_similarity"), "standardize_label", "have a scale: leave it out"),
        (
            job({"standardize_label": True, **TWO}, SQUARES, "hinge"),
            "standardize_label",
            HINGE,
        ),
        (job({"standardize_labels": ["l1"], **TWO}, SQUARES, "hinge"), "standardize_labels", "leave it out"),
        (job({"standardize_labels": ["y"], **TWO}, SQUARES, "hinge"), "standardize_labels", "these are l0, l1"),
        (job({"standardize_labels": ["l0"] * 2, **TWO}, SQUARES, "hinge"), "standardize_labels", "is named twice"),
        (job({"standardize_labels": ["y"]}, SQUARES), "standardize_labels", "write `standardize_label: true`"),
        (
            job({"standardize_label": True, "standardize_labels": ["l0"], **TWO}, SQUARES, SQUARES),
            "standardize_labels",
            "`standardize_label` stands for all labels: leave one of the two out",
        ),
    ],
)
def test_labels_without_a_scale_are_refused(spec, setting, message):
    with pytest.raises(InvalidSpec) as caught:
        validate_job(spec)
    (error,) = caught.value.errors
    assert error.path == f"dataset.{setting}"
    assert message in error.message
