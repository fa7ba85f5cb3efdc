"""A job's processes in one process: a network in memory, a clock that jumps, and one thread at a time.

Each simulated process has a thread, which runs until it waits in its network; then the world runs another one that is
ready, or moves the clock to the next delivery or time limit. The order and the delays come from a seed, so a run can be
repeated. No socket is opened, and nothing sleeps.
"""

import heapq
import itertools
import math
import random
import threading
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import replace

from raydient.wire import control
from raydient.wire.connection import Frame, limited_to
from raydient.wire.endpoint import Endpoint, Transport
from raydient.wire.frames import ProtocolError
from raydient.wire.network import CLOSED

LIMIT = 1 << 40
DELAY_SECONDS = 0.0001, 0.005
"""Shortest and longest time that a frame travels."""


class Killed(BaseException):
    """Raised in a process where it waits, as the end of `kill -9`."""


class Process:
    """A simulated process; it satisfies `clusters.cluster.Process`."""

    def __init__(self, world, name, main):
        self.name, self.network = name, Network(world, name)
        self._world, self._main = world, main
        self._status = None
        self._killed = False
        self._ready, self._deadline = lambda: True, math.inf
        self._turn = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.result = self.error = None

    def waiting(self):
        return False

    def ended(self):
        return self._status

    def detach(self):
        raise NotImplementedError

    def kill(self):
        """End the process; its connections end with it."""
        if self._status is None and not self._killed:
            self._killed = True
            self._status = "killed by SIGKILL"
            self.network.close()

    @property
    def is_ready(self):
        return self._killed or self._world.now >= self._deadline or self._ready()

    @property
    def deadline(self):
        return self._deadline

    @property
    def is_over(self):
        return self._main is None

    def step(self):
        """Run until the process waits or ends. Called by the world."""
        if not self._thread.ident:
            self._thread.start()
        self._turn.release()
        self._world.baton.acquire()

    def wait(self, ready, deadline):
        """Let others run until `ready` or the deadline. Called by the process itself."""
        self._ready, self._deadline = ready, deadline
        self._world.baton.release()
        self._turn.acquire()
        self._ready, self._deadline = lambda: True, math.inf
        if self._killed:
            raise Killed

    def _run(self):
        self._turn.acquire()
        try:
            if not self._killed:
                self.result = self._main(self.network)
                self._status = self._status or "ended with status 0"
        except Killed:
            pass
        except ConnectionError:
            self._status = self._status or "a process that it works with ended"
        except BaseException as error:
            self.error = error
        self._main = None
        self.network.close()
        self._world.baton.release()


class World:
    """Processes, the frames on their way and the time."""

    def __init__(self, seed):
        self.now = 0.0
        self.random = random.Random(seed)
        self.baton = threading.Semaphore(0)
        self.listeners = {}
        self.processes = []
        self.current = None
        self._numbers = itertools.count()
        self._deliveries = []  # heap of time, number, action

    def start(self, name, main):
        """Start a process that runs `main(network)`."""
        process = Process(self, name, main)
        self.processes.append(process)
        return process

    def at(self, seconds, action):
        """Call `action` at a time, between two turns of processes."""
        heapq.heappush(self._deliveries, (seconds, next(self._numbers), action))

    def delay(self):
        return self.random.uniform(*DELAY_SECONDS)

    def run(self, name, main):
        """Run `main(network)` as a process, and all others with it, until it ends; returns what it returns."""
        process = self.start(name, main)
        while not process.is_over:
            self._turn()
        for other in self.processes:
            other.kill()
        while any(not other.is_over for other in self.processes):
            self._turn()
        for one in self.processes:
            if one.error is not None:
                raise one.error
        return process.result

    def _turn(self):
        ready = [process for process in self.processes if not process.is_over and process.is_ready]
        if ready:
            self.current = self.random.choice(ready)
            self.current.step()
            return
        limits = [process.deadline for process in self.processes if not process.is_over]
        self.now = max(self.now, min(limits + [entry[0] for entry in self._deliveries[:1]]))
        assert math.isfinite(self.now), "every process waits for ever"
        while self._deliveries and self._deliveries[0][0] <= self.now:
            heapq.heappop(self._deliveries)[2]()


class Connection:
    """One end of a connection in memory; it has the public attributes of `wire.connection.Connection`."""

    is_local = pending = False

    def __init__(self, world):
        self.allocate = limited_to(LIMIT)
        self.inbox = deque()
        self.peer = None
        self._world, self._arrival = world, 0.0
        self._closed = False
        self._begun = None  # header, length and parts of a frame that is sent in pieces

    def send(self, header, *payload, descriptors=()):
        assert not descriptors, "descriptors do not travel between nodes"
        if self._closed or self.peer._closed:
            raise BrokenPipeError("the peer closed the connection")
        data = b"".join(memoryview(part).cast("B") for part in payload if len(part))
        self._deliver(Frame(replace(header, length=len(data)), data))

    def begin(self, header, length):
        self._begun = header, length, []

    def more(self, part):
        header, length, parts = self._begun
        parts.append(bytes(memoryview(part).cast("B")))
        if sum(map(len, parts)) == length:
            self.send(header, *parts)

    def receive(self):
        """Return the next frame once it has arrived. ConnectionError if the peer is gone."""
        self._world.current.wait(lambda: self.inbox, math.inf)
        event = self.take()
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
        if not self._closed:
            self._deliver(CLOSED)
            self._closed = True
            self.inbox.clear()

    def _deliver(self, event):
        peer = self.peer
        self._arrival = max(self._arrival, self._world.now + self._world.delay())
        self._world.at(self._arrival, lambda: None if peer._closed else peer.inbox.append(event))


class Network:
    """`wire.network.Network` in memory, of one process; every connection is between two nodes."""

    def __init__(self, world, name):
        self._world, self._name = world, name
        self._own, self._polled = [], []

    def now(self):
        return self._world.now

    def listen(self, host, unix=None, node=""):
        endpoint = Endpoint(unix or f"@{self._name}", host, 1, node)
        self._world.listeners[endpoint.unix] = self
        return endpoint

    def dial(self, endpoint, transport=Transport.AUTO, node="", timeout_seconds=10.0):
        listener = self._world.listeners.get(endpoint.unix)
        if listener is None:
            raise ConnectionRefusedError(f"nothing listens at {endpoint.unix}")
        ours, theirs = Connection(self._world), Connection(self._world)
        ours.peer, theirs.peer = theirs, ours
        self._own.append(ours)
        listener._own.append(theirs)
        listener._polled.append(theirs)
        return ours

    def adopt(self, connection):
        self._polled.append(connection)

    def poll(self, timeout_seconds):
        limit = math.inf if timeout_seconds is None else self._world.now + timeout_seconds
        self._world.current.wait(lambda: any(connection.inbox for connection in self._polled), limit)
        for connection in list(self._polled):
            while connection in self._polled and connection.inbox:
                try:
                    event = connection.take()
                except ProtocolError:
                    event = CLOSED
                if event is CLOSED:
                    self.drop(connection)
                yield connection, event

    def send(self, connection, message, bundle=None):
        with self.sending(connection):
            control.send(connection, message, bundle)

    @contextmanager
    def sending(self, connection):
        with suppress(OSError):  # the end of the connection follows
            yield

    def drop(self, connection):
        connection.close()
        if connection in self._polled:
            self._polled.remove(connection)

    def close(self):
        self._world.listeners = {name: one for name, one in self._world.listeners.items() if one is not self}
        for connection in self._own:
            connection.close()
        self._polled.clear()
