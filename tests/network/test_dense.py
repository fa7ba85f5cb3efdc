"""The derivative of the dense layer by its input: both ways of computing it against explicit sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.workers.network import Program, random_batch
from raydient.workers.network.layers import dense

from .training_step import step


@given(
    rows=st.integers(1, 9),
    places=st.lists(st.integers(1, 3), max_size=2),
    units=st.integers(1, 40),
    transposed_from=st.sampled_from([1, dense.TRANSPOSED_FROM]),
)
@settings(deadline=None, max_examples=60)
def test_equals_sums_written_out(make_network, rows, places, units, transposed_from):
    before = {"dense": {"units": 6, "name": "before"}}
    layers = [before, {"dense": {"units": units, "name": "middle"}}, "flatten"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "TRANSPOSED_FROM", transposed_from)
        network = make_network(layers, "sum_squared_error", (*places, 2))
        program = Program(network, rows, np.float64)
    is_transposed = "transposed" in program.buffers[1].work
    assert is_transposed == (transposed_from == 1 and rows * np.prod(places) <= units // 4)

    vector = np.random.default_rng(1).normal(size=network.layout.size)
    _, gradient = step(program, vector, random_batch(network, 2, rows), 1.0)
    kernel = network.layout.views(vector)["middle.kernel"]
    dz = 2 * (program.outputs[1] - program.y.reshape(program.outputs[1].shape))
    dx = np.einsum("...u,iu->...i", dz, kernel)
    expected = np.einsum("ni,nu->iu", program.x.reshape(-1, 2), dx.reshape(-1, 6))
    np.testing.assert_allclose(network.layout.views(gradient)["before.kernel"], expected, rtol=1e-10, atol=1e-12)
