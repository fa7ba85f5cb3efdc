"""Connections that no gRPC library made, and the limit on connections."""

import signal

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from raydient.server.api import server as api_server
from raydient.server.logs import is_of_use
from tests.end_to_end.serving import serving

from .http2 import call, connect

CHECK = b"/grpc.health.v1.Health/Check"
EMPTY = b"\0" * 5
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


RESTARTING = {grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}


def serves(address):
    """Make a call, with retries for 30 seconds: gRPC may never answer a call that arrives while its server ends."""
    for attempt in range(10):
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            try:
                health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=3, wait_for_ready=True
                )
            except grpc.RpcError as error:
                if error.code() not in RESTARTING or attempt == 9:
                    raise
            else:
                return


def test_a_path_that_is_not_text_does_not_end_the_service(tmp_path):
    """In a process of its own: gRPC's client and server share state within one."""
    with serving(tmp_path / "state") as (server, _), grpc.insecure_channel(server.address) as channel:
        statuses = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(statuses).status == SERVING
        for _ in range(2):
            with connect(server.address) as connection:
                call(connection, b"/\xff\xfe/x")
            serves(server.address)
        server.send_signal(signal.SIGTERM)
        assert next(statuses).status == NOT_SERVING  # calls in progress went on
        log = server.stderr.read()
        assert server.wait() == 0
    assert log.count("gRPC's server has ended unexpectedly; starting another one") == 2


def test_servers_that_have_ended_are_not_kept_for_ever(tmp_path):
    with serving(tmp_path / "state") as (server, _), grpc.insecure_channel(server.address) as channel:
        statuses = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(statuses).status == SERVING
        for _ in range(api_server.SERVERS_KEPT):
            with connect(server.address) as connection:
                call(connection, b"/\xff\xfe/x")
            serves(server.address)
        with pytest.raises(grpc.RpcError):  # the call was on the first of them
            next(statuses)


@pytest.mark.parametrize(
    ("path", "more", "data"),
    [
        (b"/a", (), b""),
        (b"/a/b", (), EMPTY),
        (CHECK, ((b"grpc-encoding", b"gzip"),), b"\x01\0\0\0\x03abc"),
        (CHECK, ((b"grpc-timeout", b"xyz"),), EMPTY),
        (CHECK, ((b"x-bin", b"!!!"),), EMPTY),
        (CHECK, (), b"\0\xff\xff\xff\xff"),
        (CHECK, (), b"\0\0\0\0\x09ab"),
        (CHECK, ((b"authorization", b"\xff\xfe"),), EMPTY),
    ],
)
def test_malformed_http2_calls_do_not_end_the_service(start, caplog, path, more, data):
    address = start().running.address
    with connect(address) as connection:
        call(connection, path, *more, data=data)
    serves(address)
    logged = [record.getMessage() for record in caplog.records if record.levelname != "INFO" and is_of_use(record)]
    assert logged == []


def test_silent_connections_are_closed_and_limited(start, monkeypatch):
    limits = {"grpc.server_handshake_timeout_ms": 300, "grpc.max_allowed_incoming_connections": 5}
    monkeypatch.setattr(api_server, "OPTIONS", {**api_server.OPTIONS, **limits})
    address = start().running.address
    silent = [connect(address, settings=False) for _ in range(20)]
    for connection in silent:
        while connection.recv(100):  # the server's settings, then the end
            pass
        connection.close()
    serves(address)


def test_a_connection_without_calls_ends(start, monkeypatch):
    monkeypatch.setattr(api_server, "OPTIONS", {**api_server.OPTIONS, "grpc.max_connection_idle_ms": 300})
    with connect(start().running.address) as connection:
        while connection.recv(100):
            pass
