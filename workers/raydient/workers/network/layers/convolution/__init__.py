"""Convolution: `Conv1d` and `Conv2d`, the algorithms that compute them, and transposed convolution.

The shapes of a layer alone choose its algorithm, never the batch or the machine: the algorithm decides on the order of
sums, and so on bits.

| algorithm | module | chosen for |
|---|---|---|
| `Depthwise` | `depthwise` | groups of few channels and filters: a matrix product of each would be too small |
| `Pointwise` | `pointwise` | kernels of height and width 1, stride 1, no padding: x itself is the matrix |
| `Gemm` | `gemm` | all other shapes: im2col, then one matrix product (GEMM) per block of images |

`Gemm` computes dx in one of two ways. With a stride of 1 along the height it is a transposed convolution
(`transposed`); in general the columns of the derivative are added up where they were taken from (col2im, in `im2col`).
"""

from .conv import Conv1d, Conv2d
from .conv_transpose import Conv1dTranspose, Conv2dTranspose

__all__ = ["Conv1d", "Conv1dTranspose", "Conv2d", "Conv2dTranspose"]
