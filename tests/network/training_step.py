"""Initial weights, and the sums and the gradient that a program computes for a batch."""

import numpy as np

from raydient.workers.network import Pass
from raydient.workers.network.ends import by_name


def initial(network, seed=1, dtype=np.float32):
    """Return the initial weights of a network, (layout.size,)."""
    vector = np.full(network.layout.size, np.nan, np.float32)
    network.initialize(seed, vector)
    return vector.astype(dtype)


def step(program, vector, batch, scale=None, pass_=Pass()):  # noqa: B008  (it is immutable)
    """Return the sums and the gradient of a batch at the weights `vector`.

    `batch` holds samples and labels, each an array or, by name, several. `scale` is 1 / rows unless it is set.
    """
    for values, arrays in zip(batch, (program.xs, program.ys), strict=True):
        for name, array in by_name(values, arrays).items():
            arrays[name][...] = array
    weights, gradient = program.network.bind(vector), np.full_like(vector, np.nan)
    sums = program.forward(weights, pass_).copy()
    program.backward(weights, program.network.bind(gradient), scale or 1 / program.rows)
    return sums, gradient
