"""The network of a simulated world: connections in memory that keep their order and lose frames only by ending."""

import math
import os
from collections import deque
from contextlib import suppress
from dataclasses import replace
from itertools import count

from raydient.wire import control
from raydient.wire.connection import Frame, limited_to
from raydient.wire.endpoint import Endpoint, Transport
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.network import CLOSED
from raydient.wire.refusals import Refusals

LIMIT = 1 << 40


class Connection:
    """One end of a connection in memory; it has the public attributes of `wire.connection.Connection`.

    Attributes:
        owner: the process of this end.
    """

    pending, unsent = False, 0

    def __init__(self, world, owner, *, is_local):
        self.allocate = limited_to(LIMIT)
        self.owner, self.peer, self.is_local = owner, None, is_local
        self.inbox, self.is_closed = deque(), False
        self._world, self._arrival = world, 0.0
        self._flying = deque()  # frames that this end has sent
        self._broken = False  # the peer's end has been noticed
        self._pushed = None  # the last push that this end has sent
        self._begun = None  # header, length and parts of a frame that is sent in pieces

    def send(self, header, *payload, descriptors=()):
        if self.is_closed or self._broken:
            raise BrokenPipeError("the peer closed the connection")
        if self._world.lost is not None and self._world.lost(self, header):
            self.cut(0)
            return
        data = b"".join([memoryview(part).cast("B") for part in payload if len(part)])
        sent = Header(header.kind, header.generation, *header.work, header.slot, len(data))  # the sender may change its
        self._dispatch(Frame(sent, data, [os.dup(number) for number in descriptors]))
        if header.kind is Kind.PUSH:
            self._pushed = replace(sent), data

    @property
    def has_pushed(self):
        return self._pushed is not None

    def repeat(self):
        """Send the last push again, as a worker with a fault would."""
        header, data = self._pushed
        self._dispatch(Frame(replace(header), data))

    put = send

    def flush(self, *, wait=True):
        """Do nothing: `put` dispatches."""

    def begin(self, header, length):
        self._begun = header, length, []

    def more(self, part):
        header, length, parts = self._begun
        parts.append(bytes(memoryview(part).cast("B")))
        if sum(map(len, parts)) == length:
            self.send(header, *parts)

    def receive(self):
        """Return the next frame once it has arrived. ConnectionError if the peer is gone."""
        self.owner.breathe()
        self.owner.wait(lambda: self.inbox or self.is_closed, math.inf)
        event = self.take() if self.inbox else CLOSED
        if event is CLOSED:
            raise ConnectionError("the peer closed the connection")
        return event

    def take(self):
        """Return the next event, its payload in the buffer from `allocate`."""
        event = self.inbox.popleft()
        if event is not CLOSED and event.payload:
            buffer = self.allocate(event.header)
            memoryview(buffer).cast("B")[:] = event.payload
            event.payload = buffer
        return event

    def close(self):
        if not self.is_closed:
            self._dispatch(CLOSED)
            self.is_closed = True
            self.inbox.clear()

    # ---- the way between both ends

    def cut(self, lost):
        """End the connection from outside; the last `lost` frames of each direction do not arrive."""
        for end in (self, self.peer):
            for _ in range(min(lost, len(end._flying))):
                end._flying.pop()
            end._dispatch(CLOSED)

    def heal(self):
        """Deliver the frames that a partition has held."""
        for _ in self._flying:
            self._world.at(self._world.now + self._world.delay(), self._arrive)

    def _dispatch(self, event):
        self._flying.append(event)
        self._arrival = max(self._arrival, self._world.now + self._world.delay())
        self._world.at(self._arrival, self._arrive)

    def _arrive(self):
        world, peer = self._world, self.peer
        if not self._flying or world.cut_off_until(self.owner.name, peer.owner.name) > world.now:
            return
        event = self._flying.popleft()
        if peer.is_closed or peer._broken:
            if event is not CLOSED and event.header.kind is not Kind.CONTROL:
                kind, work = event.header.kind.name, "{} [{}, {})".format(*event.header.work)
                world.note(peer.owner.name, f"refuses {kind} {work} from {self.owner.name}: the connection has ended")
            return
        if event is CLOSED:
            peer._broken = True
        else:
            for observe in world.observers:
                observe(self, event)
        peer.inbox.append(event)
        peer.owner.wake()


class Network:
    """`wire.network.Network` in memory, of one process."""

    def __init__(self, world, process):
        self._world, self._process = world, process
        self._own, self._polled, self.refusals = [], [], Refusals()

    def now(self):
        self._process.breathe()
        return self._world.now

    def listen(self, host, unix=None, node=""):
        port = next(n for n in count(1) if (host, n) not in self._world.listeners)  # used again, as real ones are
        endpoint = Endpoint(unix or f"@{host} {port}", host, port, node)
        self._world.listeners[endpoint.unix] = self._world.listeners[host, port] = self
        return endpoint

    def dial(self, endpoint, transport=Transport.AUTO, node="", timeout_seconds=10.0):
        world, process = self._world, self._process
        process.wait(lambda: False, world.now + world.delay())
        listener = world.listeners.get(endpoint.unix)
        if listener is None:
            raise ConnectionRefusedError(f"nothing listens at {endpoint.unix}")
        until = world.cut_off_until(process.name, listener._process.name)
        if until > world.now:
            deadline = world.now + timeout_seconds
            process.wait(lambda: False, min(until, deadline))
            if until > deadline:
                raise TimeoutError(f"{endpoint.unix} does not answer")
            return self.dial(endpoint, transport, node, deadline - world.now)
        is_local = world.local and transport is not Transport.TCP
        ours = Connection(world, process, is_local=is_local)
        theirs = Connection(world, listener._process, is_local=is_local)
        ours.peer, theirs.peer = theirs, ours
        world.connections += ours, theirs
        self._own.append(ours)
        listener._own.append(theirs)
        listener._polled.append(theirs)
        return ours

    def adopt(self, connection):
        self._polled.append(connection)

    def release(self, connection):
        if connection not in self._polled:
            raise ConnectionError("the peer closed the connection")
        self._polled.remove(connection)

    def poll(self, timeout_seconds):
        limit = math.inf if timeout_seconds is None else self._world.now + max(timeout_seconds, 1e-5)
        self._process.wait(lambda: any(connection.inbox for connection in self._polled), limit)
        for connection in list(self._polled):
            while connection in self._polled and connection.inbox:
                try:
                    event = connection.take()
                except ProtocolError as error:
                    self.refusals.count(error)
                    event = CLOSED
                if event is CLOSED:
                    self.drop(connection)
                yield connection, event

    def send(self, connection, message, bundle=None):
        with self.sending(connection):
            control.send(connection, message, bundle)

    def sending(self, connection):
        self._process.breathe()
        return suppress(OSError)  # the end of the connection follows

    def drop(self, connection):
        connection.close()
        if connection in self._polled:
            self._polled.remove(connection)

    def drop_all(self):
        for connection in list(self._polled):
            self.drop(connection)

    def close(self):
        listeners = self._world.listeners
        for name in [name for name, one in listeners.items() if one is self]:
            del listeners[name]
        for connection in self._own:
            connection.close()
        self._polled.clear()
