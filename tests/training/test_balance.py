"""Weights of classes that are computed from the training part."""

import numpy as np
import pytest

from raydient.server.training.balance import class_weights
from raydient.server.training.preparation import check, prepare
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job

KINDS = ["a"] * 6 + ["b"] * 3 + ["c"]


@pytest.fixture
def prepared(tmp_path):
    """Prepares a network of one layer on ten rows of three classes."""

    def prepared(network, kinds=KINDS, **dataset):
        rows = "".join(f"{row},{label},{row % 2},{row}\n" for row, label in enumerate(kinds))
        (tmp_path / "d.csv").write_text(f"x,y,z,t\n{rows}")
        dataset = {"uri": "d.csv", "features": ["x"], "split": {"test": 0}, **dataset}
        job = {"dataset": dataset, "network": network, "training": {"batch_size": 4}}
        return prepare(validate_job(job), tmp_path / "d.csv")

    return prepared


def balanced(kind, units=3):
    return {"layers": [{"dense": {"units": units}}], "loss": {kind: {"balanced": True}}}


def weights_of(prepared):
    return [output.loss.value.class_weight for output in prepared.spec.network.named_outputs]


def test_weights_are_those_of_scikit_learn():
    """The figures are those of its `compute_class_weight` for six, three and one row."""
    assert class_weights(np.array([6.0, 3.0, 1.0])) == pytest.approx((0.55555556, 1.11111111, 3.33333333))
    assert class_weights(np.array([2.0, 0.0, 2.0])) == (1.0, 1.0, 1.0)
    assert np.dot(class_weights(np.array([7.0, 2.0])), [7, 2]) == pytest.approx(9), "the mean weight of a row is 1"


def test_the_prepared_job_states_the_weights(prepared):
    job = prepared(balanced("softmax_cross_entropy"))
    assert weights_of(job) == [pytest.approx((10 / 18, 10 / 9, 10 / 3))]
    assert not job.spec.network.loss.value.balanced
    assert job.network.outputs[0].settings.class_weight == weights_of(job)[0]
    assert validate_job(job.spec.canonical()) == job.spec


def test_only_the_training_part_counts(prepared):
    split = {"test": 0.2, "method": {"ordered": {"by": "t"}}}
    job = prepared(balanced("softmax_cross_entropy"), ["a"] * 2 + ["b"] * 6 + ["c"] * 2, split=split)
    assert weights_of(job) == [pytest.approx((8 / 4, 8 / 12, 1))]


@pytest.mark.parametrize("kind", ["binary_cross_entropy", "hinge", "binary_focal_cross_entropy"])
def test_two_classes(prepared, kind):
    assert weights_of(prepared(balanced(kind, 1), KINDS[:8])) == [pytest.approx((8 / 12, 8 / 4))]


def test_one_of_several_outputs(prepared):
    outputs = [
        {"layer": "one", "label": "kind", "loss": {"categorical_focal_cross_entropy": {"balanced": True}}},
        {"layer": "two", "label": "side", "loss": "softmax_cross_entropy"},
    ]
    layers = [{"dense": {"name": "one", "units": 3}}, {"dense": {"name": "two", "inputs": ["input"], "units": 2}}]
    job = prepared({"layers": layers, "outputs": outputs}, labels={"kind": "y", "side": "z"})
    assert weights_of(job) == [pytest.approx((10 / 18, 10 / 9, 10 / 3)), ()]


def test_weights_beside_balanced_are_refused(prepared):
    network = balanced("softmax_cross_entropy")
    network["loss"]["softmax_cross_entropy"]["class_weight"] = [1, 1, 1]
    with pytest.raises(InvalidSpec, match="computes the weights of the classes"):
        prepared(network)
    network["loss"]["softmax_cross_entropy"] = {"class_weight": "balanced"}
    with pytest.raises(InvalidSpec, match=r"class_weight: takes a number for each class: `balanced: true` instead"):
        prepared(network)


def test_more_classes_than_a_specification_has_weights_are_refused(prepared, tmp_path):
    """Also where facts that an earlier check read are compared with the network alone."""
    data, job = tmp_path / "d.csv", prepared(balanced("softmax_cross_entropy")).spec
    few, many = (
        validate_job({**job.canonical(), "network": balanced("softmax_cross_entropy", units)}) for units in (3, 65_537)
    )
    learned = []
    check(few, data, learn=learned.append)
    for profile in (None, *learned):
        with pytest.raises(InvalidSpec, match="computes the weights of at most 65536 classes"):
            check(many, data, profile=profile)
    assert len(learned) == 1
