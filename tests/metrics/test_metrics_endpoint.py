"""The HTTP server for scrapes: requests, limits and its end."""

import socket
import threading
import urllib.request
from contextlib import ExitStack, closing, suppress

import pytest

from raydient.server.metrics.endpoint import Endpoint


@pytest.fixture
def serve():
    """Return a function that starts an endpoint with a constant body."""
    with ExitStack() as stack:

        def serve(body=b"a 1\n", **limits):
            return stack.enter_context(closing(Endpoint("127.0.0.1", 0, "text/plain", lambda: body, **limits)))

        yield serve


def ask(endpoint, request=b"GET /metrics HTTP/1.1\r\n\r\n"):
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=20) as connection:
        connection.sendall(request)
        return read_all(connection)


def test_a_scrape(serve):
    with urllib.request.urlopen(f"http://127.0.0.1:{serve().port}/metrics") as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"a 1\n", "text/plain")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 "),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 10_000 + b"\r\n\r\n", b"HTTP/1.1 200 "),
        (b"\x16\x03\x01\0\r\n\r\n", b"HTTP/1.1 405 "),
    ],
)
def test_the_status_of_a_request(serve, request_, status):
    assert ask(serve(), request_).startswith(status)


def test_a_request_with_a_too_large_head_is_not_answered(serve):
    with socket.create_connection(("127.0.0.1", serve().port), timeout=20) as connection:
        with suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000)
        assert ended(connection)


def test_silent_connections_cost_no_threads_and_delay_no_scrape(serve):
    endpoint = serve(connections=8)
    before = threading.active_count()
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", endpoint.port), 20)) for _ in range(100)]
        assert b"a 1" in ask(endpoint)
        assert threading.active_count() == before
        for connection in silent[:92]:
            assert ended(connection)


def test_slow_requests_and_slow_readers_are_disconnected(serve):
    endpoint = serve(b"x" * 50_000_000, connection_seconds=0.3)
    with ExitStack() as stack:
        silent, slow = (
            stack.enter_context(socket.create_connection(("127.0.0.1", endpoint.port), 20)) for _ in range(2)
        )
        silent.sendall(b"GET / HT")
        slow.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert ended(silent)
        assert slow.recv(10)  # nothing more is read until the end
        assert len(read_all(slow)) < 50_000_000


def test_a_scrape_that_fails_is_logged(serve, caplog):
    def fail():
        raise RuntimeError("broken")

    with closing(Endpoint("127.0.0.1", 0, "text/plain", fail)) as endpoint:
        assert ask(endpoint).startswith(b"HTTP/1.1 500 ")
    assert caplog.messages == ["a scrape failed"]


def test_close_ends_open_connections(serve):
    endpoint = Endpoint("127.0.0.1", 0, "text/plain", bytes)
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=20) as connection:
        endpoint.close()
        assert ended(connection)


def ended(connection):
    return read_all(connection) == b""


def read_all(connection):
    data = b""
    with suppress(ConnectionResetError):
        while more := connection.recv(1 << 16):
            data += more
    return data
