"""The leaves that each worker computes, as the frames show them, and the weights that it computes them on."""

import os
from dataclasses import dataclass, field

from raydient.wire.frames import Kind
from raydient.wire.memory import Segment
from raydient.wire.terms import Terms


@dataclass(eq=False)
class Reader:
    """A worker that is attached to a server.

    Attributes:
        end: the server's end of the connection; it is closed when the worker is dismissed.
        number: number of the worker in plans.
        weights: the weights in shared memory; None over TCP.
        round: the last round that was assigned to the worker.
        leaves: its leaves of this round that have not been pushed.
    """

    end: object
    number: int
    weights: memoryview | None = None
    round: int = -1
    leaves: set = field(default_factory=set)


class Leaves:
    """Raises AssertionError if an assignment, a plan or the shared weights break a promise.

    - A leaf is assigned to one attached worker at a time, and pushed before the next round is assigned.
    - A worker that a plan no longer names owes no leaf when the plan is in force.
    - While a worker owes leaves, the weights in shared memory are those of its step.
    """

    def __init__(self, twin, is_astray):
        """`is_astray` returns True for a server whose weights are not those of the twin."""
        self._twin, self._weights, self._is_astray = twin, twin.weights, is_astray
        self._readers = {}  # by the server's end of the connection
        self._owners = {}  # reader, by server, round and leaf
        self._plans = {}  # by server: workers, by number of the plan
        self._ended = set()  # servers that have sent the final snapshot

    def look(self, end, frame):
        """Check a frame of the data plane that arrives from this end."""
        header = frame.header
        match header.kind:
            case Kind.ATTACH:
                self._readers[end.peer] = Reader(end.peer, header.first)
            case Kind.ATTACHED if frame.descriptors:
                size = Terms.unpack(frame.payload).weights_bytes
                self._readers[end].weights = Segment(os.dup(frame.descriptors[0]), size).buffer
            case Kind.ASSIGN:
                self._assign(self._readers[end], header)
            case Kind.PUSH:
                reader = self._readers[end.peer]
                if header.round == reader.round:
                    reader.leaves.difference_update(range(header.first, header.last))

    def hear(self, end, message):
        """Check a message that arrives from this end."""
        name, body = end.owner.name, message["body"]
        if message["type"] == "Plan":
            self._plans.setdefault(end.peer.owner.name, {})[body["number"]] = set(body["workers"])
        elif message["type"] == "Serve":
            self._ended.discard(end.peer.owner.name)
        elif message["type"] == "Snapshot" and body["final"]:
            self._ended.add(name)
        elif message["type"] == "PlanInForce" and name not in self._ended:
            self._check_plan(name, body["number"])

    def check_weights(self):
        """Check the weights in shared memory of all workers that compute."""
        for reader in self._readers.values():
            if reader.leaves and reader.weights is not None and not reader.end.is_closed:
                if self._is_astray(reader.end.owner.name):
                    continue
                step = self._twin.schedule.round(reader.round).step
                assert reader.weights == self._weights[step], "a reader sees weights of no step, or of another one"

    def _assign(self, reader, header):
        if reader.end.is_closed:
            return  # the server has disconnected the worker meanwhile, and its leaves are handed out again
        if header.round != reader.round:
            assert not reader.leaves, f"round {header.round} begins before the leaves of round {reader.round} are done"
            reader.round = header.round
        for leaf in range(header.first, header.last):
            owner = self._owners.get((reader.end.owner.name, header.round, leaf))
            assert owner is None or owner.end.is_closed, f"leaf {leaf} of round {header.round} is assigned twice"
            self._owners[reader.end.owner.name, header.round, leaf] = reader
            reader.leaves.add(leaf)

    def _check_plan(self, server, number):
        plans = self._plans[server]
        before, after = [{w for n in plans if (n < number) is sooner for w in plans[n]} for sooner in (True, False)]
        for reader in self._readers.values():
            if reader.end.owner.name == server and reader.number in before - after and not reader.end.is_closed:
                assert not reader.leaves, f"plan {number} is in force, but worker {reader.number} has leaves"
