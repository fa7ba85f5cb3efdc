"""Gradients that travel, in any order of the messages about their rounds."""

import numpy as np
import pytest

from raydient.server.parameters.sources import Received
from raydient.steps.gradient import GradientLayout
from raydient.wire.connection import Frame
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.terms import Terms

NODE = (0, 2)


class Sink:
    """A connection that takes everything."""

    def begin(self, header, length):
        pass

    def more(self, part):
        pass


@pytest.fixture
def received():
    terms = Terms(GradientLayout(4), slots=2, sums=1, ranges=((0, 2), (2, 4)))
    return Received(Sink(), np.zeros(2, np.float32), terms, 1, 1)


def arrive(received, round_, value):
    """Have the gradient of a node arrive."""
    header = Header(Kind.GRADIENT, 1, round_, *NODE, length=8)
    buffer = received.allocate(header)
    buffer[:] = np.full(2, value, np.float32).tobytes()
    received.keep(Frame(header, buffer))


def test_a_gradient_that_overtakes_an_evaluation_and_its_own_round_counts(received):
    received.begin(2, version=2)
    arrive(received, 4, 7.0)
    received.begin(3, version=3)  # an evaluation, for which workers send no gradients
    received.begin(4, version=3)
    assert received.gradient(4, NODE, 0).vector.tolist() == [7.0, 7.0]


def test_gradients_of_earlier_rounds_are_dropped(received):
    received.begin(2, version=2)
    arrive(received, 2, 7.0)
    received.begin(3, version=3)
    with pytest.raises(ProtocolError, match="no gradient"):
        received.gradient(2, NODE, 0)


def test_buffers_of_earlier_rounds_are_used_again(received):
    addresses = set()
    for round_ in range(20):
        received.begin(round_, version=round_)
        arrive(received, round_, 1.0)
        addresses.add(received.gradient(round_, NODE, 0).vector.ctypes.data)
    assert len(addresses) == 1
