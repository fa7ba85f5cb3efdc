"""Write `keras_figures.json`, losses and weights that Keras computes, which `test_keras_figures.py` compares.

    KERAS_BACKEND=torch python tests/network/peers/keras_figures.py

needs Keras and PyTorch; Keras 3.15 and PyTorch 2.13 (CPU) wrote the file. Each case trains from the flat vector of
weights of the network of the same name, by gradient descent in float64, with Keras's own losses and layers and
PyTorch's derivatives of them. The functions of losses are called, because their classes compute in float32.
"""

import json
from pathlib import Path

import keras
import torch
from torch_figures import ROWS, dense, take, trajectory, wave, whole

keras.config.set_floatx("float64")


def one_hot(classes, *shape):
    return torch.nn.functional.one_hot(whole(classes, *shape), classes).double()


def kl_divergence(weights):
    """Labels are probabilities, (i + 1) / 6 in another order for each sample."""
    labels = torch.stack([torch.roll(torch.arange(1.0, 4, dtype=torch.float64) / 6, n) for n in range(ROWS)])
    probabilities = torch.softmax(dense(weights, wave(ROWS, 2), 3), dim=-1)
    return keras.losses.kl_divergence(labels, probabilities).mean()


def categorical_focal(weights):
    y = dense(weights, wave(ROWS, 2), 3)
    return keras.losses.categorical_focal_crossentropy(one_hot(3, ROWS), y, gamma=1.5, from_logits=True).mean()


def activity(weights):
    """Regularizers of the outputs of two layers; they are no part of the reported loss.

    Keras computes dense layers and means in float32, convolutions in float64.
    """
    layers = [
        keras.Input((3, 2)),
        keras.layers.Conv1D(2, 2, activation="tanh", activity_regularizer=keras.regularizers.L1L2(0.1, 0.2)),
        keras.layers.Conv1D(2, 2, activity_regularizer=keras.regularizers.L2(0.05)),
        keras.layers.Flatten(),
    ]
    parameters = take(weights, *[(2, 2, 2), (2,)] * 2)
    y, _, losses = keras.Sequential(layers).stateless_call(parameters, [], wave(ROWS, 3, 2), return_losses=True)
    penalty = sum(losses)
    return torch.nn.functional.mse_loss(y, wave(ROWS, 2, phase=1.0)) + (penalty - penalty.detach())


CASES = {
    "activity": (activity, 20),
    "kl_divergence": (kl_divergence, 9),
    "categorical_focal": (categorical_focal, 9),
}

if __name__ == "__main__":
    figures = {name: trajectory(*case) for name, case in CASES.items()}
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
