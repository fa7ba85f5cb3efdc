"""Optimizers with settings, and functions to minimize. The table of `test_optimizers.py` and `optimizer_figures.py`.

Imports NumPy alone, because the figures are computed in environments without this project.
"""

import numpy as np

STEPS = 12

CASES = {
    "sgd": ("sgd", {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False}),
    "momentum": ("sgd", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": False}),
    "nesterov": ("sgd", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    "adagrad": ("adagrad", {"learning_rate": 0.3, "initial_accumulator_value": 0.1, "epsilon": 1e-7}),
    "adagrad from zero": ("adagrad", {"learning_rate": 0.3, "initial_accumulator_value": 0.0, "epsilon": 1e-7}),
    "rowwise adagrad": (
        "rowwise_adagrad",
        {"learning_rate": 0.3, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
    ),
    "adadelta": ("adadelta", {"learning_rate": 1.0, "rho": 0.95, "epsilon": 1e-3}),
    "rmsprop": ("rmsprop", {"learning_rate": 0.05, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False}),
    "rmsprop, momentum": (
        "rmsprop",
        {"learning_rate": 0.02, "rho": 0.8, "momentum": 0.7, "epsilon": 1e-7, "centered": False},
    ),
    "rmsprop, centered": (
        "rmsprop",
        {"learning_rate": 0.02, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": True},
    ),
    "rmsprop, centered, momentum": (
        "rmsprop",
        {"learning_rate": 0.01, "rho": 0.9, "momentum": 0.5, "epsilon": 1e-7, "centered": True},
    ),
    "adam": ("adam", {"learning_rate": 0.02, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False}),
    "adam, no memory": (
        "adam",
        {"learning_rate": 0.1, "beta_1": 0.0, "beta_2": 0.0, "epsilon": 1e-3, "amsgrad": False},
    ),
    "amsgrad": ("adam", {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.7, "epsilon": 1e-7, "amsgrad": True}),
    "adamw": (
        "adamw",
        {
            "learning_rate": 0.05,
            "beta_1": 0.9,
            "beta_2": 0.99,
            "epsilon": 1e-7,
            "amsgrad": False,
            "weight_decay": 0.1,
        },
    ),
    "adamax": ("adamax", {"learning_rate": 0.05, "beta_1": 0.9, "beta_2": 0.9, "epsilon": 1e-7}),
    "nadam": ("nadam", {"learning_rate": 0.05, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}),
    "lion": ("lion", {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.99}),
    "lamb": ("lamb", {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7, "weight_decay": 0.0}),
    "lamb, decay": (
        "lamb",
        {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.999, "epsilon": 1e-4, "weight_decay": 0.3},
    ),
    "lars": ("lars", {"learning_rate": 0.5, "momentum": 0.9, "trust_coefficient": 0.1, "weight_decay": 0.0}),
    "lars, decay": ("lars", {"learning_rate": 2.0, "momentum": 0.5, "trust_coefficient": 0.05, "weight_decay": 0.2}),
    "ftrl": (
        "ftrl",
        {
            "learning_rate": 0.3,
            "initial_accumulator_value": 0.1,
            "l1_regularization_strength": 0.0,
            "l2_regularization_strength": 0.0,
            "l2_shrinkage_regularization_strength": 0.0,
            "beta": 0.0,
        },
    ),
    "ftrl, penalties": (
        "ftrl",
        {
            "learning_rate": 0.2,
            "initial_accumulator_value": 0.05,
            "l1_regularization_strength": 0.3,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.02,
            "beta": 0.5,
        },
    ),
}
"""By name: the option of the specification, and all its settings."""

KERAS_LACKS = {"rowwise adagrad", "lamb, decay", "lars", "lars, decay"}
TORCH_LACKS = {name for name, (kind, _) in CASES.items() if kind in ("rowwise_adagrad", "lion", "ftrl", "lamb", "lars")}
"""Cases without figures, because the program does not have the rule."""


def quadratic(w, step):
    """Return the gradient of a bowl whose sides differ in steepness."""
    return np.array([0.2, 1.0, 2.5]) * (w - np.array([1.5, -0.5, 0.25]))


def rosenbrock(w, step):
    """Return the gradient of ((1 - x)^2 + 100 (y - x^2)^2) / 100 (Rosenbrock 1960)."""
    x, y = w
    return np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]) / 100


def noisy(w, step):
    """Return the gradient of a bowl plus normal noise, other noise in each step."""
    return w - 1 + np.random.default_rng((7, step)).normal(size=len(w))


def sparse(w, step):
    """Return the gradient of a bowl by one weight in three; the gradients by the others are 0."""
    return np.where((np.arange(len(w)) + step) % 3 == 0, w - 2, 0)


FUNCTIONS = {
    "quadratic": (quadratic, [-1.0, 1.0, 2.0]),
    "rosenbrock": (rosenbrock, [-1.2, 1.0]),
    "noisy": (noisy, [0.5, -1.5, 3.0]),
    "sparse": (sparse, [0.5, -0.25, 1.0, 3.0]),
}
"""By name: the gradient at a place in a step, counted from 0, and the place to begin at."""
