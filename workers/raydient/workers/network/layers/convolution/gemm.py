"""Convolution as a matrix product (GEMM), on the columns (im2col) of a few images at a time."""

from collections.abc import Iterator

import numpy as np

from raydient.steps.arrays import Floats
from raydient.workers.network.layers.layer import Memory
from raydient.workers.network.layers.windows import Geometry

from .algorithm import Algorithm, Part, Work, accumulate_product, by_group
from .im2col import Columns
from .transposed import TransposedConvolution


class Gemm(Algorithm):
    """With X = im2col(x), the matrix whose rows are the windows of x, z = X K, and the chain rule is that of a dense
    layer: dK = Xᵀ dz and dX = dz Kᵀ. Then dx = col2im(dX), which adds up each value of dX where im2col read it.

    X is many times as large as x, so forward and backward compute it block by block.
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

    def forward(self, x: Floats, kernel: Floats, z: Floats, work: Work) -> Iterator[Part]:
        matrix = by_group(kernel, self._groups)
        for block, columns in self._columns.im2col(x, work):
            np.matmul(columns, matrix, out=by_group(z[block.part], self._groups))
            yield block.part

    def backward(
        self, x: Floats, kernel: Floats, dz: Floats, work: Work, *, dx: Floats | None, d_kernel: Floats
    ) -> Iterator[Part]:
        matrix, transposed = by_group(kernel, self._groups), self._transposed(len(x))
        flipped = transposed.flip(kernel, work) if transposed else matrix
        total, product = by_group(d_kernel, self._groups), by_group(work["kernel"], self._groups)
        for number, (block, columns) in enumerate(self._columns.im2col(x, work)):
            yield block.part
            dz_part = by_group(dz[block.part], self._groups)
            accumulate_product(columns.swapaxes(1, 2), dz_part, total, product, is_first=number == 0)
            if dx is None:
                continue
            if transposed:
                d_padded = work["d_padded"][block.source] if self._geometry.is_padded else dx[block.images]
                transposed.input_gradient(dz[block.part], flipped, d_padded, work)
                if self._geometry.is_padded:
                    np.copyto(dx[block.images], self._geometry.crop(d_padded))
            else:
                np.matmul(dz_part, matrix.swapaxes(1, 2), out=columns)
                self._columns.col2im(block, columns, dx, work)

    def _transposed(self, rows: int) -> TransposedConvolution | None:
        """The transposed convolution that computes dx, for blocks of whole images and a stride of 1 along the height;
        else None, and col2im computes dx.
        """
        height = self._geometry.height
        is_whole = self.block_shape(rows)[1] == height.positions
        if height.stride > 1 or not is_whole:
            return None
        return TransposedConvolution(self._geometry, self._channels, self._filters, self._groups)
