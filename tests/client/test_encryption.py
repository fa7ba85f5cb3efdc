"""TLS: the client refuses a server that it cannot verify."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from raydient.client import Client, NotFound, Unreachable
from raydient.v1.training_service_pb2_grpc import add_TrainingServiceServicer_to_server

PEM = Path(__file__).parents[1] / "api" / "tls" / "localhost.pem"
KEY = PEM.with_name("localhost.key")


@pytest.fixture
def encrypted(service) -> Iterator[str]:
    """Address of the service behind TLS."""
    server = grpc.server(ThreadPoolExecutor(2))
    add_TrainingServiceServicer_to_server(service, server)
    credentials = grpc.ssl_server_credentials([(KEY.read_bytes(), PEM.read_bytes())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"localhost:{port}"
    server.stop(None).wait()


def test_a_server_of_the_named_authority_is_trusted(encrypted: str) -> None:
    with Client(encrypted, certificate_authority=PEM) as client, pytest.raises(NotFound):
        client.get("x")


def test_a_server_without_tls_is_recognized(address: str) -> None:
    with Client(address, tls=True) as client, pytest.raises(Unreachable, match="it speaks no TLS"):
        client.get("x")


@pytest.mark.parametrize("options", [{}, {"tls": True}], ids=["plain", "another authority"])
def test_other_characters_are_kept(encrypted: str, service, options: dict[str, bool]) -> None:
    with Client(encrypted, **options) as client, pytest.raises(Unreachable):
        client.get("x")
    assert service.calls == []


def test_the_command_line_has_the_same_options(encrypted: str, run) -> None:
    assert run("get", "x", "--address", encrypted, "--tls-ca", PEM).exit_code == 4
    assert run("get", "x", "--address", encrypted).exit_code == 3
