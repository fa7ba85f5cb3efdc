"""The probe: a digest of products, sums and functions, equal on machines whose arithmetic gives the same bits.

Names of libraries and processors do not determine bits: OpenBLAS, for instance, chooses the sizes of its blocks from
the sizes of caches on some processors, and a block's end is an end of a sum. So the probe computes: matrix products
whose sums are longer than any block, sums of awkward lengths, and the functions that training uses, at lengths with and
without a remainder for every vector width. It leaves out the functions that a portable process computes from basic
operations, because no machine has other bits for those.
"""

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .portable import portable

_Array = NDArray[Any]

PRODUCTS = (
    # A row of a product, then small products, which some versions of OpenBLAS compute with other code.
    (1, 65, 33), (3, 17, 5), (32, 64, 10), (33, 127, 47),
    # Sums around the lengths at which OpenBLAS ends a block: 192 to 640 in float32, by processor.
    (24, 191, 40), (24, 257, 40), (24, 321, 40), (24, 353, 40), (24, 385, 40), (24, 449, 40), (24, 513, 40),
    (24, 641, 40), (24, 769, 40), (24, 1025, 40),
    # Several blocks, where another size moves each end.
    (17, 4099, 19),
    # More rows or columns than a block has.
    (1030, 70, 20), (20, 70, 1030), (130, 390, 130),
)  # fmt: skip
"""Shapes (rows, terms, columns) of products."""
LENGTHS = (1, 3, 7, 8, 15, 17, 31, 33, 63, 127, 130, 1031)
"""Lengths of vectors for functions and sums: multiples of no vector width, and remainders."""
VALUES = 4099 * 19
FUNCTIONS = (np.exp, np.tanh, np.sqrt, np.log, np.reciprocal)


@cache
def probe() -> str:
    """Return the SHA-256 of the probe's results, hexadecimal. The first call computes for some milliseconds.

    The number of BLAS threads has to be 1, as it is in every process of a job.
    """
    digest = sha256()
    for result in _results():
        digest.update(np.ascontiguousarray(result).data)
    return digest.hexdigest()


def _results() -> Iterator[_Array]:
    # A multiplicative hash of the index; the values are exact, and no library's choice is in them.
    wide = (np.arange(1, VALUES + 1, dtype=np.uint32) * np.uint32(2654435769)).astype(np.float64) / 2.0**31 - 1
    values = wide.astype(np.float32)
    yield from _products(values)
    yield np.linalg.qr(wide[:960].reshape(40, 24))[0]  # for orthogonal initial weights
    for length in LENGTHS:
        yield from _sums(values[:length])
        yield from _sums(wide[:length])
        yield from _functions(values[:length])
    if not portable():
        yield np.exp(wide[:1031])
        yield from _draws()


def _products(values: _Array) -> Iterator[_Array]:
    """Yield products of matrices in the three forms that a dense layer uses."""
    for rows, terms, columns in PRODUCTS:
        a, b = values[: rows * terms], values[-terms * columns :]
        yield a.reshape(rows, terms) @ b.reshape(terms, columns)
        yield a.reshape(terms, rows).T @ b.reshape(terms, columns)
        yield a.reshape(rows, terms) @ b.reshape(columns, terms).T


def _sums(values: _Array) -> Iterator[_Array]:
    yield np.add.reduce(values)
    yield np.add.reduce(values.reshape(-1, 1) * values[:9], axis=0)
    yield np.vecdot(values, values)
    yield np.einsum("i,i->", values, values)


def _functions(values: _Array) -> Iterator[_Array]:
    """Yield functions over the range in which training uses them."""
    for factor in (1, 20):
        z = values * factor
        positive = np.abs(z) + values.dtype.type(1e-3)
        for function in FUNCTIONS:
            yield function(positive)
        yield np.exp(-positive)
        yield np.tanh(z)
        yield z / positive
        if not portable():
            yield np.expm1(-positive)
            yield np.log1p(positive)


def _draws() -> Iterator[_Array]:
    """Yield normal numbers, as initializers draw them, and powers, as Adam's corrections take them."""
    generator = np.random.Generator(np.random.Philox(key=1))
    yield generator.standard_normal(1000)
    yield generator.standard_normal(1000, dtype=np.float32)
    yield np.array([(1 - 0.999**step) ** 0.5 for step in range(1, 60)])
