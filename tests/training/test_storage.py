"""Sums and scores of an unfinished epoch are used only if they belong to the metrics of the network."""

import numpy as np
import pytest

from raydient.server.training.storage import fits
from raydient.spec import network as spec
from raydient.steps.scores import EPOCH_SCORES
from raydient.workers.network import build


@pytest.fixture
def make_network():
    def make(*metrics):
        layers = [{"dense": {"units": 1}}]
        return build(
            spec.Network.model_validate({"layers": layers, "loss": "binary_cross_entropy", "metrics": metrics}), (2,)
        )

    return make


def scores(size):
    return {EPOCH_SCORES: np.zeros(size, np.uint8)}


def test_a_network_whose_metrics_are_sums(make_network):
    network = make_network("precision")
    assert fits(network, [3.0] + [0.0] * network.sums, {})
    assert not fits(network, [3.0] + [0.0] * (network.sums + 1), {})
    assert not fits(network, [3.0] + [0.0] * network.sums, scores(15))


def test_a_network_that_ranks_rows(make_network):
    network = make_network("auc")
    sums = [3.0] + [0.0] * network.sums
    assert fits(network, sums, scores(15))
    assert fits(network, [0.0] * len(sums), scores(0))
    assert not fits(network, sums, scores(20))
    assert not fits(network, sums, {})
