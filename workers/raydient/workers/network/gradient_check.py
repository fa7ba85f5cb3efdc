"""Compares backpropagation with difference quotients, for every layer, activation and loss."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray, Floats
from raydient.steps.layout import Learned
from raydient.workers.streams import Purpose, stream

from .difference import Derivative, derivative, is_kink
from .ends import by_name, only
from .graph import Network
from .indices import index_limits
from .layers import Pass
from .program import Program

TOLERANCE = 1e-6
"""Maximum relative error of a quotient that is used for a comparison. Wrong derivatives differ by orders of magnitude
more.
"""
DOUBT = 10
"""A derivative is wrong if it differs by more than this multiple of the quotient's estimated error."""
LARGEST_STEP = 2.0**-9
FARTHER = (2**8, 2**16)
"""Factors of the first step, tried in order while rounding hides a derivative, for example with inputs of 1e-6."""

ZERO = (
    "every derivative is 0 within rounding: units are saturated or dead, or a later layer removes the effect (a bias"
    " before batch normalization, the key bias of attention)"
)
NOT_CONVERGED = "no difference quotient converges: kinks are too near, or rounding errors too large"
NOT_FINITE = "the loss is not finite"

Arrays = Mapping[str, AnyArray]

TRAINING = Pass(training=True)
"""One pass of training for all points, so that random numbers do not change from one point to another."""


class Verdict(StrEnum):
    """The result of a comparison. NOT_RESOLVED: no usable difference quotient."""

    RIGHT = "right"
    WRONG = "wrong"
    NOT_RESOLVED = "not_resolved"


@dataclass(frozen=True, slots=True)
class ParameterCheck:
    """The result for one parameter.

    Attributes:
        name: `{layer}.{parameter}`.
        verdict: WRONG if the derivative by any value is wrong, RIGHT if none is and at least one was compared.
        reason: reason for NOT_RESOLVED, else empty.
        entries: number of values compared; a value is compared if its quotient converges and is not 0.
        largest_error: largest relative error among them; NaN if none was compared.
        place: index of that value within the parameter.
        backward, quotient: the two derivatives there.
    """

    name: str
    verdict: Verdict
    reason: str = ""
    entries: int = 0
    largest_error: float = math.nan
    place: tuple[int, ...] = ()
    backward: float = math.nan
    quotient: float = math.nan


@dataclass(frozen=True, slots=True)
class GradientReport:
    """The check of a network: the parameters that are learned, in the order of the layout."""

    parameters: tuple[ParameterCheck, ...]

    @property
    def verdict(self) -> Verdict:
        """WRONG if any parameter is WRONG, else NOT_RESOLVED if any is, else RIGHT."""
        verdicts = {p.verdict for p in self.parameters}
        return next(v for v in (Verdict.WRONG, Verdict.NOT_RESOLVED, Verdict.RIGHT) if v in verdicts)

    def of(self, verdict: Verdict) -> tuple[ParameterCheck, ...]:
        """The parameters with this verdict."""
        return tuple(p for p in self.parameters if p.verdict is verdict)


