"""Write `scikit_figures.json`, metrics that scikit-learn computes, which `test_metrics.py` compares.

    python tests/network/peers/scikit_figures.py

needs scikit-learn alone; 1.9 wrote the file.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_fscore_support


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


if __name__ == "__main__":
    figures = {
        "averages": [averages(average) for average in ("macro", "micro", "weighted")],
        "precisions": [precision(20_000, positives) for positives in (1, 20, 10_000, 19_990)],
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
