"""Pointwise convolution: windows of a single value, so that the images in memory are the factor of a product."""

from collections.abc import Iterator

import numpy as np

from raydient.steps.arrays import Floats
from raydient.workers.network.layers.layer import Memory, blocks
from raydient.workers.network.layers.windows import Geometry

from .algorithm import Algorithm, Part, Work, accumulate_product, by_group
from .im2col import BLOCK_VALUES


class Pointwise(Algorithm):
    """A kernel of height and width 1 with stride 1, over images without padding: a dense layer at each place.

    With x as a matrix that has a row for each place, z = x K, dK = xᵀ dz and dx = dz Kᵀ.
    """

    def __init__(self, geometry: Geometry, channels: int, filters: int, groups: int) -> None:
        self._places = geometry.height.size, geometry.width.size
        self._channels, self._filters, self._groups = channels, filters, groups

    @staticmethod
    def fits(geometry: Geometry) -> bool:
        """True if a convolution of this geometry is pointwise."""
        axes = geometry.height, geometry.width
        return not geometry.is_padded and all(axis.window == axis.stride == 1 for axis in axes)

    def block_shape(self, rows: int) -> tuple[int, int]:
        down, across = self._places
        return max(1, min(rows, BLOCK_VALUES // (down * across * max(self._channels, self._filters)))), down

    def work(self, rows: int) -> Memory:
        return {"kernel": ((1, 1, self._channels // self._groups, self._filters), None)}

    def forward(self, x: Floats, kernel: Floats, z: Floats, work: Work) -> Iterator[Part]:
        matrix = by_group(kernel, self._groups)
        for images in blocks(len(x), self.block_shape(len(x))[0]):
            np.matmul(by_group(x[images], self._groups), matrix, out=by_group(z[images], self._groups))
            yield images, slice(None)

    def backward(
        self, x: Floats, kernel: Floats, dz: Floats, work: Work, *, dx: Floats | None, d_kernel: Floats
    ) -> Iterator[Part]:
        transposed = by_group(kernel, self._groups).swapaxes(1, 2)
        total, product = by_group(d_kernel, self._groups), by_group(work["kernel"], self._groups)
        for images in blocks(len(x), self.block_shape(len(x))[0]):
            yield images, slice(None)
            dz_part = by_group(dz[images], self._groups)
            x_transposed = by_group(x[images], self._groups).swapaxes(1, 2)
            accumulate_product(x_transposed, dz_part, total, product, is_first=images.start == 0)
            if dx is not None:
                np.matmul(dz_part, transposed, out=by_group(dx[images], self._groups))
