"""Everything that a job may ask of the engine at once: frozen layers, penalties, weights of another job, of samples and
of classes, metrics. Neither workers nor their ends have a say in weights and metrics, and both are what the definition
says.
"""

import random

import numpy as np
import pytest

from raydient.server.embedded import train
from raydient.server.training.preparation import prepare
from raydient.spec.validation import validate_job
from raydient.wire.control import Role
from raydient.workers.network import load_model

from .conftest import execute
from .naive import naive, pairs
from .test_faults import Saboteur, curve

ROWS = 600
CLASS_WEIGHTS = {"kind": [1.0, 2.0, 0.5], "sick": [0.5, 3.0]}
WEIGHTS = {"kind": 1.0, "sick": 0.7, "size": 0.1}
SMOOTHING = 0.1
HEADS = {
    "kind": {
        "units": 3,
        "loss": {"softmax_cross_entropy": {"class_weight": CLASS_WEIGHTS["kind"], "label_smoothing": SMOOTHING}},
        "metrics": ["precision", "recall", "f1", {"top_k": {"k": 2}}],
    },
    "sick": {
        "units": 1,
        "loss": {"binary_cross_entropy": {"class_weight": CLASS_WEIGHTS["sick"]}},
        "metrics": ["auc", "precision", "recall", "f1"],
    },
    "size": {"units": 2, "loss": "mean_squared_error", "metrics": ["r2", "root_mean_squared_error"]},
}


def network(heads, trainable):
    """Layers in sequence up to the heads; `frozen` freezes the pretrained ones."""
    layers = [
        {"dense": {"name": "seen", "units": 24, "activation": "relu", "trainable": trainable}},
        {"batch_normalization": {"name": "fixed", "momentum": 0.9, "trainable": trainable}},
        {
            "dense": {
                "name": "hidden",
                "units": 16,
                "activation": "tanh",
                "kernel_regularizer": {"l1": 1e-4, "l2": 1e-3},
            }
        },
        {"batch_normalization": {"name": "moving", "momentum": 0.9}},
        {"dropout": {"name": "some", "rate": 0.1}},
        *({"dense": {"name": head, "units": HEADS[head]["units"], "inputs": "some"}} for head in heads),
    ]
    if len(heads) == 1:
        return {"layers": layers, **{key: HEADS[heads[0]][key] for key in ("loss", "metrics")}}
    outputs = [
        {"layer": h, "label": h, "weight": WEIGHTS[h], **{key: HEADS[h][key] for key in ("loss", "metrics")}}
        for h in heads
    ]
    return {"layers": layers, "outputs": outputs}


