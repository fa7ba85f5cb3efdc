"""Back through windows along an axis: which positions met a value of the axis, and at which places of the window.

Position q meets value h at place i if q s + i d = h + b, with stride s, dilation d and b values of padding. So i d and
h + b leave the same rest when divided by s, and every s-th value is met at the same places.
"""

from dataclasses import dataclass
from math import gcd

from raydient.workers.network.layers.windows import Axis


@dataclass(frozen=True, slots=True)
class Phase:
    """Every s-th value of an axis, from one of the first s on. The derivative by the t-th of them is

    Σ_u padded[start + t + u · apart] K[places[u]], with padded the derivatives by the positions, within zeros.

    Attributes:
        values: which of the axis.
        count: how many values.
        places: which of the window, the last one first; there may be none.
        taps: how many places.
        start, apart: see above.
    """

    values: slice
    count: int
    places: slice
    taps: int
    start: int
    apart: int

    @property
    def end(self) -> int:
        """Behind the last value of padded that it looks at."""
        return self.start + self.count + max(0, self.taps - 1) * self.apart


@dataclass(frozen=True, slots=True)
class Polyphase:
    """All phases of an axis.

    Attributes:
        before: zeros before the derivatives by the positions.
        padded: these and the zeros around them.
    """

    before: int
    padded: int
    each: tuple[Phase, ...]


def polyphase(axis: Axis) -> Polyphase:
    """Back through the windows along `axis`."""
    # position q is first met by value 0 at the last place: zeros enough for that and for what the padding held
    before = max(0, -_position(axis, 0, axis.window - 1))
    each = tuple(_phase(axis, first, before) for first in range(min(axis.stride, axis.size)))
    return Polyphase(before, max(before + axis.positions, *(phase.end for phase in each)), each)


def _phase(axis: Axis, first: int, before: int) -> Phase:
    places = [i for i in range(axis.window) if (first + axis.before - i * axis.dilation) % axis.stride == 0]
    count, common = len(range(first, axis.size, axis.stride)), gcd(axis.stride, axis.dilation)
    last = places[-1] if places else 0
    return Phase(
        values=slice(first, None, axis.stride),
        count=count,
        places=slice(last, None, -(axis.stride // common)) if places else slice(0),
        taps=len(places),
        start=before + _position(axis, first, last),
        apart=axis.dilation // common,
    )


def _position(axis: Axis, value: int, place: int) -> int:
    """Which position meets a value at a place of the window, rounded down; it may lie outside of them."""
    return (value + axis.before - place * axis.dilation) // axis.stride
