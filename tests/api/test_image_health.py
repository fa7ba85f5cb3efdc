"""The health check of the image, against a service."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "deploy" / "image" / "raydient-health"
TLS = Path(__file__).parent / "tls"


@pytest.fixture
def check():
    """Returns a function that runs the check with variables of the client, and returns its exit status and output."""

    def run(address, authority=None, name=""):
        variables = {"RAYDIENT_ADDRESS": address, "GRPC_VERBOSITY": "NONE"}
        variables["RAYDIENT_TLS_SERVER_NAME"] = name
        if authority is not None:
            variables["RAYDIENT_TLS_CA"] = str(authority)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAYDIENT_")}
        done = subprocess.run(
            [sys.executable, PROGRAM], env=environment | variables, check=False, stderr=subprocess.PIPE, text=True
        )
        return done.returncode, done.stderr

    return run


@pytest.fixture
def signed(tmp_path):
    """A certificate for `localhost` that an authority signed, and its key."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=60)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
    openssl("req", *new, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=leaf")
    (tmp_path / "names").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    signing = ("-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
    openssl("x509", "-req", *signing, "-out", "leaf.pem")
    return tmp_path / "leaf.pem", tmp_path / "leaf.key"


def test_a_healthy_service(start, check):
    served = start()
    assert check(served.running.address) == (0, f"{served.running.address}: SERVING\n")


def test_it_needs_no_token_and_trusts_the_services_own_certificate(start, check, signed, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("0123456789abcdef0123456789abcdef\n")
    tokens.chmod(0o600)
    certificate, key = signed
    served = start(address="localhost:0", tls_certificate=certificate, tls_key=key, tokens_file=tokens)
    assert check(served.running.address, certificate)[0] == 0
    status, output = check(served.running.address, TLS / "localhost.pem")
    assert status == 1
    assert "UNAVAILABLE" in output


def test_a_certificate_for_another_name_than_the_address(start, check, signed):
    certificate, key = signed
    served = start(tls_certificate=certificate, tls_key=key)
    assert check(served.running.address, certificate)[0] == 1
    assert check(served.running.address, certificate, "localhost")[0] == 0


def test_an_address_without_a_service(start, check):
    served = start()
    served.stop()
    status, output = check(served.running.address)
    assert status == 1
    assert output.startswith(f"{served.running.address}: UNAVAILABLE")
