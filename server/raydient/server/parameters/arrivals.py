"""Pushes that wait until all shards have the gradient of their node. No I/O."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from raydient.steps.tree import Node

Push = TypeVar("Push")
Key = tuple[int, int, Node]
"""Worker, round and node."""


@dataclass(slots=True)
class _Waiting(Generic[Push]):
    shards: set[int] = field(default_factory=set)  # shards that have the gradient
    push: Push | None = None


class Arrivals(Generic[Push]):
    """Matches the pushes of workers whose gradients travel with the reports of the shards that receive them.

    Of each worker only the round that was assigned last counts: it gets a round when its pushes for the one before it
    have arrived everywhere.
    """

    def __init__(self, shards: int) -> None:
        """`shards` is the number of shards that report; the first shard does not."""
        self._shards = shards
        self._waiting: dict[Key, _Waiting[Push]] = {}
        self._rounds: dict[int, int] = {}  # by worker

    def assigned(self, worker: int, round_: int) -> None:
        """Note that a worker computes leaves of a round from now on."""
        if self._rounds.get(worker) != round_:
            self.forget(worker)
            self._rounds[worker] = round_

    def pushed(self, worker: int, round_: int, node: Node, push: Push) -> Push | None:
        """Note a push; return it if every shard has its gradient."""
        waiting = self._entry(worker, round_, node)
        waiting.push = push
        return self._complete((worker, round_, node), waiting)

    def arrived(self, shard: int, worker: int, round_: int, node: Node) -> Push | None:
        """Note that a shard has a gradient; return its push if that was noted and every shard has the gradient."""
        waiting = self._entry(worker, round_, node)
        waiting.shards.add(shard)
        return self._complete((worker, round_, node), waiting)

    def forget(self, worker: int) -> None:
        """Drop the pushes of a worker that has left."""
        self._rounds.pop(worker, None)
        self._waiting = {key: waiting for key, waiting in self._waiting.items() if key[0] != worker}

    def _entry(self, worker: int, round_: int, node: Node) -> _Waiting[Push]:
        if self._rounds.get(worker) != round_:
            return _Waiting()
        return self._waiting.setdefault((worker, round_, node), _Waiting())

    def _complete(self, key: Key, waiting: _Waiting[Push]) -> Push | None:
        if waiting.push is None or len(waiting.shards) < self._shards:
            return None
        self._waiting.pop(key, None)
        return waiting.push
