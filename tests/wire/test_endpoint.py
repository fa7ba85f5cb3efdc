"""Dialling: shared memory where a Unix socket answers, else TCP."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from raydient.wire.connection import Connection, limited_to
from raydient.wire.endpoint import Endpoint, Transport, dial, new_unix_name, unix_address
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.handshake import MAXIMUM_FRAME, ListenerProof
from raydient.wire.launch import Launch, from_json, to_json

SECRET = b"s" * 32


@pytest.fixture
def dial_hub(make_hub):
    """Return a function that dials a listening hub from a thread, while this one polls."""
    connections = []

    def make(transport, secret=SECRET, endpoint=lambda listening: listening):
        hub, listening = make_hub(SECRET)
        with ThreadPoolExecutor(1) as other:
            dialling = other.submit(dial, endpoint(listening), secret, transport)
            dialling.add_done_callback(lambda _: hub_wakes(listening))
            while not dialling.done():
                list(hub.poll(20))
            connections.append(dialling.result())
        return hub, connections[-1]

    def hub_wakes(listening):
        """Wake the hub, which may be waiting although no event follows."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(unix_address(listening.unix))

    yield make
    for connection in connections:
        connection.close()


@pytest.mark.parametrize(
    ("transport", "is_local"), [(Transport.AUTO, True), (Transport.SHARED_MEMORY, True), (Transport.TCP, False)]
)
def test_the_transport_decides_on_one_machine(dial_hub, transport, is_local):
    hub, connection = dial_hub(transport)
    connection.send(Header(Kind.STOP))

    events = []
    while not events:
        events = list(hub.poll(20))

    assert connection.is_local == is_local
    assert connection.socket.gettimeout() is None
    assert events[0][1].header.kind is Kind.STOP


@pytest.mark.parametrize("name", ["@raydient-no-listener", "/nowhere/raydient-no-such-file"])
def test_auto_takes_tcp_where_no_unix_socket_answers(dial_hub, name):
    _, connection = dial_hub(Transport.AUTO, endpoint=lambda listening: Endpoint(name, listening.host, listening.port))

    assert not connection.is_local


@pytest.mark.parametrize("name", ["@raydient-no-listener", "/nowhere/raydient-no-such-file"])
def test_shared_memory_is_refused_where_no_unix_socket_answers(make_hub, name, open_descriptors):
    _, listening = make_hub(SECRET)
    before = open_descriptors()

    for endpoint, transport in (
        (Endpoint(name, listening.host, listening.port), Transport.SHARED_MEMORY),
        (Endpoint(name, listening.host, 0), Transport.AUTO),
    ):
        with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
            dial(endpoint, SECRET, transport)

    assert open_descriptors() == before


@pytest.mark.parametrize("transport", [Transport.SHARED_MEMORY, Transport.TCP])
def test_a_dialler_with_another_secret_is_not_let_in(dial_hub, transport):
    with pytest.raises(ProtocolError, match="the listener has another secret"):
        dial_hub(transport, secret=b"t" * 32)


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_a_dialler_that_loses_its_place_tries_again(family):
    name = new_unix_name()
    with socket.socket(family) as listener, ThreadPoolExecutor(1) as other:
        listener.bind(unix_address(name) if family == socket.AF_UNIX else ("127.0.0.1", 0))
        listener.listen()
        port = 0 if family == socket.AF_UNIX else listener.getsockname()[1]
        transport = Transport.SHARED_MEMORY if family == socket.AF_UNIX else Transport.TCP
        dialling = other.submit(dial, Endpoint(name, "127.0.0.1", port), SECRET, transport)
        for loses_its_place in (True, False):
            sock, _ = listener.accept()
            connection, proof = Connection(sock, limited_to(MAXIMUM_FRAME)), ListenerProof(SECRET)
            proof.challenge(connection)
            if not loses_its_place:
                answer = connection.receive()
                proof.check(connection, answer.header.kind, bytes(answer.payload))
                dialling.result().close()
            connection.close()


def test_a_dialler_gives_up_a_listener_that_never_accepts_it():
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as other:
        dialling = other.submit(
            dial, Endpoint("@", *listener.getsockname()), SECRET, Transport.TCP, timeout_seconds=0.1
        )
        listener.settimeout(0.02)
        while not dialling.done():
            with suppress(TimeoutError):
                listener.accept()[0].close()
        with pytest.raises(ConnectionError):
            dialling.result()


def test_a_listener_without_the_secret_is_refused(open_descriptors):
    """It accepts every connection; the dialler closes its own."""
    before = open_descriptors()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as other:
        dialling = other.submit(dial, Endpoint("@", *listener.getsockname()), SECRET, Transport.TCP)
        sock, _ = listener.accept()
        with sock:
            sock.sendall(Header(Kind.CHALLENGE, length=32).pack() + bytes(32))
            sock.sendall(Header(Kind.PROOF, length=32).pack() + bytes(32))
            with pytest.raises(ProtocolError, match="the listener cannot prove the secret"):
                dialling.result()
            del dialling

    assert open_descriptors() == before


def test_names_are_new_and_addresses_as_the_system_wants_them():
    assert new_unix_name() != new_unix_name()
    assert unix_address("@name") == "\0name"
    assert unix_address("/run/name") == "/run/name"


def test_a_launch_comes_back_as_it_was():
    launch = Launch("job-1", 3, Endpoint("@x", "10.0.0.1", 1234), "ab" * 32, Transport.TCP)

    assert from_json(to_json(launch)) == launch
