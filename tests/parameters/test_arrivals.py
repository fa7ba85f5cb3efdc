"""Pushes wait for all shards, in whatever order the messages come."""

import random

import pytest

from raydient.server.parameters.arrivals import Arrivals

NODE = (0, 4)


def test_a_push_waits_for_every_shard():
    arrivals = Arrivals(2)
    arrivals.assigned(7, 3)
    assert arrivals.pushed(7, 3, NODE, "push") is None
    assert arrivals.arrived(1, 7, 3, NODE) is None
    assert arrivals.arrived(1, 7, 3, NODE) is None, "one shard twice is one shard"
    assert arrivals.arrived(2, 7, 3, NODE) == "push"


def test_a_gradient_may_arrive_before_its_push():
    arrivals = Arrivals(1)
    arrivals.assigned(7, 3)
    assert arrivals.arrived(1, 7, 3, NODE) is None
    assert arrivals.pushed(7, 3, NODE, "push") == "push"


def test_without_further_shards_a_push_counts_at_once():
    arrivals = Arrivals(0)
    arrivals.assigned(7, 3)
    assert arrivals.pushed(7, 3, NODE, "push") == "push"


def test_pushes_of_an_earlier_round_and_of_a_worker_that_left_are_dropped():
    arrivals = Arrivals(1)
    arrivals.assigned(7, 3)
    arrivals.pushed(7, 3, NODE, "old")
    arrivals.assigned(7, 4)
    arrivals.pushed(7, 4, NODE, "new")
    assert arrivals.arrived(1, 7, 3, NODE) is None
    assert arrivals.arrived(1, 7, 4, NODE) == "new"
    arrivals.assigned(8, 4)
    arrivals.pushed(8, 4, NODE, "gone")
    arrivals.forget(8)
    assert arrivals.arrived(1, 8, 4, NODE) is None


def test_a_worker_may_get_leaves_of_an_earlier_round():
    arrivals = Arrivals(1)
    arrivals.assigned(7, 4)
    arrivals.assigned(7, 3)
    arrivals.assigned(7, 3)
    assert arrivals.pushed(7, 3, NODE, "push") is None
    assert arrivals.pushed(7, 4, NODE, "of the later one") is None
    assert arrivals.arrived(1, 7, 4, NODE) is None
    assert arrivals.arrived(1, 7, 3, NODE) == "push"


@pytest.mark.parametrize("seed", range(20))
def test_every_push_is_returned_once_in_any_order_of_messages(seed):
    shards, keys = 3, [(worker, 5, (leaf, leaf + 1)) for worker in range(3) for leaf in range(4)]
    messages = [(shard, key) for shard in range(shards + 1) for key in keys]  # 0 stands for the push
    random.Random(seed).shuffle(messages)
    arrivals, counted = Arrivals(shards), []
    for worker in range(3):
        arrivals.assigned(worker, 5)
    for shard, key in messages:
        result = arrivals.arrived(shard, *key) if shard else arrivals.pushed(*key, key)
        counted += [result] if result is not None else []
    assert sorted(counted) == sorted(keys)
