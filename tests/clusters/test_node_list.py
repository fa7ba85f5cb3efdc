"""Nodes that join and leave, the choice among them, and the versions that they must share, without a cluster."""

import logging
import platform
import threading

import numpy as np
import pytest

from raydient.server.clusters import nodes as module
from raydient.server.clusters.nodes import Node, Nodes, disagreement, installed, prefer

A, B, C = Node("aaaaaaaaaaaa", "10.0.0.1", 2), Node("bbbbbbbbbbbb", "10.0.0.2", 4), Node("cccccccccccc", "10.0.0.2", 8)
OURS = {"Python": "3.11.7", "raydient": "0.1.0", "ray": "2.60.0", "numpy": "2.4.6"}


class Cluster:
    """Nodes that are alive, and the results of their inspection."""

    def __init__(self, *alive):
        self.alive, self.answers, self.asked = list(alive), {A: "", B: "", C: ""}, []
        self.nodes = Nodes(lambda: self.alive, self.inspect)
        self.nodes.update()

    def inspect(self, node):
        self.asked.append(node)
        return self.answers[node]


def test_slots_are_the_cpus_of_the_living_nodes():
    cluster = Cluster(A)
    assert cluster.nodes.slots == 2
    cluster.alive.append(B)
    cluster.nodes.update()
    assert cluster.nodes.slots == 6
    cluster.alive.remove(A)
    cluster.nodes.update()
    assert cluster.nodes.slots == 4


def test_a_node_adds_no_slots_before_it_is_known_to_be_usable():
    cluster = Cluster(A)
    cluster.answers[B] = None
    cluster.alive.append(B)
    cluster.nodes.update()
    assert (cluster.nodes.slots, cluster.nodes.unknown, cluster.nodes.refused) == (2, [B], {})
    cluster.answers[B] = "it has other versions"
    cluster.nodes.update()
    assert (cluster.nodes.slots, cluster.nodes.unknown, cluster.nodes.refused) == (2, [], {B: cluster.answers[B]})


def test_a_node_is_inspected_until_it_answers():
    cluster = Cluster(A)
    cluster.answers[B] = None
    cluster.alive.append(B)
    cluster.nodes.update()
    cluster.answers[B] = ""
    cluster.nodes.update()
    cluster.nodes.update()
    assert cluster.asked == [A, B, B]


def test_changes_of_nodes_are_logged_once(caplog, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    cluster = Cluster(A)
    looks, looked = 0, threading.Condition()

    def look():
        nonlocal looks
        with looked:
            looks += 1
            looked.notify_all()
        return list(cluster.alive)

    cluster.nodes = Nodes(look, cluster.inspect)
    cluster.nodes.update()
    cluster.answers[C] = "node 10.0.0.2 (cccccccc) has numpy 1, this service has numpy 2"

    def settle():
        with looked:
            enough = looks + 3
            assert looked.wait_for(lambda: looks >= enough, timeout=20)

    with caplog.at_level(logging.INFO):
        cluster.nodes.watch()
        cluster.alive = [B, C]
        settle()
        cluster.alive = [C]
        settle()
        cluster.nodes.close()
    assert sorted(record.getMessage() for record in caplog.records) == [
        "node 10.0.0.1 (aaaaaaaa) is gone",
        "node 10.0.0.2 (bbbbbbbb) has joined with 4 CPUs",
        "node 10.0.0.2 (bbbbbbbb) is gone",
        "node 10.0.0.2 (cccccccc) has numpy 1, this service has numpy 2; no process is placed there",
    ]


def test_a_look_that_fails_changes_nothing(monkeypatch, caplog):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    failed = threading.Semaphore(0)
    answers = iter([[A]])

    def look():
        alive = next(answers, None)
        if alive is None:
            failed.release()
            raise ConnectionError("no answer")
        return alive

    nodes = Nodes(look, lambda node: "")
    nodes.update()
    nodes.watch()
    for _ in range(2):
        assert failed.acquire(timeout=20)
    nodes.close()
    assert nodes.slots == 2
    assert "cannot be listed" in caplog.text


@pytest.mark.parametrize("times", [1, 2])
def test_closing_is_harmless_at_any_time(times):
    nodes = Nodes(list, lambda node: "")
    for _ in range(times):
        nodes.close()


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
def test_prefer_packs_or_spreads(free, held, packed, spread):
    assert prefer(free, held, spread=False) == packed
    assert prefer(free, held, spread=True) == spread


def test_installed_versions():
    versions = installed()
    assert list(versions) == list(OURS)
    assert (versions["Python"], versions["numpy"]) == (platform.python_version(), np.__version__)


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (OURS, ""),
        (OURS | {"scipy": "1.0"}, ""),
        (OURS | {"ray": "2.55.0"}, "node 10.0.0.2 has ray 2.55.0, this service has ray 2.60.0"),
        (
            OURS | {"Python": "3.12.1", "numpy": "2.1.0"},
            "node 10.0.0.2 has Python 3.12.1 and numpy 2.1.0, this service has Python 3.11.7 and numpy 2.4.6",
        ),
        (
            {name: OURS[name] for name in ("Python", "ray", "numpy")},
            "node 10.0.0.2 has raydient none, this service has raydient 0.1.0",
        ),
    ],
)
def test_a_disagreement_names_the_node_and_both_versions(theirs, why):
    assert disagreement("node 10.0.0.2", theirs, OURS) == why
