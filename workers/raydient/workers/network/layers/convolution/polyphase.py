"""The derivative of windows along an axis, split by phase, so that a stride leaves no gaps.

Position q of a window reads value h of the axis by its value i if q s + i d = h + b, with stride s, dilation d and
padding b. So i d and h + b have the same remainder modulo s. Every s-th value of the axis has the same remainder and is
read by the same values of the window: these values are a phase. In signal processing this is the polyphase form of a
filter.
"""

from dataclasses import dataclass
from math import gcd

from raydient.workers.network.layers.windows import Axis


@dataclass(frozen=True, slots=True)
class Phase:
    """The values of one phase: every s-th value of an axis, from one of the first s on. The derivative by the t-th is

    Σ_u padded[start + t + u · step] K[taps[u]], with `padded` the derivatives by the positions, padded with zeros.

    Attributes:
        values: the values of the axis.
        count: number of these values.
        taps: the values of the window that read them, the last one first; may be empty.
        tap_count: number of taps.
        start, step: see above.
    """

    values: slice
    count: int
    taps: slice
    tap_count: int
    start: int
    step: int

    @property
    def stop(self) -> int:
        """1 + the index of the last value of `padded` that the phase reads."""
        return self.start + self.count + max(0, self.tap_count - 1) * self.step


@dataclass(frozen=True, slots=True)
class Polyphase:
    """All phases of an axis.

    Attributes:
        before: number of zeros before the derivatives by the positions.
        padded: number of these derivatives and the zeros around them.
        phases: one for each value up to the stride.
    """

    before: int
    padded: int
    phases: tuple[Phase, ...]

    @classmethod
    def of(cls, axis: Axis) -> "Polyphase":
        """The phases of `axis`."""
        # Zeros take the place of the positions below 0 at which the window would read value 0.
        before = max(0, -_position(axis, 0, axis.window - 1))
        phases = tuple(_phase(axis, first, before) for first in range(min(axis.stride, axis.size)))
        return cls(before, max(before + axis.positions, *(phase.stop for phase in phases)), phases)


def _phase(axis: Axis, first: int, before: int) -> Phase:
    taps = [i for i in range(axis.window) if (first + axis.before - i * axis.dilation) % axis.stride == 0]
    count, common = len(range(first, axis.size, axis.stride)), gcd(axis.stride, axis.dilation)
    last = taps[-1] if taps else 0
    return Phase(
        values=slice(first, None, axis.stride),
        count=count,
        taps=slice(last, None, -(axis.stride // common)) if taps else slice(0),
        tap_count=len(taps),
        start=before + _position(axis, first, last),
        step=axis.dilation // common,
    )


def _position(axis: Axis, value: int, tap: int) -> int:
    """The position at which the window reads a value by its value `tap`, rounded down; it may lie outside."""
    return (value + axis.before - tap * axis.dilation) // axis.stride