def specification(heads, *, workers=2, initial="", epochs=40):
    labels = {"label": heads[0]} if len(heads) == 1 else {"labels": {head: head for head in heads}}
    return validate_job(
        {
            "dataset": {"uri": "samples.npz", "standardize": True, "sample_weight": "weight", **labels},
            "network": network(heads, trainable=not initial),
            "training": {
                "epochs": epochs,
                "batch_size": 100,
                "microbatches": 5,
                "seed": 3,
                "optimizer": "adam",
                "initial_weights": initial,
            },
            "checkpoints": {"interval_seconds": 1000.0},
            "resources": {"workers": workers},
        }
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Twenty values a sample, on which the labels depend, and a weight of each sample."""
    chance = np.random.default_rng(5)
    kind, sick = chance.integers(0, 3, ROWS), chance.integers(0, 2, ROWS)
    size = chance.normal(size=(ROWS, 2))
    x = chance.normal(size=(ROWS, 20)) + np.eye(3, 20)[kind] + np.outer(sick, np.eye(20)[5])
    x[:, 8:10] += size
    path = tmp_path_factory.mktemp("samples") / "samples.npz"
    arrays = {"x": x.astype(np.float32), "kind": kind, "sick": sick, "size": size, "weight": chance.uniform(0, 2, ROWS)}
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module", params=[("kind", "sick", "size"), ("sick",)], ids="-".join)
def heads(request):
    """Return the names of the outputs."""
    return request.param


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, samples, heads):
    """A folder of jobs with one that has trained all of the network."""
    folder = tmp_path_factory.mktemp("jobs")
    train(specification(heads, epochs=3), samples, directory=folder / "first", report=lambda report: None)
    return folder


@pytest.fixture(scope="module")
def make(samples, heads, jobs):
    """Return the prepared job with this number of workers."""
    return lambda workers: prepare(specification(heads, workers=workers, initial="jobs/first"), samples, jobs=jobs)


@pytest.fixture(scope="module")
def expected(make):
    """The result of the naive loop."""
    return naive(make(1))


@pytest.fixture(scope="module")
def curves():
    """Metrics by epoch of the runs so far, by network."""
    return {}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_weights_and_metrics_are_those_of_the_definition(make, heads, jobs, expected, curves, local, tmp_path, workers):
    prepared, chance = make(workers), random.Random(workers)
    saboteur = Saboteur(local, [(chance.randrange(5, 60), Role.WORKER, chance.randrange(workers))])
    finished = execute(prepared, local, tmp_path, saboteur)
    assert saboteur.done
    assert saboteur.lost("WORKER_LOST") == 1
    assert finished.digest == expected.digest

    epochs = curve(saboteur.reports)
    assert curves.setdefault(heads, epochs) == epochs
    assert [epochs[epoch]["train"] for epoch in sorted(epochs)] == [
        pytest.approx(metrics, rel=1e-9) for metrics in expected.curve
    ]

    model = load_model(tmp_path / "model.safetensors")
    weights, first = (
        {name: view.copy() for name, view in m.network.layout.views(m.weights).items()}
        for m in (model, load_model(jobs / "first" / "model.safetensors"))
    )
    kept = {name for name in weights if weights[name].tobytes() == first[name].tobytes()}
    assert kept == {name for name in weights if name.startswith(("seen.", "fixed."))}
    assert len(kept) == 6
    last = epochs[max(epochs)]["test"]
    values, aucs = measured(heads, weights, prepared.dataset.test)
    assert {name: last[name] for name in values} == pytest.approx(values, rel=1e-4)
    assert last.keys() == values.keys() | aucs.keys()
    assert {name: last[name] for name in aucs} == pytest.approx(aucs, abs=1e-4)


def measured(heads, weights, part):
    """Every value on the held-out part, from the definition of the layers, losses and metrics; and areas
    under curves.
    """
    outputs, total, values, aucs = forward(weights, part.x.astype(float)), 0.0, {}, {}
    for head in heads:
        prefix = f"{head}_" if len(heads) > 1 else ""
        y, t = outputs(head), part.ys[head].astype(float)
        measures, losses = MEASURES[head](y, t)
        measures["loss"] = float(np.mean(losses * part.weights))
        total += WEIGHTS[head] * measures["loss"]
        if head == "sick":
            above, positives, negatives = pairs(y[:, 0], t[:, 0] == 1)
            aucs[f"{prefix}auc"] = above / (2 * positives * negatives)
        values |= {prefix + name: value for name, value in measures.items()}
    return ({"loss": total, **values} if len(heads) > 1 else values), aucs


def forward(weights, x):
    """The outputs of each head."""

    def dense(name, x):
        return x @ weights[f"{name}.kernel"].astype(float) + weights[f"{name}.bias"]

    def normalized(name, x):
        mean, variance, gamma, beta = (
            weights[f"{name}.{part}"].astype(float) for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    seen = normalized("fixed", np.maximum(dense("seen", x), 0))
    hidden = normalized("moving", np.tanh(dense("hidden", seen)))
    return lambda head: dense(head, hidden)


def counts(predicted, true, classes):
    """Return the means over classes of precision, recall and F1, by counting."""
    each = {"precision": [], "recall": [], "f1": []}
    for k in classes:
        hits = sum(p == t == k for p, t in zip(predicted, true, strict=True))
        taken, there = list(predicted).count(k), list(true).count(k)
        each["precision"].append(hits / taken if taken else 0.0)
        each["recall"].append(hits / there if there else 0.0)
        each["f1"].append(2 * hits / (taken + there) if taken + there else 0.0)
    return {name: sum(values) / len(values) for name, values in each.items()}


def kind_measures(y, t):
    true, order = t.astype(int), np.argsort(-y, axis=1)
    log = y - np.log(np.exp(y).sum(axis=1, keepdims=True))
    target = (1 - SMOOTHING) * np.eye(3)[true] + SMOOTHING / 3
    losses = -(target * log).sum(axis=1) * np.array(CLASS_WEIGHTS["kind"])[true]
    top_2 = np.mean([k in row for k, row in zip(true, order[:, :2], strict=True)])
    accuracy = np.mean(order[:, 0] == true)
    macro = {f"macro_{name}": value for name, value in counts(order[:, 0], true, range(3)).items()}
    return {**macro, "top_2": float(top_2), "accuracy": float(accuracy)}, losses


def sick_measures(y, t):
    y, true = y[:, 0], t[:, 0].astype(int)
    probability = 1 / (1 + np.exp(-y))
    losses = -np.log(np.where(true, probability, 1 - probability)) * np.array(CLASS_WEIGHTS["sick"])[true]
    return {**counts((y > 0).astype(int), true, [1]), "accuracy": float(np.mean((y > 0) == true))}, losses


def size_measures(y, t):
    errors, spread = y - t, t - t.mean(axis=0)
    r2 = 1 - (errors**2).sum(axis=0) / (spread**2).sum(axis=0)
    values = {
        "mean_absolute_error": np.abs(errors).mean(),
        "root_mean_squared_error": np.sqrt((errors**2).mean()),
        "r2": r2.mean(),
    }
    return {name: float(value) for name, value in values.items()}, (errors**2).mean(axis=1)


MEASURES = {"kind": kind_measures, "sick": sick_measures, "size": size_measures}
