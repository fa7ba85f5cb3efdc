"""One step of gradient descent worked by hand: a chain of two logistic neurons under squared error.

    x = 1.5 ── w₁ = 0.8, b₁ = -0.2 ──▶ a₁ = σ(z₁) ── w₂ = -1.5, b₂ = 0.5 ──▶ a₂ = σ(z₂),   L = (a₂ - t)²,  t = 1

Forward:
    z₁ = 0.8 · 1.5 - 0.2               =  1.000000
    a₁ = 1 / (1 + e^-1)                =  0.731059
    z₂ = -1.5 · 0.731059 + 0.5         = -0.596588
    a₂ = 1 / (1 + e^0.596588)          =  0.355125
    L  = (0.355125 - 1)²               =  0.415864

Backward, each line the chain rule applied once:
    dL/da₂ = 2 (a₂ - 1)                = -1.289750
    dL/dz₂ = dL/da₂ · a₂ (1 - a₂)      = -1.289750 · 0.229011 = -0.295367
    dL/dw₂ = dL/dz₂ · a₁               = -0.215931
    dL/db₂ = dL/dz₂                    = -0.295367
    dL/da₁ = dL/dz₂ · w₂               =  0.443051
    dL/dz₁ = dL/da₁ · a₁ (1 - a₁)      =  0.443051 · 0.196612 =  0.087109
    dL/dw₁ = dL/dz₁ · x                =  0.130664
    dL/db₁ = dL/dz₁                    =  0.087109

A step with learning rate 2, w₁ = 0.8 - 2 · 0.130664 and so on, and forward again:
    w₁, b₁, w₂, b₂                     =  0.538673, -0.374218, -1.068138, 1.090735
    a₁ = σ(0.538673 · 1.5 - 0.374218)  =  0.606779
    a₂ = σ(-1.068138 · a₁ + 1.090735)  =  0.608881
    L  = (0.608881 - 1)²               =  0.152974

docs/backpropagation.md tells the same to readers.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from raydient.server.parameters.optimizers import Sgd
from raydient.workers.network import Program
from raydient.workers.network.layers import Buffers, Pass

PAGE = Path(__file__).parents[2] / "docs" / "backpropagation.md"

X, T, RATE = 1.5, 1.0, 2.0
WEIGHTS = [0.8, -0.2, -1.5, 0.5]
FORWARD = {"z₁": 1.0, "a₁": 0.731059, "z₂": -0.596588, "a₂": 0.355125}
LOSS = 0.415864
BACKWARD = {"∂L/∂a₂": -1.28975, "∂L/∂z₂": -0.295367, "∂L/∂a₁": 0.443051, "∂L/∂z₁": 0.087109}
"""Derivatives by the output of each layer, from the last to the first."""
GRADIENT = {"∂L/∂w₁": 0.130664, "∂L/∂b₁": 0.087109, "∂L/∂w₂": -0.215931, "∂L/∂b₂": -0.295367}
UPDATED = [0.538673, -0.374218, -1.068138, 1.090735]
FORWARD_AGAIN = [0.606779, 0.608881]
LOSS_AGAIN = 0.152974


def near(values):
    return pytest.approx(values, abs=1e-6)


def test_chain_of_two_logistic_neurons(make_network):
    """The step as in training."""
    neuron = {"dense": {"units": 1, "activation": "sigmoid"}}
    network = make_network([neuron, neuron], "sum_squared_error", (1,))
    assert [p.name for p in network.layout.parameters] == [
        "dense_1.kernel",
        "dense_1.bias",
        "dense_2.kernel",
        "dense_2.bias",
    ]
    vector, gradient = np.array(WEIGHTS), np.empty(4)
    weights, gradients = network.bind(vector), network.bind(gradient)
    program = Program(network, 1, np.float64)
    program.x[...], program.y[...] = X, T

    loss, absolute_error = program.forward(weights)
    assert [y.item() for y in program.outputs] == near([FORWARD["a₁"], FORWARD["a₂"]])
    assert loss == near(LOSS)
    assert absolute_error == near(1 - FORWARD["a₂"])

    program.backward(weights, gradients, 1.0)
    assert gradient == near(list(GRADIENT.values()))

    Sgd().update(0, vector, gradient, (), (np.empty(4), np.empty(4)), rate=RATE)
    assert vector == near(UPDATED)
    assert program.forward(weights)[0] == near(LOSS_AGAIN)
    assert [y.item() for y in program.outputs] == near(FORWARD_AGAIN)


def test_number_by_number(make_network):
    """The same step with z and a in separate layers, which are called one by one."""
    layers = [{"dense": {"units": 1}}, {"activation": {"function": "sigmoid"}}] * 2
    network = make_network(layers, "sum_squared_error", (1,))
    gradient = np.empty(4)
    weights, gradients = network.bind(np.array(WEIGHTS)), network.bind(gradient)
    values = [np.full((1, 1), X), *(np.empty((1, 1)) for _ in layers)]
    slopes = [np.empty((1, 1)) for _ in values]
    for place in (1, 3):
        slopes[place] = slopes[place + 1]  # an activation makes ∂L/∂z of ∂L/∂a where that lies
    buffers = [
        Buffers((values[n],), values[n + 1], slopes[n + 1], (slopes[n],), np.empty((1, 1))) for n in range(len(layers))
    ]

    for n, expected in enumerate(FORWARD.values()):
        network.layers[n].forward(buffers[n], weights[n], Pass(training=True))
        assert values[n + 1].item() == near(expected)
    loss = network.output.loss(None, values[-1], slopes[-1], np.empty((1, 1)))
    loss.labels[...] = T
    loss.forward()
    assert loss.sums[0] == near(LOSS)

    loss.backward(1.0)
    for n, expected in zip(reversed(range(len(layers))), BACKWARD.values(), strict=True):
        assert slopes[n + 1].item() == near(expected)
        network.layers[n].backward(buffers[n], weights[n], gradients[n])
    assert gradient == near(list(GRADIENT.values()))


def test_the_page_has_these_numbers():
    rows = re.findall(r"^\| \$(.+?)\$ \|.*\| (-?[\d.]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    numbers = {name.translate(str.maketrans("", "", r"{} ")): float(value) for name, value in rows}
    as_written = str.maketrans({"₁": "_1", "₂": "_2", "∂": r"\partial"})
    names = {name.translate(as_written): value for name, value in (FORWARD | {"L": LOSS} | BACKWARD | GRADIENT).items()}
    assert numbers == names | dict(zip(("w_1'", "b_1'", "w_2'", "b_2'"), UPDATED, strict=True)) | {"L'": LOSS_AGAIN}
