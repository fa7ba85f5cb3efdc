"""The derivative by the input as a transposed convolution: fewer additions than col2im, for a stride of 1."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from raydient.steps.arrays import Floats
from raydient.workers.network.layers.layer import Memory
from raydient.workers.network.layers.windows import Geometry

from .algorithm import Work


@dataclass(frozen=True, slots=True)
class TransposedConvolution:
    """dx[h] = Σ_i dz[h - i d] K_iᵀ along the height, with kernel rows K_i, dilation d and a stride of 1.

    Rows of dz, side by side, are the columns of a matrix product that sums over the rows i of the kernel. The overlaps
    along the width remain to be added.
    """

    geometry: Geometry
    channels: int
    filters: int
    groups: int

    def work(self, images: int) -> Memory:
        """Memory for a block of `images` images."""
        h, w = self.geometry.height, self.geometry.width
        filters = self.filters // self.groups
        places = images * h.padded * -(-w.positions // w.overlap)
        return {
            "d_rows": ((images, h.padded + h.extent - 1, w.positions, self.filters), None),
            "d_columns": ((places * h.window * self.filters,), None),
            "d_sums": ((places * w.window * self.channels,), None),
            "d_kernel": ((self.groups, h.window, filters, w.window, self.channels // self.groups), None),
        }

    def flip(self, kernel: Floats, work: Work) -> Floats:
        """The kernel (height, width, channels of a group, filters) with its rows reversed, for `input_gradient`:
        (groups, height · filters of a group, width · channels of a group).
        """
        flipped: Floats = work["d_kernel"]
        groups, height, filters, width, channels = flipped.shape
        parts = kernel.reshape(height, width, channels, groups, filters)
        np.copyto(flipped, parts[::-1].transpose(3, 0, 4, 1, 2))
        return flipped.reshape(groups, height * filters, width * channels)

    def input_gradient(self, dz: Floats, flipped: Floats, d_padded: Floats, work: Work) -> None:
        """Compute the derivatives by padded images, (images, padded height, padded width, channels).

        Args:
            dz: (images, positions down, positions across, filters).
            flipped: the kernel as `flip` returns it.
            d_padded: overwritten with the result.
            work: the arrays of `work`.
        """
        rows, edge = work["d_rows"][: len(dz)], self.geometry.height.extent - 1
        rows[:, :edge] = rows[:, rows.shape[1] - edge :] = 0
        np.copyto(rows[:, edge : rows.shape[1] - edge], dz)
        d_padded.fill(0)
        all_columns, totals = self._columns_of(rows), self._windows_of(d_padded)
        overlap = self.geometry.width.overlap
        for first in range(min(overlap, dz.shape[2])):
            columns, total = all_columns[:, :, :, first::overlap], totals[:, :, :, first::overlap]
            matrix = work["d_columns"][: columns.size].reshape(self.groups, -1, flipped.shape[1])
            np.copyto(matrix.reshape(columns.shape), columns)
            sums = work["d_sums"][: total.size].reshape(total.shape)
            np.matmul(matrix, flipped, out=sums.reshape(self.groups, -1, flipped.shape[2]))
            np.add(total, sums, out=sums)
            np.copyto(total, sums)

    def _columns_of(self, rows: Floats) -> Floats:
        """A view of dz between rows of zeros: (groups, images, padded height, positions across, kernel height, filters
        of a group).
        """
        images, _, across, filters = rows.shape
        n, down, right, f = rows.strides
        height = self.geometry.height
        size = filters // self.groups
        return as_strided(
            rows,
            (self.groups, images, height.padded, across, height.window, size),
            (f * size, n, down, right, down * height.dilation, f),
        )

    def _windows_of(self, d_padded: Floats) -> Floats:
        """A view of derivatives by padded images: (groups, images, padded height, positions across, kernel width,
        channels of a group).
        """
        images, down, _, channels = d_padded.shape
        n, h, w, c = d_padded.strides
        width = self.geometry.width
        size = channels // self.groups
        return as_strided(
            d_padded,
            (self.groups, images, down, width.positions, width.window, size),
            (c * size, n, h, w * width.stride, w * width.dilation, c),
        )
