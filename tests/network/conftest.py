"""A fixture that builds a network in one line."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from raydient.spec import network as spec
from raydient.workers.network import Network, build

MakeNetwork = Callable[..., Network]


@pytest.fixture(scope="session")
def make_network() -> MakeNetwork:
    """Return `make_network(layers, loss, input_shape, metrics)`, with arguments as in a job file."""

    def make(
        layers: Sequence[Any],
        loss: Any = "softmax_cross_entropy",
        input_shape: tuple[int, ...] = (6,),
        metrics: Sequence[Any] = (),
    ) -> Network:
        return build(spec.Network.model_validate({"layers": layers, "loss": loss, "metrics": metrics}), input_shape)

    return make
