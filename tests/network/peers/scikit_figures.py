"""Write `scikit_figures.json`, metrics that scikit-learn computes, which `test_metrics.py` and `test_metric_edges.py`
compare.

    python tests/network/peers/scikit_figures.py

needs scikit-learn alone; 1.9 wrote the file.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    root_mean_squared_error,
)


def averages(average):
    """Metrics of 40 predictions of six classes, of which 5 does not occur and 4 is not predicted."""
    rng = np.random.default_rng(3)
    true, predicted = rng.integers(0, 5, 40), rng.integers(0, 4, 40)
    values = precision_recall_fscore_support(true, predicted, average=average, zero_division=0)[:3]
    return {
        "average": average,
        "true": true.tolist(),
        "predicted": predicted.tolist(),
        "values": list(map(float, values)),
    }


def precision(rows, positives):
    """Average precision of scores with ties."""
    rng = np.random.default_rng(5)
    labels = np.zeros(rows)
    labels[:positives] = 1
    outputs = np.round(rng.standard_normal(rows) + labels, 2).astype(np.float32)
    return {"rows": rows, "positives": positives, "value": float(average_precision_score(labels, outputs))}


def two_classes(rows, positives):
    """Metrics of logits with ties of `rows` rows, of which `positives` are of class 1."""
    rng = np.random.default_rng(17)
    labels = np.zeros(rows, np.int64)
    labels[:positives] = 1
    logits = np.round(rng.standard_normal(rows) + labels - 1, 2).astype(np.float32)
    probability = 1 / (1 + np.exp(-logits.astype(float)))
    averages = {
        average: precision_recall_fscore_support(labels, logits > 0, average=average, zero_division=0)[2]
        for average in ("binary", "macro", "micro", "weighted")
    }
    values = {f"{name}_f1": float(value) for name, value in averages.items()}
    values["f1"] = values.pop("binary_f1")
    values["auc"] = float(roc_auc_score(labels, logits)) if 0 < positives < rows else 0.5
    values["average_precision"] = float(average_precision_score(labels, logits)) if positives else 0.0
    values["log_loss"] = float(log_loss(labels, probability, labels=[0, 1]))
    return {"rows": rows, "positives": positives, "values": values}


def several_labels():
    """Metrics of 5,000 rows with four labels that do not exclude each other, of 1, 50, 2,500 and 4,990 rows."""
    rng = np.random.default_rng(19)
    labels = np.zeros((5_000, 4), np.int64)
    for column, count in enumerate((1, 50, 2_500, 4_990)):
        labels[rng.choice(5_000, count, replace=False), column] = 1
    logits = np.round(rng.standard_normal(labels.shape) + labels, 1).astype(np.float32)
    return {
        "macro_auc": float(roc_auc_score(labels, logits, average="macro")),
        "macro_average_precision": float(average_precision_score(labels, logits, average="macro")),
    }


def two_numbers():
    """Roots of squared errors of two outputs of unlike sizes."""
    rng = np.random.default_rng(23)
    labels = rng.standard_normal((100, 2)) * [1, 10]
    outputs = labels + rng.standard_normal((100, 2)) * [0.1, 3]
    return {
        "of_each": root_mean_squared_error(labels, outputs, multioutput="raw_values").tolist(),
        "mean_of_roots": float(root_mean_squared_error(labels, outputs)),
        "root_of_all": float(root_mean_squared_error(labels.ravel(), outputs.ravel())),
    }


if __name__ == "__main__":
    figures = {
        "averages": [averages(average) for average in ("macro", "micro", "weighted")],
        "precisions": [precision(20_000, positives) for positives in (1, 20, 10_000, 19_990)],
        "two_classes": [two_classes(53_940, 22), *(two_classes(5_000, n) for n in (0, 1, 2_500, 4_999, 5_000))],
        "several_labels": several_labels(),
        "two_numbers": two_numbers(),
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
