"""The places of a job's parameter servers in a placement group that is requested of a fake."""

import importlib
from types import SimpleNamespace

import pytest

from raydient.spec.job import Placement
from raydient.wire.control import Role

pytestmark = pytest.mark.ray


@pytest.fixture
def placement(ray_cluster):
    """The module, imported after a cluster has set the variables that Ray reads when it is imported."""
    return importlib.import_module("raydient.server.clusters.ray_placement")


@pytest.fixture
def requested(placement, monkeypatch):
    """The arguments of the placement group that is requested."""
    asked = {}
    monkeypatch.setattr(placement, "placement_group", lambda bundles, **more: asked.update(more, bundles=bundles))
    return asked


def places(group, servers, refused=()):
    """Return the numbers of the bundles of so many parameter servers."""
    living = []
    for _ in range(servers):
        place = group.place(Role.PARAMETER_SERVER, living, refused)
        living.append(SimpleNamespace(role=Role.PARAMETER_SERVER, place=place))
    return [process.place.placement_group_bundle_index for process in living]


@pytest.mark.parametrize(
    ("workers", "servers", "bundles"), [(3, 2, [0, 1]), (2, 5, [0, 1, 0, 1, 0]), (1, 3, [0, 0, 0])]
)
def test_without_labels_servers_are_beside_the_workers_in_turn(placement, requested, workers, servers, bundles):
    group = placement.Group("job", workers, Placement(), {})
    assert places(group, servers) == bundles
    assert requested["bundles"] == [{"CPU": 1}] * workers


@pytest.fixture
def placed(placement, monkeypatch):
    """The nodes of the bundles, by their numbers."""
    nodes = {}
    monkeypatch.setattr(placement, "placement_group_table", lambda group: {"bundles_to_node_id": nodes})
    return nodes


def test_servers_avoid_bundles_on_refused_nodes(placement, requested, placed):
    group = placement.Group("job", 3, Placement(), {})
    placed.update({0: "odd", 1: "a", 2: "b"})
    assert places(group, 3, ["odd"]) == [1, 2, 1]
    assert group.place(Role.PARAMETER_SERVER, [], ["odd", "a", "b"]) is None
    assert group.place(Role.WORKER, [], ["odd"]) is None


def test_labelled_servers_leave_a_room_on_a_refused_node(placement, requested, placed):
    group = placement.Group("job", 1, Placement(parameter_server={"disk": "fast"}), {})
    placed.update({0: "a", 1: "odd"})
    assert group.place(Role.PARAMETER_SERVER, [], ["odd"]) is None
    assert group.server_labels == {"disk": "fast"}


def test_with_labels_all_servers_share_one_room_of_their_own(placement, requested):
    group = placement.Group("job", 2, Placement(parameter_server={"disk": "fast"}), {})
    assert places(group, 3) == [2, 2, 2]
    assert len(requested["bundles"]) == 3
    assert requested["bundle_label_selector"] == [{}, {}, {"disk": "fast"}]


def test_without_workers_the_servers_have_a_room(placement, requested):
    group = placement.Group("job", 0, Placement(), {})
    assert places(group, 2) == [0, 0]
    assert len(requested["bundles"]) == 1
