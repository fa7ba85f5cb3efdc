"""Both ends of a connection, of a channel and of a handshake."""

import hmac
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from raydient.server.parameters.actions import Assign
from raydient.server.parameters.links import Link
from raydient.steps.gradient import GradientLayout
from raydient.wire.channel import attach
from raydient.wire.connection import Connection, limited_to
from raydient.wire.endpoint import tune, unix_address
from raydient.wire.frames import Header, Kind
from raydient.wire.hub import Hub
from raydient.wire.memory import Segment
from raydient.wire.terms import Terms

LIMIT = 1 << 24
GENERATION = 5
SECONDS = (0.125, 0.5, 1.5, 0.25, 2.0)
SMALL = Terms(GradientLayout(6), slots=3, sums=2)


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def _tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    tune(one)
    tune(other)
    return one, other


PAIRS = {"unix": socket.socketpair, "tcp": _tcp_pair}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["unix", "tcp"])
def family(request):
    """The kind of socket; a test with this fixture runs for each."""
    return request.param


@pytest.fixture
def make_pair():
    """Return a function that makes two connected, blocking connections; they are closed after the test."""
    made = []

    def make(family="unix", limit=LIMIT):
        pair = [Connection(sock, limited_to(limit)) for sock in PAIRS[family]()]
        made.extend(pair)
        return pair

    yield make
    for connection in made:
        connection.close()


@pytest.fixture
def pair(make_pair, family):
    return make_pair(family)


@pytest.fixture
def local_pair(make_pair):
    """Two connections over a Unix socket, which carries descriptors."""
    return make_pair("unix")


@pytest.fixture
def make_hub(clock):
    """Return a function that makes a listening hub and returns it with its endpoint."""
    hubs = []

    def make(secret, limit=LIMIT, unix=None):
        hub = Hub(secret, limit, clock)
        hubs.append(hub)
        return hub, hub.listen("127.0.0.1", unix)

    yield make
    for hub in hubs:
        hub.close()


@pytest.fixture
def pipe_ends():
    """The two ends of a pipe: descriptors whose identity a test can check."""
    read, write = os.pipe()
    with closing(os.fdopen(read, "rb", 0)) as reading, closing(os.fdopen(write, "wb", 0)) as writing:
        yield reading, writing


class Dialler:
    """The dialling side step by step, so that one thread plays both sides; written from the description."""

    def __init__(self, hub, endpoint, family="unix"):
        self.hub = hub
        kind = socket.AF_UNIX if family == "unix" else socket.AF_INET
        sock = socket.socket(kind, socket.SOCK_STREAM)
        sock.settimeout(20)
        sock.connect(unix_address(endpoint.unix) if family == "unix" else (endpoint.host, endpoint.port))
        self.connection = Connection(sock, limited_to(LIMIT))
        self.events = list(hub.poll(20))  # accepted, challenged

    def prove(self, secret, role=b"dialler"):
        """Answer the challenge; the hub has read the answer when this returns."""
        challenge = bytes(self.connection.receive().payload)
        nonce = os.urandom(32)
        self.connection.send(Header(Kind.PROOF), nonce, hmac.digest(secret, role + challenge + nonce, "sha256"))
        self.events += self.hub.poll(20)
        return challenge, nonce

    def join(self, secret):
        """Prove the secret and check the hub's proof; the connection is the hub's member then."""
        challenge, nonce = self.prove(secret)
        answer = self.connection.receive()
        assert answer.header.kind is Kind.PROOF
        assert bytes(answer.payload) == hmac.digest(secret, b"listener" + challenge + nonce, "sha256")
        return self.connection

    @property
    def is_refused(self):
        """True if the hub closes the connection; frames before that are skipped."""
        try:
            while self.connection.socket.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            pass
        return True

    def close(self):
        self.connection.close()


@pytest.fixture
def dialler():
    """Return a function that makes diallers of a hub; they are closed after the test."""
    made = []

    def make(*arguments):
        made.append(Dialler(*arguments))
        return made[-1]

    yield make
    for dialling in made:
        dialling.close()


@pytest.fixture(scope="session")
def dialler_class():
    """The class, for a test that makes many diallers."""
    return Dialler


class Both:
    """A channel and the link at its other end; the test plays worker and server in turn.

    `worker` and `server` are the connections below them.
    """

    def __init__(self, pair, terms):
        self.worker, self.server = pair
        self.terms = terms
        self.memory = Segment.create(terms.weights_bytes)
        self.weights = terms.weights_in(self.memory)
        with ThreadPoolExecutor(1) as pool:
            attaching = pool.submit(attach, [self.worker], 3, GENERATION)
            self.request = self.server.receive().header
            self.server.socket.setblocking(False)
            weights = self.memory if self.server.is_local else self.weights
            self.link = Link(self.server, 3, weights, terms, GENERATION)
            self.channel = attaching.result()

    def assign(self, *numbers, step, rate=None):
        self.link.assign(Assign(3, *numbers), step, rate=rate)

    def gradient(self, push):
        """Take the gradient of a push and return it."""
        self.link.take_gradient(push)
        return self.link.source.gradient(push.header.round, push.header.work[1:], push.header.slot)

    def received(self):
        """Return the next frame that the worker has sent; the link keeps the gradients before it."""
        while (frame := self.server.receive()) is None or frame.header.kind is Kind.GRADIENT:
            if frame is not None:
                self.link.keep_part(frame)
        return frame


@pytest.fixture
def make_both(make_pair, family):
    """Return a function that makes a channel and its link; keywords replace parts of SMALL."""
    made = []

    def make(gradient=SMALL.gradient, **parts):
        made.append(Both(make_pair(family), replace(SMALL, gradient=gradient, **parts)))
        return made[-1]

    yield make
    for both in made:
        both.channel.close()


@pytest.fixture
def both(make_both):
    return make_both()
