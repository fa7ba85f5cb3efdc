"""A convolution as matrix products: with the columns of a few images at a time, so that they stay in the cache."""

from collections.abc import Iterator

import numpy as np

from raydient.workers.network.layers.layer import Memory
from raydient.workers.network.layers.windows import Array, Geometry

from .algorithm import Algorithm, Part, Work, by_group
from .im2col import Columns
from .transposed import TransposedConvolution


class Gemm(Algorithm):
    """With X the matrix whose rows are the windows of x, z = X K, and the chain rule is that of a dense layer:
    dK = Xᵀ dz, dX = dz Kᵀ; dx adds dX up, each value where it was taken from. X is many times as large as x, so it is
    made anew for a few images at a time, backward as well as forward.
    """

    def __init__(self, geometry: Geometry, channels: int, filters: int, groups: int) -> None:
        self._geometry, self._channels, self._filters, self._groups = geometry, channels, filters, groups
        self._columns = Columns(geometry, channels, filters, groups)

    def block_shape(self, rows: int) -> tuple[int, int]:
        return self._columns.block_shape(rows)

    def work(self, rows: int) -> Memory:
        images, _ = self.block_shape(rows)
        h, w, transposed = self._geometry.height, self._geometry.width, self._transposed(rows)
        kernel = (h.window, w.window, self._channels // self._groups, self._filters)
        return {
            **self._columns.work(rows),
            **(transposed.work(images) if transposed else {}),
            "kernel": (kernel, None),
        }

    def forward(self, x: Array, kernel: Array, z: Array, work: Work) -> Iterator[Part]:
        matrix = by_group(kernel, self._groups)
        for block, columns in self._columns.im2col(x, work):
            np.matmul(columns, matrix, out=by_group(z[block.images, block.rows], self._groups))
            yield block.images, block.rows

    def backward(
        self, x: Array, kernel: Array, dz: Array, work: Work, *, dx: Array | None, d_kernel: Array
    ) -> Iterator[Part]:
        matrix, transposed = by_group(kernel, self._groups), self._transposed(len(x))
        flipped = transposed.flip(kernel, work) if transposed else matrix
        sums = d_kernel  # the first block's go there, those of the others to `work` and from there are added
        for block, columns in self._columns.im2col(x, work):
            yield block.images, block.rows
            part = dz[block.images, block.rows]
            parts = by_group(part, self._groups)
            np.matmul(columns.swapaxes(1, 2), parts, out=by_group(sums, self._groups))
            if sums is not d_kernel:
                np.add(d_kernel, sums, out=d_kernel)
            sums = work["kernel"]
            if dx is None:
                continue
            if transposed:
                d_padded = work["d_padded"][block.here] if self._geometry.is_padded else dx[block.images]
                transposed.input_gradient(part, flipped, d_padded, work)
                if self._geometry.is_padded:
                    np.copyto(dx[block.images], self._geometry.crop(d_padded))
            else:
                np.matmul(parts, matrix.swapaxes(1, 2), out=columns)
                self._columns.col2im(block, columns, dx, work)

    def _transposed(self, rows: int) -> TransposedConvolution | None:
        """How derivatives by the inputs are computed where blocks are of whole images and the stride allows it."""
        height = self._geometry.height
        whole = self.block_shape(rows)[1] == height.positions
        if height.stride > 1 or not whole:
            return None
        return TransposedConvolution(self._geometry, self._channels, self._filters, self._groups)
