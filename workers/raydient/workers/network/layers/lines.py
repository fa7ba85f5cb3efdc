"""Rows of images as lines of values, and lines cut into stretches for which the same kernel holds."""

from dataclasses import dataclass
from math import ceil

from .windows import Array


@dataclass(frozen=True, slots=True)
class Stretches:
    """`count` stretches of `size` values of a line, one after the other from the `first` value on."""

    first: int
    count: int
    size: int

    def of(self, lines: Array) -> Array:
        """Of (..., values of a line) the view (..., count, size)."""
        some = lines[..., self.first : self.first + self.count * self.size]
        return some.reshape(*lines.shape[:-1], self.count, self.size)


def cut(positions: int, most: int, filters: int) -> tuple[Stretches, ...]:
    """A line of so many positions, each of `filters` values, in stretches of at most `most` positions: equal ones, and
    a smaller last one if need be.
    """
    size = ceil(positions / ceil(positions / most))
    count, rest = divmod(positions, size)
    equal = Stretches(0, count, size * filters)
    return (equal, Stretches(count * equal.size, 1, rest * filters)) if rest else (equal,)


def lines_of(images: Array) -> Array:
    """Of (images, height, width, filters) the view (images, height, width · filters)."""
    return images.reshape(*images.shape[:2], -1)
