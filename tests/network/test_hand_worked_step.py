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
"""

import numpy as np
import pytest

from raydient.workers.network import Program


def test_chain_of_two_logistic_neurons(make_network):
    neuron = {"dense": {"units": 1, "activation": "sigmoid"}}
    network = make_network([neuron, neuron], "sum_squared_error", (1,))
    assert [p.name for p in network.layout.parameters] == [
        "dense_1.kernel",
        "dense_1.bias",
        "dense_2.kernel",
        "dense_2.bias",
    ]
    vector, gradient = np.array([0.8, -0.2, -1.5, 0.5]), np.empty(4)
    weights, gradients = network.bind(vector), network.bind(gradient)
    program = Program(network, 1, np.float64)
    program.x[...], program.y[...] = 1.5, 1.0

    loss, absolute_error = program.forward(weights)
    assert program.outputs[0].item() == pytest.approx(0.731059, abs=1e-6)
    assert program.outputs[1].item() == pytest.approx(0.355125, abs=1e-6)
    assert loss == pytest.approx(0.415864, abs=1e-6)
    assert absolute_error == pytest.approx(1 - 0.355125, abs=1e-6)

    program.backward(weights, gradients, 1.0)
    assert gradient == pytest.approx([0.130664, 0.087109, -0.215931, -0.295367], abs=1e-6)

    vector -= 2 * gradient
    assert vector == pytest.approx([0.538673, -0.374218, -1.068138, 1.090735], abs=1e-6)
    assert program.forward(weights)[0] == pytest.approx(0.152974, abs=1e-6)
