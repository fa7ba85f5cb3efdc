"""Metrics at the edges: rare classes, ties, one class alone, one or two outputs for two classes, several labels.

Figures of scikit-learn were computed by `peers/scikit_figures.py`.
"""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.workers.network import Program

from .test_metrics import Whole

FIGURES = json.loads((Path(__file__).parent / "peers" / "scikit_figures.json").read_text(encoding="utf-8"))
AVERAGES = ("binary", "macro", "micro", "weighted")
CHOICES = [*({"f1": {"average": average}} for average in AVERAGES), "auc", "average_precision", "log_loss"]
TWO_OUTPUTS = ("softmax_cross_entropy", "categorical_focal_cross_entropy")


def network_of(make_network, loss, units, metrics):
    """Return a network whose outputs are its samples."""
    return make_network([{"dense": {"units": units, "use_bias": False}}], loss, (units,), metrics=metrics)


def values_of(network, outputs, labels, shares=1, weights=None):
    """Return the metrics of these outputs, divided among programs."""
    whole, bound = Whole(network), np.eye(outputs.shape[1], dtype=np.float32).reshape(-1)
    for rows in np.array_split(np.arange(len(outputs)), shares):
        program = Program(network, len(rows), weighted=weights is not None)
        program.x[...], program.y[...] = outputs[rows], labels[rows]
        if weights is not None:
            program.sample_weights[:] = weights[rows]
        whole.add(program, bound)
    return whole.finish()


def as_two_outputs(logits):
    """Return two outputs before a softmax that gives the same probabilities; exact."""
    return np.stack([-logits / 2, logits / 2], axis=1)


@pytest.mark.parametrize("case", FIGURES["two_classes"], ids=lambda case: f"{case['positives']} of {case['rows']}")
@pytest.mark.parametrize("loss", ["binary_cross_entropy", *TWO_OUTPUTS])
def test_one_and_two_outputs_have_the_values_of_scikit_learn(make_network, loss, case):
    rng, labels = np.random.default_rng(17), np.zeros(case["rows"])
    labels[: case["positives"]] = 1
    logits = np.round(rng.standard_normal(case["rows"]) + labels - 1, 2).astype(np.float32)
    if loss in TWO_OUTPUTS:
        values = values_of(network_of(make_network, loss, 2, CHOICES), as_two_outputs(logits), labels, 3)
    else:
        values = values_of(network_of(make_network, loss, 1, CHOICES), logits[:, None], labels[:, None], 3)
    expected = case["values"]
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    exact = [name for name in expected if name != "log_loss"]  # computed in float32
    assert [values[name] for name in exact] == pytest.approx([expected[name] for name in exact], abs=1e-12)


def test_several_labels_have_the_means_of_scikit_learn(make_network):
    rng, labels = np.random.default_rng(19), np.zeros((5_000, 4))
    for column, count in enumerate((1, 50, 2_500, 4_990)):
        labels[rng.choice(5_000, count, replace=False), column] = 1
    outputs = np.round(rng.standard_normal(labels.shape) + labels, 1).astype(np.float32)
    network = network_of(make_network, "binary_cross_entropy", 4, ["auc", "f1", "average_precision"])
    values = values_of(network, outputs, labels, 2)
    expected = FIGURES["several_labels"]
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert len(network.ranks) == 8


def test_the_root_of_several_outputs_is_that_of_all_squares(make_network):
    rng = np.random.default_rng(23)
    labels = rng.standard_normal((100, 2)) * [1, 10]
    outputs = labels + rng.standard_normal((100, 2)) * [0.1, 3]
    network = network_of(make_network, "mean_squared_error", 2, ["root_mean_squared_error"])
    value, figures = values_of(network, outputs, labels)["root_mean_squared_error"], FIGURES["two_numbers"]
    assert value == pytest.approx(figures["root_of_all"], rel=1e-6)
    assert value == pytest.approx(math.hypot(*figures["of_each"]) / math.sqrt(2), rel=1e-6)


