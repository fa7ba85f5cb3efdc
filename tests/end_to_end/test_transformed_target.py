"""A linear regression on standardized labels, compared with the same steps in float64 on labels of its own scale."""

import numpy as np
import pandas as pd
import pytest

from raydient.client import train

ROWS, EPOCHS, RATE = 60, 12, 0.2


def twin(x, y):
    """Return the predictions of scikit-learn's TransformedTargetRegressor with a StandardScaler, as a function.

    It scales the labels, fits a linear regression, in this case by gradient descent, and scales predictions back.
    """
    mean, deviation = y.mean(), y.std()
    weights, bias = np.zeros(x.shape[1]), 0.0
    for _ in range(EPOCHS):
        errors = x @ weights + bias - (y - mean) / deviation
        weights, bias = weights - RATE * 2 * x.T @ errors / len(x), bias - RATE * 2 * errors.mean()
    return lambda samples: (samples @ weights + bias) * deviation + mean


def test_predictions_and_metrics_are_those_of_a_transformed_target():
    chance = np.random.default_rng(8)
    x = chance.normal(size=(ROWS, 2))
    table = pd.DataFrame(
        {"a": x[:, 0], "b": x[:, 1], "y": 3e5 + 4e4 * (x[:, 0] - x[:, 1]) + 5e3 * chance.normal(size=ROWS)}
    )
    batch = round(ROWS * 0.8)
    job = {
        "dataset": {"standardize_label": True},
        "network": {
            "layers": [{"dense": {"units": 1, "kernel_initializer": "zeros"}}],
            "loss": "mean_squared_error",
            "metrics": ["root_mean_squared_error"],
        },
        "training": {"epochs": EPOCHS, "batch_size": batch, "optimizer": {"sgd": {"learning_rate": RATE}}},
        "resources": {"workers": 1},
    }
    result = train(job, table, progress=False)
    held_out = table.iloc[result.held_out]
    training = table.drop(index=result.held_out)
    expected = twin(training[["a", "b"]].to_numpy(), training.y.to_numpy())(held_out[["a", "b"]].to_numpy())
    np.testing.assert_allclose(result.model.predict(held_out[["a", "b"]]).outputs[:, 0], expected, rtol=1e-5)
    errors = expected - held_out.y.to_numpy()
    for name, value in (
        ("loss", (errors**2).mean() / training.y.var(ddof=0)),
        ("mean_absolute_error", np.abs(errors).mean()),
        ("root_mean_squared_error", np.sqrt((errors**2).mean())),
    ):
        assert result.history.curve(name, "test")[1][-1] == pytest.approx(value, rel=1e-4)
        assert result.model.evaluate(held_out).metrics[name] == pytest.approx(value, rel=1e-4)
