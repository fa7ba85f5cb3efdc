"""The clusters of both kinds, for the contract that they share."""

import pytest

from raydient.server.clusters.local import LocalCluster


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.ray)])
def cluster(request):
    """A cluster to start processes on; processes that a test left running are ended."""
    if request.param == "ray":
        yield request.getfixturevalue("ray_cluster")
        return
    local = LocalCluster(4)
    yield local
    local.close()
