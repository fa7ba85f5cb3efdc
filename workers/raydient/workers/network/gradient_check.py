"""Backpropagation against the difference quotient: the one check that every layer, activation and loss must pass."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raydient.workers.streams import Purpose, stream

from .graph import Network
from .program import Program

STEP = 1e-5
"""Half the distance between the two points of the quotient: the cube root of float64's precision, about."""

TOLERANCE = 1e-6
"""Largest relative error of a correct derivative; wrong ones miss it by orders of magnitude."""


@dataclass(frozen=True, slots=True)
class ParameterCheck:
    """What the check found for one parameter.

    Attributes:
        name: `{layer}.{parameter}`.
        entries: how many of its values were checked.
        largest_error: largest relative error among them.
        place: index of that value within the parameter.
        backward, quotient: the two derivatives there.
    """

    name: str
    entries: int
    largest_error: float
    place: tuple[int, ...]
    backward: float
    quotient: float

    @property
    def passed(self) -> bool:
        return self.largest_error <= TOLERANCE  # false for NaN


@dataclass(frozen=True, slots=True)
class GradientReport:
    """The check of a network, parameter by parameter, in the order of the layout."""

    parameters: tuple[ParameterCheck, ...]

    @property
    def largest_error(self) -> float:
        return max(p.largest_error for p in self.parameters)

    @property
    def passed(self) -> bool:
        return all(p.passed for p in self.parameters)


def random_batch(network: Network, seed: int, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Samples (rows, *input shape) and labels (rows, *label shape) for a check where there are no data."""
    generator = stream(Purpose.GRADIENT_CHECK, seed, "batch")
    x = generator.standard_normal((rows, *network.input_shape))
    return x, network.loss.random_labels(generator, rows, network.output_shape)


def check_gradients(
    network: Network,
    x: NDArray[np.number],
    y: NDArray[np.number],
    seed: int,
    *,
    entries_per_parameter: int = 64,
) -> GradientReport:
    """Compare backward's gradient of the mean loss with (L(w + h) - L(w - h)) / 2h, in float64.

    The weights are the initial ones and a little noise: biases of exactly 0 would put units that get no input on the
    kink of ReLU, where there is no derivative.

    Args:
        x: a few samples, (rows, *input shape), standardized or so: the quotient suffers from large values.
        y: their labels, (rows, *label shape).
        seed: of weights, noise and the choice of entries.
        entries_per_parameter: values checked of a larger parameter, drawn by seed; smaller ones are checked whole.
    """
    program = Program(network, len(x), np.float64)
    program.x[...], program.y[...] = x, y
    vector = _weights(network, seed)
    weights, scale = network.bind(vector), 1 / len(x)
    gradient = np.full(vector.shape, np.nan)  # what backward fails to write is not mistaken for a zero

    loss = scale * program.forward(weights)[0]
    program.backward(weights, network.bind(gradient), scale)
    # Below this a derivative drowns in the quotient's rounding errors, which are about precision · loss / STEP.
    resolution = 1e7 * np.finfo(np.float64).eps * (1 + abs(loss))

    def quotient(i: int) -> float:
        value = vector[i]
        vector[i] = value + STEP
        above = program.forward(weights)[0]
        vector[i] = value - STEP
        below = program.forward(weights)[0]
        vector[i] = value
        return float(scale * (above - below) / (2 * STEP))

    checks = []
    for p in network.layout.parameters:
        places = np.arange(p.size)
        if p.size > entries_per_parameter:
            generator = stream(Purpose.GRADIENT_CHECK, seed, "entries", p.name)
            places = np.sort(generator.choice(p.size, entries_per_parameter, replace=False))
        backward = gradient[p.offset + places]
        numeric = np.array([quotient(p.offset + int(i)) for i in places])
        size = np.maximum(np.maximum(np.abs(backward), np.abs(numeric)), resolution)
        errors = np.abs(backward - numeric) / size
        worst = int(np.argmax(errors))  # the first NaN, if there is one
        place = tuple(int(i) for i in np.unravel_index(places[worst], p.shape))
        found = (float(errors[worst]), place, float(backward[worst]), float(numeric[worst]))
        checks.append(ParameterCheck(p.name, len(places), *found))
    return GradientReport(tuple(checks))


def _weights(network: Network, seed: int) -> NDArray[np.float64]:
    initial = np.empty(network.layout.size, np.float32)
    network.initialize(seed, initial)
    noise = stream(Purpose.GRADIENT_CHECK, seed, "noise").uniform(-0.1, 0.1, initial.shape)
    return initial + noise
