"""Layers that are random or look at a whole microbatch: workers are no input to the weights with them either."""

import pytest

from .conftest import execute

NETWORKS = {
    "dropout": [
        {"dense": {"units": 32, "activation": "relu"}},
        {"dropout": {"rate": 0.3}},
        {"layer_normalization": {}},
        {"dense": {"units": 3}},
    ],
}


@pytest.mark.parametrize("network", NETWORKS)
def test_any_number_of_workers(job, local, tmp_path, network):
    layers = {"layers": NETWORKS[network], "loss": "softmax_cross_entropy"}
    digests = {
        execute(job(workers, network=layers, epochs=2), local, tmp_path / str(workers)).digest for workers in (1, 3)
    }
    assert len(digests) == 1
