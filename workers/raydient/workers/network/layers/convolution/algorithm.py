"""The interface of the algorithms for a convolution. Their results are equal up to the order of sums."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

import numpy as np

from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.network.layers.layer import Memory

Work = Mapping[str, AnyArray]
Part = tuple[slice, slice]
"""A part of the output: images of the batch, and rows of positions of these images."""


class Algorithm(ABC):
    """One algorithm for one layer. It works in blocks, so that a block is still in the cache when the caller uses it.

    x and dx are (images, height, width, channels), z and dz (images, positions down, positions across, filters), the
    kernel (height, width, channels of a group, filters).
    """

    @abstractmethod
    def block_shape(self, rows: int) -> tuple[int, int]:
        """Numbers of images, and of rows of positions, of the largest block for a batch of `rows` images."""

    @abstractmethod
    def work(self, rows: int) -> Memory:
        """Arrays that the algorithm needs within a call, see `Layer.work`."""

    @abstractmethod
    def forward(self, x: Floats, kernel: Floats, z: Floats, work: Work) -> Iterator[Part]:
        """Compute z without the bias. Yield each part of z when it is complete; the caller may change it then."""

    @abstractmethod
    def backward(
        self, x: Floats, kernel: Floats, dz: Floats, work: Work, *, dx: Floats | None, d_kernel: Floats
    ) -> Iterator[Part]:
        """Compute d_kernel and, unless it is None, dx: the derivatives by the kernel and by x.

        Yield each part of dz before it is read, so that the caller can complete it. The derivatives are complete when
        the iterator is exhausted.
        """


def by_group(array: Floats, groups: int) -> Floats:
    """A view of (..., channels) as one matrix for each group: (groups, ..., channels of a group)."""
    return array.reshape(-1, groups, array.shape[-1] // groups).swapaxes(0, 1)


def accumulate_product(a: Floats, b: Floats, total: Floats, product: Floats, *, is_first: bool) -> None:
    """Write the matrix product of `a` and `b` to `total`; unless it is the first, add it. `product` is scratch."""
    if is_first:
        np.matmul(a, b, out=total)
    else:
        np.matmul(a, b, out=product)
        np.add(total, product, out=total)


def windows_by_group(windows: AnyArray, groups: int) -> AnyArray:
    """A view of windows (..., height, width, channels) as (groups, ..., height, width, channels of a group)."""
    *shape, channels = windows.shape
    return np.moveaxis(windows.reshape(*shape, groups, channels // groups), -2, 0)


def groups_problem(groups: int, *, channels: int, filters: int) -> str | None:
    """The reason why channels and filters have no such number of groups, or None."""
    for count, what in ((channels, "channels"), (filters, "filters")):
        if count % groups:
            return f"has {groups} groups, which do not divide {count} {what}"
    return None
