"""Convolutions whose windows are single values: a matrix product of the images as they lie in memory."""

from collections.abc import Iterator

import numpy as np

from raydient.workers.network.layers.layer import Memory, blocks
from raydient.workers.network.layers.windows import Array, Geometry

from .algorithm import Algorithm, Part, Work, by_group
from .im2col import BLOCK_VALUES


class Pointwise(Algorithm):
    """A kernel of height and width 1 that moves by 1 over images without padding: a dense layer at each place. With x
    a matrix that has a row for each place, z = x K, dK = xᵀ dz and dx = dz Kᵀ.
    """

    def __init__(self, geometry: Geometry, channels: int, filters: int, groups: int) -> None:
        self._places = geometry.height.size, geometry.width.size
        self._channels, self._filters, self._groups = channels, filters, groups

    @staticmethod
    def fits(geometry: Geometry) -> bool:
        """True if a convolution is such a one."""
        axes = geometry.height, geometry.width
        return not geometry.is_padded and all(one.window == one.stride == 1 for one in axes)

    def block_shape(self, rows: int) -> tuple[int, int]:
        down, across = self._places
        return max(1, min(rows, BLOCK_VALUES // (down * across * max(self._channels, self._filters)))), down

    def work(self, rows: int) -> Memory:
        return {"kernel": ((1, 1, self._channels // self._groups, self._filters), None)}

    def forward(self, x: Array, kernel: Array, z: Array, work: Work) -> Iterator[Part]:
        matrix = by_group(kernel, self._groups)
        for images in blocks(len(x), self.block_shape(len(x))[0]):
            np.matmul(by_group(x[images], self._groups), matrix, out=by_group(z[images], self._groups))
            yield images, slice(None)

    def backward(
        self, x: Array, kernel: Array, dz: Array, work: Work, *, dx: Array | None, d_kernel: Array
    ) -> Iterator[Part]:
        transposed = by_group(kernel, self._groups).swapaxes(1, 2)
        sums = d_kernel  # the first block's go there, those of the others to `work` and from there are added
        for images in blocks(len(x), self.block_shape(len(x))[0]):
            yield images, slice(None)
            part = by_group(dz[images], self._groups)
            np.matmul(by_group(x[images], self._groups).swapaxes(1, 2), part, out=by_group(sums, self._groups))
            if sums is not d_kernel:
                np.add(d_kernel, sums, out=d_kernel)
            sums = work["kernel"]
            if dx is not None:
                np.matmul(part, transposed, out=by_group(dx[images], self._groups))
