"""Ways to compute a convolution: all the same numbers, up to the order of their sums."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from raydient.workers.network.layers.layer import Memory
from raydient.workers.network.layers.windows import Array

Work = Mapping[str, NDArray[Any]]
Part = tuple[slice, slice]
"""Which images of the batch, and which rows of positions of these."""


class Algorithm(ABC):
    """One way, for one layer: block by block, so that whoever works on a block, too, finds it in the cache.

    x and dx are (images, height, width, channels), z and dz (images, positions down, positions across, filters), the
    kernel (height, width, channels of a group, filters).
    """

    @abstractmethod
    def block_shape(self, rows: int) -> tuple[int, int]:
        """Images, and rows of positions, of the largest block, for a batch of so many images."""

    @abstractmethod
    def work(self, rows: int) -> Memory:
        """Arrays that it needs within a call, see `Layer.work`."""

    @abstractmethod
    def forward(self, x: Array, kernel: Array, z: Array, work: Work) -> Iterator[Part]:
        """Compute z, the bias left out; each part is given out as soon as it is there, and may then be changed."""

    @abstractmethod
    def backward(
        self, x: Array, kernel: Array, dz: Array, work: Work, *, dx: Array | None, d_kernel: Array
    ) -> Iterator[Part]:
        """Compute dx, unless it is None, and d_kernel, the derivatives by x and by the kernel. Each part of dz is given
        out before it is read, to be completed; the derivatives are there when there are no more parts.
        """


def by_group(array: Array, groups: int) -> Array:
    """Of (..., channels) the view as a matrix for each group: (groups, ..., channels of a group)."""
    return array.reshape(-1, groups, array.shape[-1] // groups).swapaxes(0, 1)
