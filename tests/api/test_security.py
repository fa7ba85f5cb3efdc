import hashlib
import itertools
import socket
import subprocess
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from raydient.server.api.security import Address, Guard, Security, forbidden_mode, read_tokens
from raydient.server.errors import StartError, Unauthenticated
from raydient.v1 import training_service_pb2 as pb

TLS = Path(__file__).parent / "tls"
TOKEN = "t" * 43
LOOPBACK = Address("127.0.0.1", 0)
ANYWHERE = Address("0.0.0.0", 0)


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# the first one\n{TOKEN}\n\nsha256:{hashlib.sha256(b'u' * 43).hexdigest()}  # hashed\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:50051", "127.0.0.1", 50051), ("[::1]:0", "::1", 0), ("localhost:1", "localhost", 1), (":5", "", 5)],
)
def test_addresses(text, host, port):
    assert Address.parse(text) == Address(host, port)
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize("text", ["", "50051", "localhost", "localhost:", "localhost:x", "h:65536", "h:-1", "::1:5"])
def test_an_invalid_address_is_reported_in_one_line(text):
    with pytest.raises(StartError, match="use host:port") as caught:
        Address.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False)],
)
def test_loopback_addresses(host, loopback):
    assert Address(host, 1).loopback is loopback


def test_an_unusable_address_is_reported_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(StartError, match=f"cannot listen on {address}: address already in use"):
            address.check_free()
    address.check_free()
    for unknown in (Address("192.0.2.1", 1), Address("host.invalid", 1)):
        with pytest.raises(StartError, match=f"cannot listen on {unknown}: "):
            unknown.check_free()


CERTIFICATE, KEY = TLS / "localhost.pem", TLS / "localhost.key"


@pytest.mark.parametrize(
    ("security", "address", "metrics", "refusal"),
    [
        (Security(), LOOPBACK, LOOPBACK, None),
        (Security(), ANYWHERE, LOOPBACK, "--insecure-grpc"),
        (Security(CERTIFICATE, KEY), ANYWHERE, LOOPBACK, "--insecure-grpc"),
        (Security(tokens=TLS), ANYWHERE, LOOPBACK, "--insecure-grpc"),
        (Security(CERTIFICATE, KEY, TLS), ANYWHERE, LOOPBACK, None),
        (Security(insecure_grpc=True, insecure_metrics=True), ANYWHERE, ANYWHERE, None),
        (Security(insecure_grpc=True), ANYWHERE, LOOPBACK, None),
        (Security(insecure_metrics=True), LOOPBACK, ANYWHERE, None),
        (Security(insecure_grpc=True), ANYWHERE, ANYWHERE, "metrics .* --insecure-metrics"),
        (Security(insecure_metrics=True), ANYWHERE, ANYWHERE, "--insecure-grpc"),
        (Security(CERTIFICATE, KEY, TLS), ANYWHERE, ANYWHERE, "metrics .* --insecure-metrics"),
        (Security(certificate=CERTIFICATE), LOOPBACK, LOOPBACK, "both a certificate and its key"),
        (Security(key=KEY, insecure_grpc=True), LOOPBACK, LOOPBACK, "both a certificate and its key"),
    ],
)
def test_addresses_beyond_loopback_need_protection(security, address, metrics, refusal):
    if refusal is None:
        security.permit(address, metrics)
        return
    with pytest.raises(StartError, match=refusal):
        security.permit(address, metrics)


def test_tokens_in_clear_and_hashed(tokens):
    guard = Guard(lambda: read_tokens(tokens))
    for token in (TOKEN, "u" * 43):
        for kind in ("Bearer", "bearer"):
            guard.check("/any/Method", {"authorization": f"{kind} {token}"})


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({}, "TOKEN_MISSING"),
        ({"authorization": ""}, "TOKEN_MISSING"),
        ({"authorization": TOKEN}, "TOKEN_MISSING"),
        ({"authorization": f"Basic {TOKEN}"}, "TOKEN_MISSING"),
        ({"authorization": "Bearer"}, "TOKEN_MISSING"),
        ({"authorization": f"Bearer {TOKEN}x"}, "TOKEN_INVALID"),
        ({"authorization": f"Bearer {TOKEN[:-1]}"}, "TOKEN_INVALID"),
        ({"authorization": f"Bearer {hashlib.sha256(b'u' * 43).hexdigest()}"}, "TOKEN_INVALID"),
        ({"authorization": "Bearer # the first one"}, "TOKEN_INVALID"),
    ],
)
def test_missing_and_unknown_tokens_are_refused(tokens, metadata, reason):
    with pytest.raises(Unauthenticated) as caught:
        Guard(lambda: read_tokens(tokens)).check("/any/Method", metadata)
    assert caught.value.reason == reason
    assert TOKEN not in str(caught.value)


