"""The conductor's connections to the other shards of its job."""

from collections.abc import Iterable

from raydient.steps.places import Place
from raydient.wire import control
from raydient.wire.connection import Connection, limited_to
from raydient.wire.frames import Header, Kind, UnexpectedPeerError
from raydient.wire.memory import Bundle, Segment
from raydient.wire.network import Network
from raydient.wire.terms import Terms

from .actions import Assign
from .encoding import send_request
from .links import Link
from .requests import Request
from .snapshots import WEIGHTS

_PLAIN_BYTES = 1 << 20
"""Bytes of a message or an answer of a shard, besides the measurements of its pieces."""


class Peers:
    """The shards that have joined, by connection."""

    def __init__(self, network: Network, terms: Terms, memory: Segment, generation: int) -> None:
        """`memory` is the segment of all weights."""
        self._network, self._terms, self._generation = network, terms, generation
        self._weights = Bundle(memory, {WEIGHTS: Place("<f4", (terms.gradient.size,), 0)})
        self._shards: dict[Connection, int] = {}
        self._ready: set[int] = set()
        self._early: list[control.TakePart | control.Retrain] = []  # ordered before all shards had joined

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._shards

    def __getitem__(self, connection: Connection) -> int:
        """The number of the shard on a connection."""
        return self._shards[connection]

    @property
    def complete(self) -> bool:
        """True if the weights of all shards are in place."""
        return len(self._ready) == self._terms.shards - 1

    @property
    def share_memory(self) -> bool:
        """True if every shard that has joined maps the memory of this process."""
        return all(connection.is_local for connection in self._shards)

    def join(self, connection: Connection, message: control.Join, links: Iterable[Link]) -> None:
        """Accept a shard, and send it the memory that it shares. UnexpectedPeerError if no such shard is expected."""
        taken = message.shard in self._shards.values()
        if message.generation != self._generation or taken or not 0 < message.shard < self._terms.shards:
            raise UnexpectedPeerError(f"shard {message.shard} of generation {message.generation} is not expected")
        self._shards[connection] = message.shard
        connection.allocate = limited_to(_PLAIN_BYTES + self._terms.gradient.size // 64)
        self._network.send(connection, control.Joined(), self._weights if connection.is_local else None)
        for link in links:
            self._send_slots(connection, link)
        for order in self._early:  # no round has begun, so the weights are still those of the snapshot
            self._network.send(connection, order)

    def ready(self, connection: Connection) -> None:
        """Note that the weights of a shard are in place."""
        self._ready.add(self._shards[connection])

    def attached(self, link: Link) -> None:
        """Send the slots of a worker that has attached to the shards of this node."""
        for connection in self._shards:
            self._send_slots(connection, link)

    def _send_slots(self, connection: Connection, link: Link) -> None:
        if link.slots is not None and connection.is_local:
            self._network.send(connection, control.Slots(link.worker), link.slots)

    def forget(self, worker: int) -> None:
        """Have the shards disconnect a worker that has left."""
        for connection in self._shards:
            self._network.send(connection, control.Forget(worker))

    def feed(self, assign: Assign) -> None:
        """Have the shards send a worker their weights for an assignment."""
        for connection in self._shards:
            with self._network.sending(connection):
                connection.send(Header(Kind.FEED, self._generation, assign.round, assign.worker, assign.kept))

    def request(self, request: Request) -> None:
        """Send a request to all shards."""
        for connection in self._shards:
            with self._network.sending(connection):
                send_request(connection, request, self._generation)

    def take_parts(self, round_: int, step: int) -> None:
        """Have the shards send their parts of a snapshot to the coordinator, each as soon as it has joined."""
        self._order(control.TakePart(round_, step))

    def retrain(self, order: control.Retrain) -> None:
        """Have the shards use other settings."""
        self._order(order)

    def _order(self, order: control.TakePart | control.Retrain) -> None:
        for connection in self._shards:
            self._network.send(connection, order)
        if len(self._shards) < self._terms.shards - 1:
            self._early.append(order)
