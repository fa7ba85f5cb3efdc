"""Errors of real connections that fail, and the calls that wait for a service that restarts."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from raydient.client import Client, NotPermitted, Unreachable
from raydient.client.connection import IDEMPOTENT
from raydient.client.reaching import is_loopback, proxy_variable
from raydient.v1.training_service_pb2_grpc import add_TrainingServiceServicer_to_server

TLS = Path(__file__).parents[1] / "api" / "tls"
PEM, KEY, EXPIRED = TLS / "localhost.pem", TLS / "localhost.key", TLS / "expired.pem"


@pytest.fixture
def serve(service: Any) -> Iterator[Callable[..., str]]:
    """Start a server on `port`, or on a free port, and return its address at `localhost`."""
    with ExitStack() as stack:

        def serve(certificate: Path | None = None, port: int = 0) -> str:
            server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
            add_TrainingServiceServicer_to_server(service, server)
            if certificate is None:
                port = server.add_insecure_port(f"localhost:{port}")
            else:
                pair = (KEY.read_bytes(), certificate.read_bytes())
                port = server.add_secure_port(f"localhost:{port}", grpc.ssl_server_credentials([pair]))
            server.start()
            stack.callback(lambda: server.stop(None).wait())
            return f"localhost:{port}"

        yield serve


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def free_address() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"


def failure_of(address: str, **options: Any) -> tuple[str, str]:
    """Reason and text of the error of a call."""
    with Client(address, retry_seconds=0, **options) as client, pytest.raises(Unreachable) as caught:
        client.get("one")
    return caught.value.reason, str(caught.value)


@pytest.mark.parametrize(
    ("certificate", "options", "reason", "words"),
    [
        (None, {"tls": True}, "TLS_NOT_SPOKEN", "it speaks no TLS; connect without --tls"),
        (PEM, {}, "CLOSED", "if it has TLS, connect with --tls"),
        (PEM, {"tls": True}, "CERTIFICATE_UNTRUSTED", "no authority trusted here vouches for its certificate"),
        (EXPIRED, {"certificate_authority": EXPIRED}, "CERTIFICATE_EXPIRED", "its certificate has expired"),
        (
            PEM,
            {"certificate_authority": PEM, "server_name": "other.example"},
            "CERTIFICATE_NAME",
            "its certificate is for other names",
        ),
    ],
)
def test_tls_on_one_side_and_wrong_certificates_are_recognized(
    serve: Callable[..., str], certificate: Path | None, options: dict[str, Any], reason: str, words: str
) -> None:
    address = serve(certificate)
    actual, text = failure_of(address, **options)
    assert text.startswith(f"cannot reach raydient at {address}: ")
    assert words in text
    assert actual == reason
    assert not [jargon for jargon in ("UNAVAILABLE", "ipv4:", "SSL_ERROR", "TSI", "last error") if jargon in text]


def test_a_server_name_replaces_the_host_in_the_certificate_check(serve: Callable[..., str], service: Any) -> None:
    service.add_job()
    port = serve(PEM).rpartition(":")[2]
    with Client(f"127.0.0.1:{port}", certificate_authority=PEM, server_name="localhost") as client:
        assert client.get("one").name == "jobs/one"


def test_an_unused_port_and_an_unknown_host_are_distinguished() -> None:
    address = free_address()
    assert failure_of(address) == (
        "CONNECTION_REFUSED",
        f"cannot reach raydient at {address}: connection refused, nothing listens there",
    )
    assert failure_of("no.such.host.invalid:1")[0] == "NO_SUCH_HOST"


def test_an_http_port_is_recognized() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with suppress(OSError):  # until the socket listens no more
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        reason, text = failure_of(f"127.0.0.1:{listening.getsockname()[1]}")
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert (reason, "it speaks HTTP/1 and not gRPC" in text) == ("NOT_GRPC", True)


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_a_proxy_is_left_alone_on_this_machine_and_named_elsewhere(
    address: str, service: Any, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    service.add_job()
    proxy = f"http://{free_address()}"
    monkeypatch.setenv(variable, proxy)
    for host in (address, address.replace("127.0.0.1", "localhost")):
        with Client(host) as client:
            assert client.get("one").name == "jobs/one"
    _, text = failure_of("192.0.2.1:50051")
    assert f"{variable}={proxy} sends the connection through a proxy" in text
    monkeypatch.setenv("no_proxy", "192.0.2.1")
    assert proxy_variable("192.0.2.1:50051") is None


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.8.0.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/a", True),
        ("10.0.0.1:1", False),
        ("localhost.example:1", False),
        ("[2001:db8::1]:1", False),
    ],
)
def test_addresses_of_this_machine(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


@pytest.mark.parametrize("token", ["\ufefftoken", "token\r\n", "  token \n"])
def test_blanks_around_a_token_are_stripped(address: str, service: Any, token: str) -> None:
    service.add_job()
    with Client(address, token=token) as client:
        client.get("one")
    assert service.metadata[-1]["authorization"] == "Bearer token"


@pytest.mark.parametrize("token", ["tökën", "two words", "a\nb", "a\0b"])
def test_a_token_with_forbidden_characters_is_refused(address: str, token: str, run: Callable[..., Any]) -> None:
    with pytest.raises(NotPermitted, match="the token has"):
        Client(address, token=token)
    done = run("list", "--token", token)
    assert (done.exit_code, "the token has" in done.stderr) == (5, True)


def test_a_call_is_repeated_while_a_server_restarts_with_one_notice(serve: Callable[..., str], service: Any) -> None:
    service.add_job()
    address, notices, pauses = free_address().replace("127.0.0.1", "localhost"), [], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            serve(port=int(address.rpartition(":")[2]))

    with Client(address, sleep=sleep, notice=notices.append) as client:
        assert client.get("one").name == "jobs/one"
    assert notices == [f"cannot reach raydient at {address}: connection refused, nothing listens there; trying again"]
    assert len(pauses) >= 2
    assert all(0.25 <= pause <= 2 for pause in pauses)


def test_calls_that_are_not_idempotent_are_not_repeated() -> None:
    repeated = {method for methods in IDEMPOTENT.values() for method in methods}
    assert {"CreateTrainingJob", "PauseTrainingJob", "ScaleTrainingJob", "CancelTrainingJob"} <= repeated
    assert not repeated & {"ResumeTrainingJob", "DeleteTrainingJob", "DeleteDataset", "UploadDataset"}
    pauses: list[float] = []
    with Client(free_address(), sleep=pauses.append) as client, pytest.raises(Unreachable):
        client.delete_dataset("x")
    assert pauses == []