def random_batch(network: Network, seed: int, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Random samples (rows, *input shape) and labels (rows, *label shape), for a network with one input and one output.

    See `random_batches` for other networks.
    """
    xs, ys = random_batches(network, seed, rows)
    return only(xs), only(ys)


def random_batches(network: Network, seed: int, rows: int) -> tuple[Arrays, Arrays]:
    """Random samples of every input and labels of every output, by name."""
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
    weights: Floats | None = None,
    point: Floats | None = None,
    entries_per_parameter: int = 64,
) -> GradientReport:
    """Compare backward's gradient of the mean loss with difference quotients, in float64.

    By default the parameters are initial values plus noise, because biases of exactly 0 put units without input on the
    kink of ReLU, where there is no derivative. The first step of a quotient depends on the derivative, and steps shrink
    until the quotient converges (`difference.derivative`), so inputs may have any magnitude.

    Args:
        x: a few samples, (rows, *input shape); by name if there are several inputs.
        y: their labels, (rows, *label shape); by name if there are several outputs.
        seed: seed of the initial values, the noise and the choice of entries.
        weights: factors of the samples' losses, (rows,); None means 1.
        point: parameters at which the derivatives are compared, (layout.size,); None means initial values plus noise.
        entries_per_parameter: number of values, drawn at random, that are checked of a larger parameter.
    """
    xs, ys = by_name(x, network.input_shapes), by_name(y, [output.name for output in network.outputs])
    program = Program(network, len(next(iter(xs.values()))), np.float64, weighted=weights is not None)
    for name, samples in xs.items():
        program.xs[name][...] = samples
    for name, labels in ys.items():
        program.ys[name][...] = labels
    if program.sample_weights is not None:
        program.sample_weights[...] = weights
    vector = _parameters(network, seed) if point is None else point.astype(np.float64)
    loss_at = _Loss(program, vector)
    gradient = np.full(vector.shape, np.nan)  # a value that backward fails to write is not taken for a zero
    loss = loss_at.begin()
    program.backward(loss_at.weights, network.bind(gradient), 1 / program.rows)
    checks = []
    for p in network.layout.parameters:
        if not isinstance(p.kind, Learned):
            continue  # a statistic or a frozen value, no derivative
        places = np.arange(p.size)
        if p.size > entries_per_parameter:
            generator = stream(Purpose.GRADIENT_CHECK, seed, "entries", p.name)
            places = np.sort(generator.choice(p.size, entries_per_parameter, replace=False))
        entries = []
        if math.isfinite(loss):
            entries = [loss_at.compare(p.offset + int(i), float(gradient[p.offset + i]), loss) for i in places]
        checks.append(_summary(p.name, p.shape, places, entries))
    return GradientReport(tuple(checks))


@dataclass(frozen=True, slots=True)
class _Entry:
    """The comparison of one value. `is_zero`: both derivatives are 0 within the error of the quotient."""

    verdict: Verdict
    backward: float
    quotient: float
    is_zero: bool = False

    @property
    def error(self) -> float:
        scale = max(abs(self.backward), abs(self.quotient))
        error = abs(self.backward - self.quotient) / scale if scale else 0.0
        return error if math.isfinite(error) else math.inf


def _summary(name: str, shape: tuple[int, ...], places: NDArray[np.int64], entries: list[_Entry]) -> ParameterCheck:
    if not entries:
        return ParameterCheck(name, Verdict.NOT_RESOLVED, NOT_FINITE)
    compared = [(entry, i) for entry, i in zip(entries, places, strict=True) if entry.verdict != Verdict.NOT_RESOLVED]
    if not compared:
        reason = ZERO if all(entry.is_zero for entry in entries) else NOT_CONVERGED
        return ParameterCheck(name, Verdict.NOT_RESOLVED, reason)
    worst, place = max(compared, key=lambda pair: (pair[0].verdict is Verdict.WRONG, pair[0].error))
    index = tuple(int(i) for i in np.unravel_index(place, shape))
    largest = worst.error, index, worst.backward, worst.quotient
    return ParameterCheck(name, worst.verdict, "", len(compared), *largest)


class _Loss:
    """The mean loss of a program's batch, with penalties on activities, as a function of the parameters."""

    def __init__(self, program: Program, vector: NDArray[np.float64]) -> None:
        self.program, self.vector = program, vector
        self.weights = program.network.bind(vector)
        self._magnitude = 0.0

    def begin(self) -> float:
        """Return the loss, and measure the scale of its rounding errors."""
        loss = self.value()
        self._magnitude = (self.program.magnitude() + self.program.penalty()) / self.program.rows
        return loss

    def value(self) -> float:
        loss = float(self.program.forward(self.weights, TRAINING)[0])
        return (loss + self.program.penalty()) / self.program.rows

    def compare(self, i: int, backward: float, loss: float) -> _Entry:
        """Compare the derivative of backward by value `i` of the flat vector with a difference quotient."""

        def values(step: float) -> tuple[float, float]:
            value = self.vector[i]
            self.vector[i] = value + step
            above = self.value()
            self.vector[i] = value - step
            below = self.value()
            self.vector[i] = value
            return above, below

        # with this step the loss changes by about 0.1 %
        step = min(LARGEST_STEP, 1e-3 * (abs(loss) or 1) / abs(backward)) if backward else LARGEST_STEP
        if not math.isfinite(step) or step < 1e-12:
            step = LARGEST_STEP
        estimate = derivative(values, step, TOLERANCE, self._magnitude)
        for factor in FARTHER if backward else ():
            if estimate.error <= TOLERANCE * abs(estimate.value) or _differs(backward, estimate):
                break
            estimate = min(
                estimate, derivative(values, factor * step, TOLERANCE, self._magnitude), key=lambda one: one.error
            )
        difference, scale = abs(backward - estimate.value), max(abs(backward), abs(estimate.value))
        if _differs(backward, estimate):
            # An error estimate may be too small by chance, but rarely twice, with different steps.
            again = derivative(values, 0.6 * step, TOLERANCE, self._magnitude)
            same = abs(again.value - estimate.value) <= difference / DOUBT or not math.isfinite(backward)
            if _differs(backward, again) and same and not is_kink(values, loss, step / 64, difference / 100):
                return _Entry(Verdict.WRONG, backward, estimate.value)
            return _Entry(Verdict.NOT_RESOLVED, backward, estimate.value)
        if scale and estimate.error <= TOLERANCE * scale:
            return _Entry(Verdict.RIGHT, backward, estimate.value)
        return _Entry(
            Verdict.NOT_RESOLVED, backward, estimate.value, is_zero=scale <= DOUBT * estimate.error < math.inf
        )


def _differs(backward: float, estimate: Derivative) -> bool:
    """True if a derivative is NaN, or differs from the quotient by more than the error of the quotient."""
    scale = max(abs(backward), abs(estimate.value))
    return estimate.error < math.inf and not abs(backward - estimate.value) <= max(
        TOLERANCE * scale, DOUBT * estimate.error
    )


def _parameters(network: Network, seed: int) -> NDArray[np.float64]:
    initial = np.empty(network.layout.size, np.float32)
    network.initialize(seed, initial)
    noise = stream(Purpose.GRADIENT_CHECK, seed, "noise").uniform(-0.1, 0.1, initial.shape)
    return initial + noise
