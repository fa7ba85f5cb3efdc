"""Backpropagation against the difference quotient: the one check that every layer, activation and loss must pass."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.workers.streams import Purpose, stream

from .graph import Network
from .indices import index_limits
from .layers import Pass
from .named import by_name, only
from .program import Program

STEP = 1e-5
"""Half the distance between the two points of the quotient: about the cube root of float64's precision."""

TOLERANCE = 1e-6
"""Largest relative error of a correct derivative; wrong ones miss it by orders of magnitude."""


Arrays = Mapping[str, NDArray[Any]]

TRAINING = Pass(training=True)
"""Some pass of training, always the same one: what is random does not change between two points."""


@dataclass(frozen=True, slots=True)
class ParameterCheck:
    """What the check found for one parameter.

    Attributes:
        name: `{layer}.{parameter}`.
        entries: how many of its values were checked; the others were not drawn, or had a kink too near.
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
    """The check of a network, by parameter that is learned, in the order of the layout."""

    parameters: tuple[ParameterCheck, ...]

    @property
    def largest_error(self) -> float:
        return max(p.largest_error for p in self.parameters)

    @property
    def passed(self) -> bool:
        return all(p.passed for p in self.parameters)


def random_batch(network: Network, seed: int, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Samples (rows, *input shape) and labels (rows, *label shape) for a check where there are no data.

    Of a network of one input and one output; of others `random_batches` makes them by name.
    """
    xs, ys = random_batches(network, seed, rows)
    return only(xs), only(ys)


def random_batches(network: Network, seed: int, rows: int) -> tuple[Arrays, Arrays]:
    """Samples of every input and labels of every output, by name."""
    generator = stream(Purpose.GRADIENT_CHECK, seed, "batch")
    limits, xs = index_limits(network), {}
    for name, shape in network.input_shapes.items():
        xs[name] = generator.standard_normal((rows, *shape))
        if name in limits:
            xs[name] = generator.integers(0, limits[name], (rows, *shape)).astype(np.float64)
    return xs, {o.name: o.loss.random_labels(generator, rows, o.shape) for o in network.outputs}


def check_gradients(
    network: Network,
    x: NDArray[np.number] | Arrays,
    y: NDArray[np.number] | Arrays,
    seed: int,
    *,
    entries_per_parameter: int = 64,
) -> GradientReport:
    """Compare backward's gradient of the mean loss with (L(w + h) - L(w - h)) / 2h, in float64.

    The weights are the initial ones and a little noise: biases of exactly 0 would put units that get no input on the
    kink of ReLU, where there is no derivative. A value is left out if between its two points any unit's output changes
    its sign, because a kink there spoils the quotient.

    Args:
        x: a few samples, (rows, *input shape), standardized or so: the quotient suffers from large values. Of several
            inputs by name.
        y: their labels, (rows, *label shape). Of several outputs by name.
        seed: of weights, noise and the choice of entries.
        entries_per_parameter: values checked of a larger parameter, drawn by seed; smaller ones are checked whole.
    """
    xs, ys = by_name(x, network.input_shapes), by_name(y, [output.name for output in network.outputs])
    program = Program(network, len(next(iter(xs.values()))), np.float64)
    for name, samples in xs.items():
        program.xs[name][...] = samples
    for name, labels in ys.items():
        program.ys[name][...] = labels
    vector = _weights(network, seed)
    point = _Point(program, vector)
    gradient = np.full(vector.shape, np.nan)  # what backward fails to write is not mistaken for a zero
    loss = point.loss()
    program.backward(point.weights, network.bind(gradient), 1 / program.rows)
    # The quotient's rounding errors are a few times precision · loss / STEP; smaller derivatives are not resolved.
    resolution = 10 / TOLERANCE * np.finfo(np.float64).eps * (1 + abs(loss)) / STEP

    checks = []
    for p in network.layout.parameters:
        if p.momentum is not None:
            continue  # a statistic stands there, no derivative
        places = np.arange(p.size)
        if p.size > entries_per_parameter:
            generator = stream(Purpose.GRADIENT_CHECK, seed, "entries", p.name)
            places = np.sort(generator.choice(p.size, entries_per_parameter, replace=False))
        worst, entries = ParameterCheck(p.name, 0, math.nan, (), math.nan, math.nan), 0
        for place in places:
            numeric = point.quotient(p.offset + int(place))
            if numeric is None:
                continue
            entries += 1
            backward = float(gradient[p.offset + place])
            error = abs(backward - numeric) / max(abs(backward), abs(numeric), resolution)
            if entries == 1 or not error <= worst.largest_error:  # NaN is the worst
                index = tuple(int(i) for i in np.unravel_index(place, p.shape))
                worst = ParameterCheck(p.name, entries, error, index, backward, numeric)
        checks.append(replace(worst, entries=entries))
    return GradientReport(tuple(checks))


class _Point:
    """The mean loss of a program's batch as a function of its weights."""

    def __init__(self, program: Program, vector: NDArray[np.float64]) -> None:
        self.program, self.vector = program, vector
        self.weights = program.network.bind(vector)

    def loss(self) -> float:
        return float(self.program.forward(self.weights, TRAINING)[0]) / self.program.rows

    def quotient(self, i: int) -> float | None:
        """The difference quotient by value `i` of the flat vector; None where a kink is too near."""
        value = self.vector[i]
        self.vector[i] = value + STEP
        above, signs_above = self.loss(), self._signs()
        self.vector[i] = value - STEP
        below, signs_below = self.loss(), self._signs()
        self.vector[i] = value
        if not np.array_equal(signs_above, signs_below):
            return None
        return (above - below) / (2 * STEP)

    def _signs(self) -> NDArray[np.bool_]:
        return np.concatenate([(y > 0).reshape(-1) for y in self.program.outputs])


def _weights(network: Network, seed: int) -> NDArray[np.float64]:
    initial = np.empty(network.layout.size, np.float32)
    network.initialize(seed, initial)
    noise = stream(Purpose.GRADIENT_CHECK, seed, "noise").uniform(-0.1, 0.1, initial.shape)
    return initial + noise
