"""Weights of samples in data files: read beside the labels, not features, checked before training starts."""

import numpy as np
import pytest

from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Network
from raydient.spec.validation import validate_job
from raydient.workers.data import Profile, check_weights, load
from raydient.workers.data.source import split_rows
from raydient.workers.network import build

OUTPUTS = Network.model_validate({"layers": [{"dense": {"units": 2}}], "loss": "softmax_cross_entropy"}).named_outputs


def dataset(uri, **parts):
    network = {"layers": [{"dense": {"units": 2}}], "loss": "softmax_cross_entropy"}
    return validate_job({"dataset": {"uri": uri, "sample_weight": "w", **parts}, "network": network}).dataset


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_each_sample_keeps_its_weight(tmp_path, suffix):
    weights = np.arange(10) / 4
    path = tmp_path / f"data.{suffix}"
    if suffix == "csv":
        rows = [f"{n},{n % 2},{w}" for n, w in enumerate(weights)]
        path.write_text("\n".join(["a,y,w", *rows]))
    else:
        np.savez(path, x=np.arange(10.0), y=np.arange(10) % 2, w=weights)
    data = load(dataset(path.name, split={"test": 0.3}), path, OUTPUTS, seed=1)
    assert data.input_shapes == {"input": (1,)}, "the weight is no feature"
    for part in (data.train, data.test):
        np.testing.assert_array_equal(part.weights, part.x[:, 0] / 4)
        assert part.weights.dtype == np.float32
    assert {"train/weights", "test/weights"} <= data.arrays().keys()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "-0.5", "1"], "-0.5 in row 2 is not a weight: a weight is at least 0"),
        (["1", "1e39", "1"], "1e\\+39 in row 2 is not a weight"),
        (["1", "heavy", "1"], "'heavy' in row 2 is text, but a weight is a number"),
        (
            ["1", '"0,5"', "1"],
            "'0,5' in row 2 is text, but a weight is a number: the decimal separator",
        ),
        (["1", "", "1"], "column 'w': row 2 .* has no value"),
    ],
)
def test_invalid_weights_are_refused_with_their_path(tmp_path, values, message):
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["a,y,w", *(f"{n},{n % 2},{w}" for n, w in enumerate(values))]))
    with pytest.raises(InvalidSpec, match=message) as refused:
        load(dataset(path.name), path, OUTPUTS, seed=1)
    assert [error.path for error in refused.value.errors] == ["dataset.sample_weight"]


def test_the_label_cannot_be_the_weight():
    with pytest.raises(InvalidSpec, match=r'dataset\.sample_weight: "y" is an input or a label'):
        dataset("a.csv", sample_weight="y")


@pytest.mark.parametrize(
    ("is_heavy", "part", "count"),
    [("test", "training", 7), ("train", "held-out", 3), ("neither", "training", 7)],
)
def test_a_part_without_any_weight_is_refused(tmp_path, is_heavy, part, count):
    train, test = split_rows(1, 10, 0.3)
    weights = np.zeros(10)
    weights[{"test": test, "train": train, "neither": []}[is_heavy]] = 1.0
    path = tmp_path / "data.npz"
    np.savez(path, x=np.arange(10.0), y=np.arange(10) % 2, w=weights)
    with pytest.raises(InvalidSpec) as refused:
        load(dataset(path.name, split={"test": 0.3}), path, OUTPUTS, seed=1)
    error, *_ = refused.value.errors
    assert error.path == "dataset.sample_weight"
    assert error.message == f"all {count} samples of the {part} part have weight 0"


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ({"softmax_cross_entropy": {"class_weight": [0, 0, 1]}}, np.arange(10) % 2),
        ({"softmax_cross_entropy": {"class_weight": [0, 0, 1], "one_hot": True}}, np.eye(3)[np.arange(10) % 2]),
        ({"binary_cross_entropy": {"class_weight": [0, 1]}}, np.zeros(10)),
        ({"hinge": {"class_weight": [1, 0]}}, np.ones(10)),
    ],
)
def test_a_part_of_classes_without_weight_is_refused(tmp_path, loss, labels):
    path = tmp_path / "data.npz"
    np.savez(path, x=np.arange(10.0), y=labels)
    units = 3 if "softmax_cross_entropy" in loss else 1
    network = {"layers": [{"dense": {"units": units}}], "loss": loss}
    job = validate_job({"dataset": {"uri": path.name, "split": {"test": 0}}, "network": network})
    data = load(job.dataset, path, job.network.named_outputs, seed=1)
    with pytest.raises(InvalidSpec) as refused:
        check_weights(Profile.of(data, job.network.named_outputs), build(job.network, data.input_shapes))
    (error,) = refused.value.errors
    assert error.path == f"network.loss.{next(iter(loss))}.class_weight"
    assert error.message == "every sample of the training part, or its class, has weight 0"


def test_class_weights_are_not_all_zero():
    loss = {"softmax_cross_entropy": {"class_weight": [0, 0]}}
    job = {"dataset": {"uri": "a.csv"}, "network": {"layers": [{"dense": {"units": 2}}], "loss": loss}}
    with pytest.raises(InvalidSpec, match="class_weight: every class has weight 0"):
        validate_job(job)
