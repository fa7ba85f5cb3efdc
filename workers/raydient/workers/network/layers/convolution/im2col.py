"""Images turned into the matrix that makes a convolution one product (im2col), block by block, and back (col2im)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from raydient.workers.network.layers.layer import Memory, Shape
from raydient.workers.network.layers.windows import Array, Geometry

BLOCK_VALUES = 192 * 1024
"""Columns of a block, or what is made of them, in values: 768 KiB in float32, so that they are still in the
second-level cache when they are read. A constant and not the machine's, because the blocks decide about the order of
sums.
"""
Work = Mapping[str, NDArray[Any]]


class Block(NamedTuple):
    """Positions of windows that are computed at a time: of whole images, or some rows of one image.

    Attributes:
        images: which ones, in the batch.
        rows: which rows of positions.
        here: the same images, where only those of a block are held.
        begins, ends: whether they are the first or the last rows of their images.
    """

    images: slice
    rows: slice
    here: slice
    begins: bool
    ends: bool


@dataclass(frozen=True, slots=True)
class Columns:
    """The windows of images (images, height, width, channels) as rows of a matrix for each group of channels:
    (groups, windows, window height · window width · channels of the group). A product makes `filters` values of each
    window.
    """

    geometry: Geometry
    channels: int
    filters: int
    groups: int

    @property
    def values(self) -> int:
        """Of one window in one group."""
        return self.geometry.height.window * self.geometry.width.window * self.channels // self.groups

    def block_shape(self, rows: int) -> tuple[int, int]:
        """Images, and rows of positions, of one block."""
        down, across = self.geometry.height.positions, self.geometry.width.positions
        fit = max(1, BLOCK_VALUES // (across * max(self.values * self.groups, self.filters)))
        return (min(rows, fit // down), down) if fit >= down else (1, fit)

    def work(self, rows: int) -> Memory:
        """Memory for a block: columns, what is added up at once, images with what lies around, derivatives by these."""
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

    def im2col(self, x: Array, work: Work) -> Iterator[tuple[Block, Array]]:
        """All windows of images, (images, height, width, channels), block by block; each lasts until the next one."""
        padded = work["padded"] if self.geometry.is_padded else x
        windows = self.geometry.windows(padded)
        if padded is not x:
            padded.fill(0)
        for block in self._blocks(len(x)):
            if padded is not x and block.begins:
                np.copyto(self.geometry.crop(padded)[block.here], x[block.images])
            found = self._by_group(windows[block.here, block.rows])
            columns = work["columns"][:, : found[0, ..., 0, 0, 0].size]
            self._copy(found, columns.reshape(found.shape))
            yield block, columns

    def _copy(self, windows: Array, columns: Array) -> None:
        """NumPy walks along a window's row; where that is a few values, it is faster from window to window."""
        if self.channels > self.groups:
            np.copyto(columns, windows)
            return
        for i, j in product(range(self.geometry.height.window), range(self.geometry.width.window)):
            np.copyto(columns[..., i, j, :], windows[..., i, j, :])

    def col2im(self, block: Block, columns: Array, dx: Array, work: Work) -> None:
        """Put what the columns of a block hold back where `im2col` took it, adding it up; to be called for every block.

        Windows of one row of positions overlap each other, but of every so many only one does: these are added at once.
        Rows of the window take turns, since windows of different rows of positions overlap, too.
        """
        d_padded = work["d_padded"] if self.geometry.is_padded else dx
        if block.begins:
            d_padded[block.here] = 0
        total = self._by_group(self.geometry.windows(d_padded)[block.here, block.rows])
        parts = columns.reshape(total.shape)
        width, overlap = self.geometry.width, self.geometry.width.overlap
        for i in range(self.geometry.height.window):
            for first in range(min(overlap, width.positions)):
                some = np.s_[:, :, :, first::overlap, i]
                here, part = total[some], parts[some]
                added = work["sums"][: part.size].reshape(part.shape)  # in place NumPy would make copies to be safe
                np.add(here, part, out=added)
                np.copyto(here, added)
        if d_padded is not dx and block.ends:
            np.copyto(dx[block.images], self.geometry.crop(d_padded)[block.here])

    def _blocks(self, rows: int) -> Iterator[Block]:
        images, down = self.block_shape(rows)
        positions = self.geometry.height.positions
        for first in range(0, rows, images):
            last = min(first + images, rows)
            here = slice(0, last - first) if self.geometry.is_padded else slice(first, last)
            for top in range(0, positions, down):
                bottom = min(top + down, positions)
                yield Block(slice(first, last), slice(top, bottom), here, top == 0, bottom == positions)

    def _by_group(self, windows: NDArray[Any]) -> NDArray[Any]:
        """Of (..., window height, window width, channels) the view (groups, ..., window height, window width, channels
        of a group).
        """
        *shape, channels = windows.shape
        return windows.reshape(*shape, self.groups, channels // self.groups).transpose(5, 0, 1, 2, 3, 4, 6)
