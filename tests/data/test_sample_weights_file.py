"""Weights of samples in data files: read beside the labels, no feature, checked before anything is allocated."""

import numpy as np
import pytest

from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Network
from raydient.spec.validation import validate_job
from raydient.workers.data import load

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
        (["1", "-0.5", "1"], "-0.5 in row 2 is no weight: it must be 0 or more"),
        (["1", "1e39", "1"], "1e\\+39 in row 2 is no weight"),
        (["1", "heavy", "1"], "one number for each sample is needed"),
        (["1", "", "1"], "column 'w': row 2 .* has no value"),
    ],
)
def test_what_is_no_weight_is_refused_with_its_path(tmp_path, values, message):
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["a,y,w", *(f"{n},{n % 2},{w}" for n, w in enumerate(values))]))
    with pytest.raises(InvalidSpec, match=message) as refused:
        load(dataset(path.name), path, OUTPUTS, seed=1)
    assert [error.path for error in refused.value.errors] == ["dataset.sample_weight"]


def test_a_label_is_no_weight():
    with pytest.raises(InvalidSpec, match=r'dataset\.sample_weight: "y" is an input or a label'):
        dataset("a.csv", sample_weight="y")
