"""Depthwise convolution, and other groups of few channels and filters: sums of products, place by place.

A matrix product is slow for a kernel of few rows and columns. Here all groups are computed at once, value by value,
along lines without gaps in memory. `einsum` multiplies and adds in one loop, in a third of the time of `multiply` and
`add` for each place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike

from raydient.steps.arrays import Floats
from raydient.workers.network.layers.layer import Memory, Shape, blocks
from raydient.workers.network.layers.windows import Geometry

from .algorithm import Algorithm, Part, Work
from .polyphase import Polyphase

BLOCK_VALUES = 256 * 1024
"""Values of a block of images: 1 MiB in float32, so that most of it stays in the second-level cache."""
KERNEL_VALUES = 64 * 1024
"""Values of a kernel that is tiled along a line, for the same reason."""
MAXIMUM_FILTERS = 8
MAXIMUM_KERNEL = 16
"""Maxima of a group's filters, and of its channels times filters: a matrix product is faster for larger groups."""


@dataclass(frozen=True, slots=True)
class Segments:
    """`count` segments of a line, of `size` values each, one after the other from value `first` on."""

    first: int
    count: int
    size: int

    def of(self, lines: Floats) -> Floats:
        """A view of (..., values of a line) as (..., count, size)."""
        values = lines[..., self.first : self.first + self.count * self.size]
        return values.reshape(*lines.shape[:-1], self.count, self.size)


def split_line(positions: int, maximum: int, filters: int) -> tuple[Segments, ...]:
    """Split a line of `positions` times `filters` values into segments of at most `maximum` positions.

    The segments are equal, except for a smaller last one where the line does not divide evenly.
    """
    size = ceil(positions / ceil(positions / maximum))
    count, rest = divmod(positions, size)
    equal = Segments(0, count, size * filters)
    return (equal, Segments(count * equal.size, 1, rest * filters)) if rest else (equal,)


def lines_of(images: Floats) -> Floats:
    """A view of (images, height, width, filters) as (images, height, width · filters)."""
    return images.reshape(*images.shape[:2], -1)