def test_the_group_may_read_a_tokens_file_of_root():
    kubernetes = 0o440
    assert not kubernetes & forbidden_mode(owner=0, user=10001)
    assert all(mode & forbidden_mode(owner=0, user=10001) for mode in (0o460, 0o444, 0o640 | 0o001))
    assert all(kubernetes & forbidden_mode(owner=user, user=user) for user in (0, 10001))
    assert kubernetes & forbidden_mode(owner=10002, user=10001)


def test_a_tokens_file_readable_by_other_users_is_refused(tokens):
    for mode in (0o640, 0o604, 0o644):
        tokens.chmod(mode)
        with pytest.raises(StartError, match="chmod 600"):
            read_tokens(tokens)


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n", b"short\n", TOKEN.encode() + b"\nshort", b"\xff\xfe"])
def test_a_tokens_file_without_valid_tokens_is_refused(tokens, content):
    tokens.write_bytes(content)
    with pytest.raises(StartError, match=str(tokens)) as caught:
        read_tokens(tokens)
    assert "short" not in str(caught.value)


def test_an_absent_tokens_file(tmp_path):
    with pytest.raises(StartError, match="No such file"):
        read_tokens(tmp_path / "absent")


def methods(channel):
    """Every method of every service that the server lists by reflection."""
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = descriptor_pool.DescriptorPool(database)
    for service in database.get_services():
        yield from pool.FindServiceByName(service).methods


def call(channel, method, metadata):
    """Make a call of the method's kind with an empty request and return the code of its answer."""
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    path = f"/{method.containing_service.full_name}/{method.name}"
    stub = getattr(channel, kind)(path, lambda message: message, lambda message: message)
    try:
        answer = stub(iter([b""]) if method.client_streaming else b"", metadata=metadata, timeout=20)
        if method.server_streaming:
            next(answer, None)
            answer.cancel()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_every_method_but_the_health_check_requires_a_token(start, tokens):
    open_channel = start().client.channel
    every = list(methods(open_channel))
    channel = start(state_directory=tokens.parent / "other", tokens_file=tokens).client.channel
    let_pass = set()
    for method, metadata in itertools.product(every, [(), (("authorization", "Bearer " + "x" * 43),)]):
        code = call(channel, method, metadata)
        if code is not grpc.StatusCode.UNAUTHENTICATED:
            let_pass.add(method.full_name)
        assert call(channel, method, (("authorization", f"Bearer {TOKEN}"),)) is not grpc.StatusCode.UNAUTHENTICATED
    assert let_pass == {"grpc.health.v1.Health.Check"}
    names = {method.containing_service.full_name.rpartition(".")[2] for method in every}
    assert names == {"TrainingService", "DatasetService", "ModelService", "Health", "ServerReflection"}
    assert len(every) >= 21


def test_a_refused_call_has_a_reason(start, tokens, refused):
    client = start(tokens_file=tokens).client
    error = refused(client.get, "jobs/x")
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


