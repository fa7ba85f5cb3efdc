"""Where a worker goes that is placed by itself."""

import pytest

from raydient.server.clusters.placing import prefer


@pytest.mark.parametrize(
    ("free", "held", "packed", "spread"),
    [
        ({}, {}, None, None),
        ({"a": 0.0, "b": 0.5}, {"a": 2}, None, None),
        ({"a": 1.0, "b": 3.0}, {}, "b", "b"),
        ({"a": 1.0, "b": 3.0}, {"a": 1}, "a", "b"),
        ({"a": 0.0, "b": 1.0, "c": 1.0}, {"a": 3, "b": 1}, "b", "c"),
        ({"a": 1.0, "b": 2.0}, {"a": 2, "b": 2, "gone": 5}, "b", "b"),
    ],
)
def test_beside_most_of_the_job_or_beside_fewest(free, held, packed, spread):
    assert prefer(free, held, spread=False) == packed
    assert prefer(free, held, spread=True) == spread