class Depthwise(Algorithm):
    """A group has c channels and m filters; with c = 1 the convolution is called depthwise, and m its multiplier. With

    X_k[n, h, w, f] = x[n, h, w, c ⌊f / m⌋ + k], the k-th channel of the group of filter f,

    z[n, p, q, f] = Σ_kij X_k[n, p s + i d, q s + j d, f] K[i, j, k, f] is a sum of products value by value. For given
    k, i and j the values (q, f) of a row are a line without gaps: in z, in K tiled for each q, and in X_k; with
    a stride, in a copy without the values between. dK is a sum of such lines, added up over q at the end.

    dX_k[n, h, w, f] = Σ_ij dz[n, (h - i d) / s, (w - j d) / s, f] K[i, j, k, f], where these are positions. For each
    phase of rows and columns (`polyphase`) this, too, is a sum of lines with a stride of 1: of dz padded with zeros and
    of the taps of the phase. dx[n, h, w, c g + k] is the sum of dX_k over the filters of group g.
    """

    def __init__(self, geometry: Geometry, channels: int, filters: int, groups: int) -> None:
        self._geometry, self._filters = geometry, filters
        self._channels, self._multiplier = channels // groups, filters // groups
        self._kernel = self._channels, geometry.height.window, geometry.width.window
        positions = max(1, KERNEL_VALUES // (prod(self._kernel) * filters))
        self._forward = split_line(geometry.width.positions, positions, filters)
        self._down, self._across = Polyphase.of(geometry.height), Polyphase.of(geometry.width)
        self._backward = [split_line(phase.count, positions, filters) for phase in self._across.phases]

    @staticmethod
    def pays(channels: int, filters: int) -> bool:
        """True if this is the fastest algorithm for groups with these numbers of channels and filters."""
        return filters <= MAXIMUM_FILTERS and channels * filters <= MAXIMUM_KERNEL

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
            memory["d_expanded"] = (images * h.size * w.size * self._filters,), None
        return memory

    def forward(self, x: Floats, kernel: Floats, z: Floats, work: Work) -> Iterator[Part]:
        tiled = self._tile(kernel, work["forward_kernel"])
        for images, windows in self._windows(x, work):
            lines = lines_of(z[images])
            for segments in self._forward:
                factors = segments.of(windows), tiled[..., : segments.size]
                np.einsum("knpijbx,kijx->npbx", *factors, out=segments.of(lines))
            yield images, slice(None)

    def backward(
        self, x: Floats, kernel: Floats, dz: Floats, work: Work, *, dx: Floats | None, d_kernel: Floats
    ) -> Iterator[Part]:
        tiled = self._tile(kernel, work["backward_kernel"])
        d_tiled, sums = work["forward_kernel"], work["sums"]
        d_tiled.fill(0)
        work["d_padded"].fill(0)
        for images, windows in self._windows(x, work):
            yield images, slice(None)
            lines = lines_of(dz[images])
            for segments, (k, i, j) in product(self._forward, np.ndindex(self._kernel)):
                factors = segments.of(windows[k, :, :, i, j]), segments.of(lines)
                part, total = sums[: segments.size], d_tiled[k, i, j, : segments.size]
                np.einsum("npbx,npbx->x", *factors, out=part)
                np.add(total, part, out=total)
            if dx is not None:
                self._input_gradient(dz[images], tiled, dx[images], work)
        by_position = d_tiled.reshape(*self._kernel, -1, self._filters)
        np.add.reduce(by_position, axis=3, out=d_kernel.transpose(2, 0, 1, 3))

    @property
    def _is_plain(self) -> bool:
        """True if dx is dX_0: each filter has a channel of its own, and there is one phase."""
        return self._channels == self._multiplier == self._geometry.height.stride == self._geometry.width.stride == 1

    def _tile(self, kernel: Floats, out: Floats) -> Floats:
        """K (height, width, channels of a group, filters) tiled along a line: (channels, height, width, values)."""
        by_position = out.reshape(*self._kernel, -1, self._filters)
        np.copyto(by_position, kernel.transpose(2, 0, 1, 3)[:, :, :, np.newaxis])
        return out

    def _windows(self, x: Floats, work: Work) -> Iterator[tuple[slice, Floats]]:
        """Yield blocks of images with the lines of X, which the next block overwrites: (channels of a group, images,
        positions down, window height, window width, values of a line).
        """
        padded, g = work["padded"], self._geometry
        padded.fill(0)
        for images in blocks(len(x), self.block_shape(len(x))[0]):
            expanded = padded[:, : images.stop - images.start]
            for k, m in np.ndindex(self._channels, self._multiplier):
                np.copyto(g.crop(expanded[k])[..., m :: self._multiplier], x[images, ..., k :: self._channels])
            yield images, self._windows_of(expanded, work)

    def _windows_of(self, padded: Floats, work: Work) -> Floats:
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

    def _input_gradient(self, dz: Floats, tiled: Floats, dx: Floats, work: Work) -> None:
        """Compute dx of a block from its dz (images, positions down, positions across, filters)."""
        d_padded, (_, positions_down, positions_across, _) = work["d_padded"][: len(dz)], dz.shape
        top, left = self._down.before, self._across.before
        np.copyto(d_padded[:, top : top + positions_down, left : left + positions_across], dz)
        n, h, w, f = d_padded.strides
        lines = list(zip(self._across.phases, self._backward, strict=True))
        for down, (across, line) in product(self._down.phases, lines):
            target = dx[:, down.values, across.values]
            if not down.tap_count or not across.tap_count:
                target.fill(0)
                continue
            windows = as_strided(
                d_padded[:, down.start :, across.start :],
                (len(dz), down.count, down.tap_count, across.tap_count, across.count * self._filters),
                (n, h, h * down.step, w * across.step, f),
            )
            shape = len(dz), down.count, across.count, self._filters
            d_expanded = dx if self._is_plain else work["d_expanded"][: prod(shape)].reshape(shape)
            for k, kernel in enumerate(tiled[:, down.taps, across.taps]):
                for segments in line:
                    factors = segments.of(windows), kernel[..., : segments.size]
                    np.einsum("npijbx,ijx->npbx", *factors, out=segments.of(lines_of(d_expanded)))
                if d_expanded is not dx:
                    self._sum_filters(d_expanded, target[..., k :: self._channels])

    def _sum_filters(self, d_expanded: Floats, dx: Floats) -> None:
        """Sum over the filters of each group, (..., filters), into (..., groups)."""
        np.copyto(dx, d_expanded[..., :: self._multiplier])
        for m in range(1, self._multiplier):
            np.add(dx, d_expanded[..., m :: self._multiplier], out=dx)