def trapezoids(scores, positive):
    """Return the area under the curve of rates by trapezoids between the distinct scores; 0.5 with one class alone."""
    rows, (count, others) = sorted(zip(scores, positive, strict=True), reverse=True), (sum(positive), 0)
    others = len(positive) - count
    if not count or not others:
        return 0.5
    area, hits, misses, place = 0.0, 0, 0, 0
    while place < len(rows):
        score, before = rows[place][0], (hits, misses)
        while place < len(rows) and rows[place][0] == score:
            hits, misses, place = hits + rows[place][1], misses + (not rows[place][1]), place + 1
        area += (misses - before[1]) / others * (hits + before[0]) / 2 / count
    return area


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), shares=st.integers(1, 7), rows=st.integers(7, 80), share=st.floats(0, 1))
def test_any_imbalance_ties_weights_and_division(make_network, seed, shares, rows, share):
    """Weights of samples and classes change no metric; neither does the division into microbatches."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < share).astype(float)
    logits = (rng.integers(-6, 7, rows) / 2).astype(np.float32)
    weights = rng.integers(0, 3, rows).astype(float)
    loss = {"binary_cross_entropy": {"class_weight": [0.5, 3.0], "label_smoothing": 0.2}}
    network = network_of(make_network, loss, 1, CHOICES)
    values = values_of(network, logits[:, None], labels[:, None], shares, weights)
    assert values["auc"] == pytest.approx(trapezoids(logits.tolist(), (labels == 1).tolist()), abs=1e-12)
    losses = [math.log1p(math.exp(-y if t else y)) for y, t in zip(logits.tolist(), labels.tolist(), strict=True)]
    assert values["log_loss"] == pytest.approx(sum(losses) / rows, rel=1e-6)
    whole = values_of(network, logits[:, None], labels[:, None])
    names = ["f1", *(f"{average}_f1" for average in AVERAGES[1:]), "auc", "average_precision"]
    assert [values[name] for name in names] == [whole[name] for name in names]


@pytest.mark.parametrize(
    ("loss", "units", "names"),
    [
        ("binary_cross_entropy", 1, ["f1", "auc"]),
        ("softmax_cross_entropy", 2, ["f1", "auc"]),
        ("binary_cross_entropy", 3, ["macro_f1", "macro_auc"]),
        ("binary_cross_entropy", 2, ["macro_f1", "macro_auc"]),
        ("softmax_cross_entropy", 3, ["macro_f1"]),
    ],
)
def test_a_name_without_an_average_is_of_class_1(make_network, loss, units, names):
    metrics = ["f1", "auc"][: len(names)]
    network = make_network([{"dense": {"units": units}}], loss, metrics=metrics)
    assert [metric.name for metric in network.metrics] == names


@pytest.mark.parametrize(
    ("loss", "units", "metrics", "message"),
    [
        ("softmax_cross_entropy", 3, ["f1", {"f1": {"average": "macro"}}], "network.metrics: macro_f1 is there twice"),
        ("softmax_cross_entropy", 2, ["f1", {"f1": {"average": "binary"}}], "f1 is there twice"),
        ("softmax_cross_entropy", 3, ["auc"], "ranks samples of two classes, but there are 3: leave it out"),
        (
            {"softmax_cross_entropy": {"ignore_class": 9}},
            2,
            ["average_precision"],
            "ranks all samples, but `ignore_class` of the loss leaves samples out",
        ),
        (
            "softmax_cross_entropy",
            4,
            [{"recall": {"average": "binary"}}],
            "binary is of class 1 of two classes, but there are 4 classes: macro, micro and weighted are averages over",
        ),
    ],
)
def test_a_metric_that_does_not_fit_the_outputs_is_refused(make_network, loss, units, metrics, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_network([{"dense": {"units": units}}], loss, metrics=metrics)
