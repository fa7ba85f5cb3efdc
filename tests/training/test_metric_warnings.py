"""Warnings about metrics of two classes where a part of the data has only one of them."""

import numpy as np
import pytest

from raydient.server.training.preparation import prepare
from raydient.spec.job import JobSpec

AVERAGES = [{"f1": {"average": "macro"}}]


def warnings(tmp_path, labels, network):
    """Return the warnings of a job with these labels, of which the last tenth or so is held out."""
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(2.0 * len(labels)).reshape(-1, 2), y=np.array(labels))
    spec = {
        "dataset": {"uri": "a.npz", "split": {"test": 0.3}},
        "network": network,
        "training": {"batch_size": 2, "seed": 1},
    }
    return [str(warning) for warning in prepare(JobSpec.model_validate(spec), path).warnings]


def network(units, loss, metrics):
    return {"layers": [{"dense": {"units": units}}], "loss": loss, "metrics": metrics}


ONE = network(1, "binary_cross_entropy", ["auc", "average_precision", "recall", "log_loss", *AVERAGES])
TWO = network(2, {"softmax_cross_entropy": {"categories": True}}, ["auc", "average_precision", "f1", *AVERAGES])


@pytest.mark.parametrize("job", [ONE, TWO])
def test_none_where_both_classes_are_in_both_parts(tmp_path, job):
    assert warnings(tmp_path, [0, 1] * 20, job) == []


def test_class_1_is_missing(tmp_path):
    assert warnings(tmp_path, [0] * 20, ONE)[:4] == [
        "network.metrics: auc of the training part is always 0.5: no label there is of class 1",
        "network.metrics: auc of the held-out part is always 0.5: no label there is of class 1",
        "network.metrics: average_precision of the training part is always 0: no label there is of class 1",
        "network.metrics: average_precision of the held-out part is always 0: no label there is of class 1",
    ]


def test_class_0_is_missing(tmp_path):
    assert warnings(tmp_path, [1] * 20, ONE) == [
        "network.metrics: auc of the training part is always 0.5: no label there is of class 0",
        "network.metrics: auc of the held-out part is always 0.5: no label there is of class 0",
        "network.metrics: average_precision of the training part is always 1: no label there is of class 0",
        "network.metrics: average_precision of the held-out part is always 1: no label there is of class 0",
    ]


def test_a_class_with_a_name_is_missing_in_one_part(tmp_path):
    """One of 40 labels is in the training part alone."""
    texts = warnings(tmp_path, ["no"] * 20 + ["yes"] + ["no"] * 19, TWO)
    parts = {text.partition(" part is always")[0].rpartition(" ")[2] for text in texts}
    assert len(parts) == 1
    assert len(texts) == 3
    assert texts[0].endswith("no label there is of class 1 ('yes')")


def test_several_labels(tmp_path):
    labels = np.tile([[0, 1, 0], [1, 0, 0]], (10, 1))
    job = network(3, "binary_cross_entropy", ["auc", "f1"])
    assert warnings(tmp_path, labels, job) == [
        "network.metrics: macro_auc of the training part has labels that are all equal: 1 of 3",
        "network.metrics: macro_auc of the held-out part has labels that are all equal: 1 of 3",
    ]
