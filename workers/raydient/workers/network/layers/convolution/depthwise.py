"""Convolutions of many groups with few channels each, as depthwise ones are: sums of products, place by place.

A matrix product needs rows and columns to be worth its while, and the kernel of such a group has hardly any. Here all
groups are computed at once, value by value, along lines that lie in memory without gaps. `einsum` multiplies and adds
in one loop, which takes a third of the time of `multiply` and `add` for each place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike

from raydient.workers.network.layers.layer import Memory, Shape, blocks
from raydient.workers.network.layers.windows import Array, Geometry

from .algorithm import Algorithm, Part, Work
from .polyphase import polyphase

BLOCK_VALUES = 256 * 1024
"""Of a block of images: 1 MiB in float32, so that most of it stays in the second-level cache."""
KERNEL_VALUES = 64 * 1024
"""Of a kernel repeated along a line, for the same reason."""
MOST_FILTERS = 8
LARGEST_KERNEL = 16
"""Filters of a group, and channels times filters, up to which this is faster than matrix products of each group."""


@dataclass(frozen=True, slots=True)
class Segments:
    """`count` segments of `size` values of a line, one after the other from the `first` value on."""

    first: int
    count: int
    size: int

    def of(self, lines: Array) -> Array:
        """Of (..., values of a line) the view (..., count, size)."""
        some = lines[..., self.first : self.first + self.count * self.size]
        return some.reshape(*lines.shape[:-1], self.count, self.size)


def split_line(positions: int, most: int, filters: int) -> tuple[Segments, ...]:
    """A line of so many positions, each of `filters` values, in segments of at most `most` positions: equal ones, and
    a smaller last one if need be.
    """
    size = ceil(positions / ceil(positions / most))
    count, rest = divmod(positions, size)
    equal = Segments(0, count, size * filters)
    return (equal, Segments(count * equal.size, 1, rest * filters)) if rest else (equal,)


def lines_of(images: Array) -> Array:
    """Of (images, height, width, filters) the view (images, height, width · filters)."""
    return images.reshape(*images.shape[:2], -1)


class Depthwise(Algorithm):
    """A group has c channels and m filters; with c = 1 the convolution is called depthwise, and m its multiplier. With

    X_k[n, h, w, f] = x[n, h, w, c ⌊f / m⌋ + k], the k-th channel that filter f sees,

    z[n, p, q, f] = Σ_kij X_k[n, p s + i d, q s + j d, f] K[i, j, k, f] is a sum of products value by value. For given
    k, i and j the values (q, f) of a row are a line without gaps in z, in X_k, if need be in a copy that leaves out
    what the stride jumps over, and in K repeated for each q. dK is a sum of lines likewise, added up over q in the end.

    dX_k[n, h, w, f] = Σ_ij dz[n, (h - i d) / s, (w - j d) / s, f] K[i, j, k, f], where these are positions, is for each
    phase of rows and columns (see `polyphase`) such a sum, too, with a stride of 1: of dz padded with zeros and of the
    kernel values that meet the phase, the last one first. dx[n, h, w, c g + k] adds dX_k up over group g.
    """

    def __init__(self, geometry: Geometry, channels: int, filters: int, groups: int) -> None:
        self._geometry, self._filters = geometry, filters
        self._channels, self._multiplier = channels // groups, filters // groups
        self._kernel = self._channels, geometry.height.window, geometry.width.window
        positions = max(1, KERNEL_VALUES // (prod(self._kernel) * filters))
        self._forward = split_line(geometry.width.positions, positions, filters)
        self._down, self._across = polyphase(geometry.height), polyphase(geometry.width)
        self._backward = [split_line(phase.count, positions, filters) for phase in self._across.each]

    @staticmethod
    def pays(channels: int, filters: int) -> bool:
        """True if it is the faster way for groups of so many channels and filters."""
        return filters <= MOST_FILTERS and channels * filters <= LARGEST_KERNEL

    def block_shape(self, rows: int) -> tuple[int, int]:
        h, w = self._geometry.height, self._geometry.width
        across = w.padded if w.stride == 1 else max(w.padded, w.window * w.positions)
        fit = BLOCK_VALUES // (self._channels * h.padded * across * self._filters)
        return max(1, min(rows, fit)), h.positions

    def work(self, rows: int) -> Memory:
        (images, _), h, w = self.block_shape(rows), self._geometry.height, self._geometry.width
        memory: dict[str, tuple[Shape, DTypeLike | None]] = {
            "padded": ((self._channels, images, h.padded, w.padded, self._filters), None),
            "d_padded": ((images, self._down.padded, self._across.padded, self._filters), None),
            "forward_kernel": ((*self._kernel, self._forward[0].size), None),
            "backward_kernel": ((*self._kernel, max(line[0].size for line in self._backward)), None),
            "sums": ((self._forward[0].size,), None),
        }
        if w.stride > 1:
            memory["columns"] = (self._channels, images, h.padded, w.window, w.positions, self._filters), None
        if not self._is_plain:
            memory["shares"] = (images * h.size * w.size * self._filters,), None
        return memory

    def forward(self, x: Array, kernel: Array, z: Array, work: Work) -> Iterator[Part]:
        repeated = self._repeat(kernel, work["forward_kernel"])
        for images, windows in self._windows(x, work):
            lines = lines_of(z[images])
            for segments in self._forward:
                factors = segments.of(windows), repeated[..., : segments.size]
                np.einsum("knpijbx,kijx->npbx", *factors, out=segments.of(lines))
            yield images, slice(None)

    def backward(
        self, x: Array, kernel: Array, dz: Array, work: Work, *, dx: Array | None, d_kernel: Array
    ) -> Iterator[Part]:
        repeated = self._repeat(kernel, work["backward_kernel"])
        d_repeated, sums = work["forward_kernel"], work["sums"]
        d_repeated.fill(0)
        work["d_padded"].fill(0)
        for images, windows in self._windows(x, work):
            yield images, slice(None)
            lines = lines_of(dz[images])
            for segments, (k, i, j) in product(self._forward, np.ndindex(self._kernel)):
                factors = segments.of(windows[k, :, :, i, j]), segments.of(lines)
                added, total = sums[: segments.size], d_repeated[k, i, j, : segments.size]
                np.einsum("npbx,npbx->x", *factors, out=added)
                np.add(total, added, out=total)
            if dx is not None:
                self._spread(dz[images], repeated, dx[images], work)
        by_position = d_repeated.reshape(*self._kernel, -1, self._filters)
        np.add.reduce(by_position, axis=3, out=d_kernel.transpose(2, 0, 1, 3))

    @property
    def _is_plain(self) -> bool:
        """True if dx is dX: each filter has a channel of its own, and there is one phase."""
        return self._channels == self._multiplier == self._geometry.height.stride == self._geometry.width.stride == 1

    def _repeat(self, kernel: Array, out: Array) -> Array:
        """K (height, width, channels of a group, filters) along a line: (channels, height, width, values)."""
        by_position = out.reshape(*self._kernel, -1, self._filters)
        np.copyto(by_position, kernel.transpose(2, 0, 1, 3)[:, :, :, np.newaxis])
        return out

    def _windows(self, x: Array, work: Work) -> Iterator[tuple[slice, Array]]:
        """Block by block which images, and the lines of X: (channels of a group, images, positions down, window height,
        window width, values of a line); they last until the next ones.
        """
        padded, g = work["padded"], self._geometry
        padded.fill(0)
        for images in blocks(len(x), self.block_shape(len(x))[0]):
            some = padded[:, : images.stop - images.start]
            for k, m in np.ndindex(self._channels, self._multiplier):
                np.copyto(g.crop(some[k])[..., m :: self._multiplier], x[images, ..., k :: self._channels])
            yield images, self._windows_of(some, work)

    def _windows_of(self, padded: Array, work: Work) -> Array:
        channels, images, down, _, filters = padded.shape
        k, n, h, w, f = padded.strides
        height, width = self._geometry.height, self._geometry.width
        across = w * width.dilation
        if width.stride > 1:
            shape = channels, images, down, width.window, width.positions, filters
            columns = work["columns"][:, :images]
            np.copyto(columns, as_strided(padded, shape, (k, n, h, across, w * width.stride, f)))
            k, n, h, across, _, f = columns.strides
            padded = columns
        shape = channels, images, height.positions, height.window, width.window, width.positions * filters
        return as_strided(padded, shape, (k, n, h * height.stride, h * height.dilation, across, f))

    def _spread(self, dz: Array, repeated: Array, dx: Array, work: Work) -> None:
        """From dz (images, positions down, positions across, filters) compute dx."""
        d_padded, (_, positions_down, positions_across, _) = work["d_padded"][: len(dz)], dz.shape
        top, left = self._down.before, self._across.before
        np.copyto(d_padded[:, top : top + positions_down, left : left + positions_across], dz)
        n, h, w, f = d_padded.strides
        for down, (across, line) in product(self._down.each, zip(self._across.each, self._backward, strict=True)):
            target = dx[:, down.values, across.values]
            if not down.taps or not across.taps:
                target.fill(0)
                continue
            windows = as_strided(
                d_padded[:, down.start :, across.start :],
                (len(dz), down.count, down.taps, across.taps, across.count * self._filters),
                (n, h, h * down.apart, w * across.apart, f),
            )
            shape = len(dz), down.count, across.count, self._filters
            shares = dx if self._is_plain else work["shares"][: prod(shape)].reshape(shape)
            for k, kernel in enumerate(repeated[:, down.places, across.places]):
                for segments in line:
                    factors = segments.of(windows), kernel[..., : segments.size]
                    np.einsum("npijbx,ijx->npbx", *factors, out=segments.of(lines_of(shares)))
                if shares is not dx:
                    self._add_up(shares, target[..., k :: self._channels])

    def _add_up(self, shares: Array, dx: Array) -> None:
        """Over the filters of each group: (..., filters) to (..., groups)."""
        np.copyto(dx, shares[..., :: self._multiplier])
        for m in range(1, self._multiplier):
            np.add(dx, shares[..., m :: self._multiplier], out=dx)
