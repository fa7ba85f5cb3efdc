"""im2col, which turns images into the matrix that makes a convolution one product, and col2im, its transpose.

Both work block by block. Chellapilla, Puri and Simard, High performance convolutional neural networks for document
processing (2006).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from raydient.steps.arrays import Floats
from raydient.workers.network.layers.layer import Memory, Shape
from raydient.workers.network.layers.windows import Geometry

from .algorithm import Work, windows_by_group

BLOCK_VALUES = 192 * 1024
"""Values of the columns of a block, or of their product: 768 KiB in float32, so that they are still in the second-level
cache when they are read. A constant, not a property of the machine, because blocks decide on the order of sums.
"""


class Block(NamedTuple):
    """The windows of a block: all windows of some images, or some rows of windows of one image.

    Attributes:
        images: the images, in the batch.
        rows: the rows of positions.
        source: the same images in the array from which windows are read: the padded images of a block, or the batch.
        is_top, is_bottom: True if the rows are the first, or the last, of their images.
    """

    images: slice
    rows: slice
    source: slice
    is_top: bool
    is_bottom: bool

    @property
    def part(self) -> tuple[slice, slice]:
        """The part of the output that the block computes."""
        return self.images, self.rows


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of images (images, height, width, channels): a matrix for each group of channels, a row for each
    window, (groups, windows, window height · window width · channels of the group).
    """

    geometry: Geometry
    channels: int
    filters: int
    groups: int

    @property
    def values(self) -> int:
        """Number of values of one window in one group."""
        return self.geometry.height.window * self.geometry.width.window * self.channels // self.groups

    def block_shape(self, rows: int) -> tuple[int, int]:
        """Numbers of images, and of rows of positions, of one block."""
        down, across = self.geometry.height.positions, self.geometry.width.positions
        fit = max(1, BLOCK_VALUES // (across * max(self.values * self.groups, self.filters)))
        return (min(rows, fit // down), down) if fit >= down else (1, fit)

    def work(self, rows: int) -> Memory:
        """Memory for a block: its columns, sums that are added at once, padded images and the derivatives by them."""
        images, down = self.block_shape(rows)
        g = self.geometry
        lines = images * down * self.groups
        at_once = -(-g.width.positions // g.width.overlap) * self.values // g.height.window
        memory: dict[str, tuple[Shape, DTypeLike | None]] = {
            "columns": ((self.groups, images * down * g.width.positions, self.values), None),
            "sums": ((lines * at_once,), None),
        }
        if g.is_padded:
            padded = (images, g.height.padded, g.width.padded, self.channels)
            memory |= {"padded": (padded, None), "d_padded": (padded, None)}
        return memory

    def im2col(self, x: Floats, work: Work) -> Iterator[tuple[Block, Floats]]:
        """Yield the blocks of a batch (images, height, width, channels) and their columns.

        The columns lie in `work`; the next block overwrites them.
        """
        padded = work["padded"] if self.geometry.is_padded else x
        all_windows = self.geometry.windows(padded)
        if padded is not x:
            padded.fill(0)
        for block in self._blocks(len(x)):
            if padded is not x and block.is_top:
                np.copyto(self.geometry.crop(padded)[block.source], x[block.images])
            windows = windows_by_group(all_windows[block.source, block.rows], self.groups)
            columns = work["columns"][:, : windows[0, ..., 0, 0, 0].size]
            self._copy(windows, columns.reshape(windows.shape))
            yield block, columns

    def _copy(self, windows: Floats, columns: Floats) -> None:
        """Copy each row of a window at once or, for groups of one channel, whose rows are short, each place."""
        if self.channels > self.groups:
            np.copyto(columns, windows)
            return
        for i, j in product(range(self.geometry.height.window), range(self.geometry.width.window)):
            np.copyto(columns[..., i, j, :], windows[..., i, j, :])

    def col2im(self, block: Block, columns: Floats, dx: Floats, work: Work) -> None:
        """Add the columns of a block to the places of dx from which `im2col` read them. Call it for every block.

        Windows that are `overlap` positions apart share no value, so all of these are added in one operation. The rows
        of the window are added one after the other, because windows of neighbouring rows of positions overlap, too.
        """
        d_padded = work["d_padded"] if self.geometry.is_padded else dx
        if block.is_top:
            d_padded[block.source] = 0
        totals = windows_by_group(self.geometry.windows(d_padded)[block.source, block.rows], self.groups)
        parts = columns.reshape(totals.shape)
        width, overlap = self.geometry.width, self.geometry.width.overlap
        for i in range(self.geometry.height.window):
            for first in range(min(overlap, width.positions)):
                disjoint = np.s_[:, :, :, first::overlap, i]
                total, part = totals[disjoint], parts[disjoint]
                sums = work["sums"][: part.size].reshape(part.shape)  # NumPy would allocate a copy for `total += part`
                np.add(total, part, out=sums)
                np.copyto(total, sums)
        if d_padded is not dx and block.is_bottom:
            np.copyto(dx[block.images], self.geometry.crop(d_padded)[block.source])

    def _blocks(self, rows: int) -> Iterator[Block]:
        images, down = self.block_shape(rows)
        positions = self.geometry.height.positions
        for first in range(0, rows, images):
            last = min(first + images, rows)
            source = slice(0, last - first) if self.geometry.is_padded else slice(first, last)
            for top in range(0, positions, down):
                bottom = min(top + down, positions)
                yield Block(slice(first, last), slice(top, bottom), source, top == 0, bottom == positions)
