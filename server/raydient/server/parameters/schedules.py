"""Schedules of the learning rate: pure functions of the step, in float64, with the same bits on every machine.

Equations are those of `keras.optimizers.schedules` in Keras 3 unless a function notes otherwise. t is the number of the
step, from 0 after the warm-up; `base` is the optimizer's learning rate.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

from raydient.spec import schedules as spec
from raydient.steps.schedule import Schedule

from .scalars import cos_pi, power

Rate = Callable[[int], float]
"""The learning rate of an update, by its number from 0."""


@dataclass(frozen=True, slots=True)
class Span:
    """The steps that a schedule covers: those of a job after its warm-up.

    Attributes:
        steps: their number, at least 1.
        steps_per_epoch: number of steps in an epoch.
    """

    steps: int
    steps_per_epoch: int

    def length(self, steps: int | None, epochs: float | None) -> int:
        """Return a length in steps, given in steps or epochs; that of the span if neither is set."""
        if steps is not None:
            return steps
        return self.steps if epochs is None else in_steps(epochs, self.steps_per_epoch)


def in_steps(epochs: float, steps_per_epoch: int) -> int:
    """Return a number of epochs in whole steps, rounded, at least 1."""
    return max(1, round(epochs * steps_per_epoch))


def warm_up_steps(warm_up: spec.WarmUp | None, steps_per_epoch: int) -> int:
    """Return the length of a warm-up in steps; 0 without one."""
    if warm_up is None:
        return 0
    return warm_up.steps if warm_up.steps is not None else in_steps(warm_up.epochs or 0, steps_per_epoch)


def build_rate(base: float, schedule: spec.LearningRateSchedule, warm_up: spec.WarmUp | None, rounds: Schedule) -> Rate:
    """Return the learning rate of each step of a job.

    The warm-up of W steps is initial + (rate(0) - initial) t / W for t < W, and the schedule follows with rate(t - W).
    That is the warm-up of Keras's `CosineDecay`, for any schedule.

    Args:
        base: the optimizer's learning rate.
        schedule, warm_up: from the job's specification.
        rounds: the rounds of the job; the warm-up is shorter.
    """
    steps = warm_up_steps(warm_up, rounds.steps_per_epoch)
    rate = SCHEDULES[schedule.kind](base, schedule.value, Span(rounds.steps - steps, rounds.steps_per_epoch))
    if warm_up is None:
        return rate
    initial, first = warm_up.initial_learning_rate, rate(0)
    return lambda step: rate(step - steps) if step >= steps else initial + (first - initial) * (step / steps)


def constant(base: float, settings: Any, span: Span) -> Rate:
    """Return base."""
    return lambda step: base


def boundaries_of(settings: spec.Step, span: Span) -> Sequence[int]:
    """Return the last step of each stretch but the last one."""
    return settings.boundaries or [in_steps(e, span.steps_per_epoch) - 1 for e in settings.boundary_epochs]


def step(base: float, settings: spec.Step, span: Span) -> Rate:
    """Return base for t <= boundary 0, and value i for boundary i < t <= boundary i + 1 (`PiecewiseConstantDecay`).

    A boundary of `boundary_epochs` is the last step of these epochs.
    """
    boundaries, values = boundaries_of(settings, span), (base, *settings.values)
    return lambda step: values[bisect_left(boundaries, step)]


def _progress(settings: spec.Decay, span: Span) -> Rate:
    """Return t / decay_steps, rounded down with `staircase`."""
    length, staircase = span.length(settings.decay_steps, settings.decay_epochs), settings.staircase
    return lambda step: float(step // length) if staircase else step / length


def exponential(base: float, settings: spec.Exponential, span: Span) -> Rate:
    """Return base decay_rate^(t / decay_steps); the exponent is rounded down with `staircase` (`ExponentialDecay`)."""
    progress = _progress(settings, span)
    return lambda step: base * power(settings.decay_rate, progress(step))


def inverse_time(base: float, settings: spec.InverseTime, span: Span) -> Rate:
    """Return base / (1 + decay_rate t / decay_steps); the quotient is rounded down with `staircase`.

    `InverseTimeDecay`.
    """
    progress = _progress(settings, span)
    return lambda step: base / (1 + settings.decay_rate * progress(step))


def polynomial(base: float, settings: spec.Polynomial, span: Span) -> Rate:
    """Return (base - end) (1 - min(t, n) / n)^power + end (`PolynomialDecay`).

    n is decay_steps; with `cycle` it is decay_steps max(1, ceil(t / decay_steps)).
    """
    length, end = span.length(settings.decay_steps, settings.decay_epochs), settings.end_learning_rate

    def rate(step: int) -> float:
        whole = length * max(1, -(-step // length)) if settings.cycle else length
        return (base - end) * power(1 - min(step, whole) / whole, settings.power) + end

    return rate


def cosine(base: float, settings: spec.Cosine, span: Span) -> Rate:
    """Return base ((1 - alpha) (1 + cos(pi min(t, n) / n)) / 2 + alpha), n = decay_steps (`CosineDecay`).

    With `restarts`, n is that of the cycle with t and t is counted from its begin; cycle i has decay_steps t_mul^i
    steps and the factor m_mul^i before (1 - alpha), as `CosineDecayRestarts` has it (Loshchilov and Hutter 2017,
    equation 5). Keras finds the cycle with logarithms, whose rounding may put its first step into the one before.
    """
    length, alpha = span.length(settings.decay_steps, settings.decay_epochs), settings.alpha
    cycles = None if settings.restarts is None else _Cycles(settings.restarts)

    def rate(step: int) -> float:
        factor, done = (1.0, min(step / length, 1.0)) if cycles is None else cycles.at(step / length)
        return base * ((1 - alpha) * (0.5 * factor * (1 + cos_pi(done))) + alpha)

    return rate


class _Cycles:
    """The cycles of a cosine with restarts, counted in lengths of the first one. Grows with the steps that are used."""

    def __init__(self, restarts: spec.Restarts) -> None:
        self._t_mul, self._m_mul = restarts.t_mul, restarts.m_mul
        self._ends, self._length = [1.0], 1.0  # of the cycles so far, and the length of the last

    def at(self, progress: float) -> tuple[float, float]:
        """Return the factor of the cycle at `progress`, and the share of the cycle that is over."""
        if self._t_mul == 1:
            return power(self._m_mul, floor(progress)), progress - floor(progress)
        while progress >= self._ends[-1]:
            self._length *= self._t_mul
            self._ends.append(self._ends[-1] + self._length)
        cycle = bisect_right(self._ends, progress)
        begin = self._ends[cycle - 1] if cycle else 0.0
        return power(self._m_mul, cycle), (progress - begin) / (self._ends[cycle] - begin)


def one_cycle(base: float, settings: spec.OneCycle, span: Span) -> Rate:
    """Return the rate of Smith and Topin (2018), Super-Convergence, as PyTorch's `OneCycleLR` computes it.

    From base / div_factor to base up to step pct_start n - 1, then to base / div_factor / final_div_factor at step
    n - 1, n = steps of the span. With `three_phase` it is back at base / div_factor at step 2 pct_start n - 2, before
    that end. Between two rates a and b, at the share p, it is b + (a - b) (1 + cos(pi p)) / 2, or a + (b - a) p.
    """
    initial, up = base / settings.div_factor, settings.pct_start * span.steps - 1
    points = [(0.0, initial), (up, base), (span.steps - 1, initial / settings.final_div_factor)]
    if settings.three_phase:
        points.insert(2, (2 * up, initial))
    curved = settings.anneal_strategy.kind == "cos"

    def rate(step: int) -> float:
        phase = next((i for i, (end, _) in enumerate(points[1:], 1) if step <= end), len(points) - 1)
        (start, before), (stop, after) = points[phase - 1 : phase + 1]
        share = (step - start) / (stop - start) if stop > start else 1.0
        return after + (before - after) / 2 * (1 + cos_pi(share)) if curved else before + (after - before) * share

    return rate


SCHEDULES: Mapping[str, Callable[[float, Any, Span], Rate]] = {
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "polynomial": polynomial,
    "inverse_time": inverse_time,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "plateau": constant,
}
"""By the name of the option in the specification; each takes the base rate, the option's settings and the span."""
