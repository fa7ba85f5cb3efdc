"""Compute the weights of `optimizer_cases` with Keras or PyTorch, for `test_optimizers.py`, in float64.

    KERAS_BACKEND=jax JAX_ENABLE_X64=1 python -m tests.parameters.optimizer_figures keras  # pip install keras jax
    python -m tests.parameters.optimizer_figures torch                                     # pip install torch

writes `figures/optimizers-keras.json` or `figures/optimizers-torch.json` beside this file: versions, defaults of Keras,
and by optimizer and function the weights after each step.
"""

import json
import sys
from importlib.metadata import version
from inspect import signature
from pathlib import Path

import numpy as np

from .optimizer_cases import CASES, FUNCTIONS, KERAS_LACKS, STEPS, TORCH_LACKS

FOLDER = Path(__file__).parent / "figures"
KERAS = {
    "sgd": "SGD", "adagrad": "Adagrad", "adadelta": "Adadelta", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW",
    "adamax": "Adamax", "nadam": "Nadam", "lion": "Lion", "ftrl": "Ftrl", "lamb": "Lamb",
}  # fmt: skip
COMMON = ("use_ema", "ema_momentum")
"""Settings of every optimizer in Keras, which are no settings of the optimizer here."""
TORCH = {
    "sgd": "SGD", "adagrad": "Adagrad", "adadelta": "Adadelta", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW",
    "adamax": "Adamax", "nadam": "NAdam",
}  # fmt: skip
TORCH_NAMES = {"learning_rate": "lr", "epsilon": "eps"}
"""Names of settings in PyTorch where they differ; for RMSprop also `rho`."""


def keras_weights(kind, settings, gradient, start):
    import keras

    keras.config.set_floatx("float64")
    optimizer = getattr(keras.optimizers, KERAS[kind])(**settings)
    weights = keras.Variable(np.array(start), dtype="float64")
    optimizer.build([weights])
    for step in range(STEPS):
        g = gradient(keras.ops.convert_to_numpy(weights), step)
        optimizer.apply([keras.ops.convert_to_tensor(g, dtype="float64")], [weights])
        yield keras.ops.convert_to_numpy(weights)


def keras_defaults():
    """Return the defaults of each optimizer that are numbers or truth values, by its option and the setting."""
    import keras

    return {
        kind: {
            setting: parameter.default
            for setting, parameter in signature(getattr(keras.optimizers, name)).parameters.items()
            if isinstance(parameter.default, bool | int | float) and setting not in COMMON
        }
        for kind, name in KERAS.items()
    }


def torch_weights(kind, settings, gradient, start):
    import torch

    options = {TORCH_NAMES.get(name, name): value for name, value in settings.items()}
    if "beta_1" in options:
        options["betas"] = options.pop("beta_1"), options.pop("beta_2")
    if kind == "rmsprop":
        options["alpha"] = options.pop("rho")
    if kind == "nadam":
        options["momentum_decay"] = 1.0  # 0.96^t as in Keras, not 0.96^(t / 250)
    weights = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, TORCH[kind])([weights], **options)
    for step in range(STEPS):
        weights.grad = torch.from_numpy(np.asarray(gradient(weights.detach().numpy().copy(), step), np.float64))
        optimizer.step()
        yield weights.detach().numpy().copy()


PROGRAMS = {
    "keras": ("KERAS_BACKEND=jax JAX_ENABLE_X64=1 ", ("keras", "jax", "numpy"), KERAS_LACKS, keras_weights),
    "torch": ("", ("torch", "numpy"), TORCH_LACKS, torch_weights),
}
"""By name: environment of the command, packages, cases to leave out, and the function that computes the weights."""


def main(program):
    environment, packages, lacks, compute = PROGRAMS[program]
    figures = {
        case: {
            function: [[float(f"{w:.9g}") for w in row] for row in compute(kind, settings, gradient, start)]
            for function, (gradient, start) in FUNCTIONS.items()
        }
        for case, (kind, settings) in CASES.items()
        if case not in lacks
    }
    lines = [
        f'"command": "{environment}python -m tests.parameters.optimizer_figures {program}"',
        f'"versions": {json.dumps({name: version(name) for name in packages})}',
    ]
    if program == "keras":
        rows = [f'  "{kind}": {json.dumps(settings)}' for kind, settings in keras_defaults().items()]
        lines.append('"defaults": {\n' + ",\n".join(rows) + "\n }")
    for case, by_function in figures.items():
        rows = ",\n".join(f'  "{function}": {json.dumps(rows)}' for function, rows in by_function.items())
        lines.append(f'"{case}": {{\n{rows}\n }}')
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"optimizers-{program}.json").write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
