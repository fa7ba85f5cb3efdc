"""The registry of kinds of clusters."""

import json

import pytest

from raydient.server.clusters import opening
from raydient.server.clusters.cluster import ClusterError
from raydient.server.clusters.local import LocalCluster
from raydient.server.clusters.opening import KINDS, Kind, open_cluster, reopen_cluster


@pytest.mark.parametrize("description", [{"kind": "slurm", "slots": 4}, {"slots": 4}, {"kind": ["local"]}])
def test_an_unknown_kind_is_refused_and_the_known_ones_are_named(description):
    with pytest.raises(ClusterError, match=r"is no kind of cluster; known kinds: local, ray"):
        reopen_cluster(json.dumps(description))


def test_the_name_of_a_kind_must_match_exactly():
    with pytest.raises(ClusterError, match="'Ray' is no kind of cluster"):
        open_cluster("Ray", slots=4)


def test_a_new_kind_needs_one_entry(monkeypatch):
    kinds = {"remote": Kind(lambda slots, address: LocalCluster(slots + len(address)), lambda slots, host: slots)}
    monkeypatch.setattr(opening, "KINDS", {**KINDS, **kinds})
    assert open_cluster("remote", slots=4, address="abc").slots == 7
    assert reopen_cluster('{"kind": "remote", "slots": 4, "host": "abc"}') == 4


def test_a_local_cluster_has_nothing_to_join():
    with pytest.raises(ClusterError, match="no address"):
        open_cluster("local", slots=4, address="10.0.0.1:6379")
