"""The number of parameter servers of a job, and their ranges."""

import pytest

from raydient.server.training.servers import BYTES_EACH, MOST_BY_SIZE, shard_ranges
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job
from raydient.steps.layout import Layout
from raydient.steps.ranges import PIECE

LAYOUT = Layout.of([("a.kernel", (64 * PIECE,))])
VECTORS = BYTES_EACH // (4 * LAYOUT.size)
"""So many vectors of this layout take the bytes of one server."""


@pytest.mark.parametrize(
    ("vectors", "servers"),
    [(1, 1), (VECTORS, 1), (VECTORS + 1, 2), (2 * VECTORS, 2), (7 * VECTORS + 1, 8), (100 * VECTORS, MOST_BY_SIZE)],
)
def test_by_size_there_is_a_server_for_each_gibibyte_up_to_eight(vectors, servers):
    assert len(shard_ranges(LAYOUT, vectors * LAYOUT.size, None)) == servers


def test_by_size_there_are_no_more_servers_than_pieces():
    layout = Layout.of([("a.kernel", (3 * PIECE,))])
    assert len(shard_ranges(layout, 100 * BYTES_EACH, None)) == 3


def test_a_network_without_weights_has_one_server():
    assert shard_ranges(Layout.of([]), 0, None) == [(0, 0)]


@pytest.mark.parametrize("wanted", [1, 2, 5, 64])
def test_ranges_hold_each_weight_once(wanted):
    divided = shard_ranges(LAYOUT, LAYOUT.size, wanted)
    assert len(divided) == wanted
    assert [start for start, _ in divided] == [0, *(stop for _, stop in divided[:-1])]
    assert divided[-1][1] == LAYOUT.size
    assert all(stop > start for start, stop in divided)


def test_more_servers_than_pieces_are_refused_with_the_field():
    with pytest.raises(InvalidSpec) as refused:
        shard_ranges(LAYOUT, LAYOUT.size, 65)
    (error,) = refused.value.errors
    assert error.path == "resources.parameter_servers"
    assert error.message.startswith("65 is more than the 64 pieces of the network's 524288 weights")


@pytest.mark.parametrize("number", [0, -1, 65, 1.5, "two"])
def test_a_number_that_cannot_be_is_refused_with_the_field(number):
    spec = {
        "dataset": {"uri": "a.csv", "label": "y"},
        "network": {"layers": [{"dense": {"units": 2}}], "loss": "softmax_cross_entropy"},
        "resources": {"parameter_servers": number},
    }
    with pytest.raises(InvalidSpec) as refused:
        validate_job(spec)
    assert [error.path for error in refused.value.errors] == ["resources.parameter_servers"]