def test_tls_with_tokens(start, tokens):
    served = start(address="localhost:0", tls_certificate=CERTIFICATE, tls_key=KEY, tokens_file=tokens)
    trusted = grpc.ssl_channel_credentials(CERTIFICATE.read_bytes())
    call_credentials = grpc.access_token_call_credentials(TOKEN)
    credentials = grpc.composite_channel_credentials(trusted, call_credentials)
    with grpc.secure_channel(served.running.address, credentials) as channel:
        assert len(list(methods(channel))) >= 21
    with grpc.insecure_channel(served.running.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(), timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("certificate", "key"),
    [(CERTIFICATE, TLS / "other.key"), (KEY, KEY), (TLS / "README.md", KEY), (TLS / "absent.pem", KEY), (TLS, KEY)],
)
def test_unusable_tls_files_are_reported_in_one_line(start, certificate, key):
    with pytest.raises(StartError, match="TLS cannot use") as caught:
        start(tls_certificate=certificate, tls_key=key)
    assert "\n" not in str(caught.value)


def test_an_unprotected_service_beyond_loopback_needs_the_insecure_options(start):
    with pytest.raises(StartError, match="--insecure-grpc"):
        start(address="0.0.0.0:0")
    served = start(address="0.0.0.0:0", metrics_address="0.0.0.0:0", insecure_grpc=True, insecure_metrics=True)
    port = served.running.address.rpartition(":")[2]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)


def test_a_tokens_file_may_have_a_byte_order_mark_and_any_line_ends(tokens):
    tokens.write_bytes(b"\xef\xbb\xbf  " + TOKEN.encode() + b" \t\r\n\r\n" + b"u" * 43 + b"\r\n")
    guard = Guard(lambda: read_tokens(tokens))
    for token in (TOKEN, "u" * 43, f"  {TOKEN} "):
        guard.check("/any/Method", {"authorization": f"Bearer {token}"})


def replace(path, content):
    """Replace a file by another one, as editors and Kubernetes do."""
    new = path.with_name("new")
    new.write_bytes(content)
    new.chmod(0o600)
    new.replace(path)


def test_tokens_are_read_again_when_the_file_changes(start, tokens, caplog):
    served = start(tokens_file=tokens)
    one, other = [(("authorization", f"Bearer {token}"),) for token in (TOKEN, "v" * 43)]
    call = served.client.training.ListTrainingJobs
    call(pb.ListTrainingJobsRequest(), metadata=one)
    replace(tokens, b"short")
    for _ in range(3):
        call(pb.ListTrainingJobsRequest(), metadata=one)
    (message,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert message.startswith(f"the tokens file {tokens} holds a token of fewer")
    assert "stays in use" in message
    replace(tokens, b"v" * 43)
    call(pb.ListTrainingJobsRequest(), metadata=other)
    with pytest.raises(grpc.RpcError) as caught:
        call(pb.ListTrainingJobsRequest(), metadata=one)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    tokens.unlink()
    call(pb.ListTrainingJobsRequest(), metadata=other)


def test_a_certificate_is_read_again_when_the_files_change(start, tmp_path, caplog):
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    replace(certificate, CERTIFICATE.read_bytes())
    replace(key, KEY.read_bytes())
    served = start(address="localhost:0", tls_certificate=certificate, tls_key=key)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    made = ("-keyout", tmp_path / "made.key", "-out", tmp_path / "made.pem", "-subj", "/CN=localhost")
    alternative = ("-addext", "subjectAltName=DNS:localhost")
    subprocess.run(["openssl", "req", "-x509", *new, *made, *alternative], check=True, capture_output=True, timeout=60)

    def trusts(authority):
        """True if a new connection reaches a server of this authority."""
        credentials = grpc.ssl_channel_credentials(authority.read_bytes())
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(served.running.address, credentials, options) as channel:
            try:
                health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
            except grpc.RpcError:
                return False
        return True

    assert trusts(CERTIFICATE)
    replace(certificate, (tmp_path / "made.pem").read_bytes())  # the key does not fit yet
    assert trusts(CERTIFICATE)
    assert "TLS cannot use" in caplog.text
    replace(key, (tmp_path / "made.key").read_bytes())
    assert trusts(tmp_path / "made.pem")
    assert not trusts(CERTIFICATE)


def test_metadata_beyond_the_limit_is_refused(client):
    request = pb.ListTrainingJobsRequest()
    with pytest.raises(grpc.RpcError) as caught:
        client.training.ListTrainingJobs(request, metadata=(("x", "y" * 40_000),), timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    client.training.ListTrainingJobs(request)
