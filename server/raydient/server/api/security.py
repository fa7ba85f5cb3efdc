"""Protection of the service: addresses, TLS, bearer tokens."""

import hashlib
import hmac
import ipaddress
import os
import re
import socket
import ssl
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from raydient.server.errors import StartError, Unauthenticated

from .reloading import Reloaded

OPEN_METHODS = frozenset({"/grpc.health.v1.Health/Check"})
"""Methods that need no token, because probes have none."""
TOKEN_CHARACTERS = 32
"""Shorter tokens could be guessed."""
_HASHED = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Parse `host:port` or `[::1]:port`. Raises StartError."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
            raise StartError(f"{text!r} is not an address: use host:port, as in 127.0.0.1:50051")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """True if only this machine can reach it. Raises StartError if the host has no address."""
        return all(ipaddress.ip_address(place[0]).is_loopback for *_, place in self._resolved())

    def check_free(self) -> None:
        """Raise StartError if the address is in use or invalid, in one line; gRPC's own message takes several."""
        for family, kind, protocol, _, place in self._resolved():
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(place)
                    probe.listen()
                except OSError as error:
                    raise StartError(f"cannot listen on {self}: {(error.strerror or str(error)).lower()}") from error

    def _resolved(self) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]]:
        try:
            addresses = socket.getaddrinfo(self.host or "::", self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise StartError(f"cannot listen on {self}: {error.strerror}") from error
        return [(family, kind, protocol, name, place[:2]) for family, kind, protocol, name, place in addresses]  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Security:
    """The service's TLS and tokens. A certificate needs its key. Files are read again when they change.

    Attributes:
        insecure_grpc: permit gRPC without TLS and tokens on an address that other machines can reach.
        insecure_metrics: permit metrics on such an address; they have neither TLS nor tokens.
    """

    certificate: Path | None = None
    key: Path | None = None
    tokens: Path | None = None
    insecure_grpc: bool = False
    insecure_metrics: bool = False

    def permit(self, address: Address, metrics: Address) -> None:
        """Raise StartError unless this protection suffices for these addresses."""
        if (self.certificate is None) != (self.key is None):
            raise StartError("TLS needs both a certificate and its key")
        protected = self.certificate is not None and self.tokens is not None
        if not (address.loopback or protected or self.insecure_grpc):
            raise StartError(
                f"{address} can be reached from other machines: give a TLS certificate, its key and a tokens file, "
                "or use --insecure-grpc"
            )
        if not (metrics.loopback or self.insecure_metrics):
            raise StartError(
                f"metrics on {metrics} can be read from other machines without a token: use --insecure-metrics"
            )

    def credentials(self) -> grpc.ServerCredentials | None:
        """Credentials of the server; None without TLS. Raises StartError if the files cannot be used."""
        if self.certificate is None or self.key is None:
            return None
        certificate, key = self.certificate, self.key
        reloaded = Reloaded((certificate, key), lambda: _certificate(certificate, key))
        # called for each new connection
        return grpc.dynamic_ssl_server_credentials(reloaded(), reloaded)

    def guard(self) -> "Guard":
        """A guard with the tokens of the file. Raises StartError."""
        tokens = self.tokens
        return Guard(None if tokens is None else Reloaded((tokens,), lambda: read_tokens(tokens)))


def _certificate(certificate: Path, key: Path) -> grpc.ServerCertificateConfiguration:
    """Read a certificate and its key. Raises StartError if they cannot be used."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        pair = (key.read_bytes(), certificate.read_bytes())
    except (OSError, ssl.SSLError) as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"TLS cannot use {certificate} with {key}: {reason}") from error
    return grpc.ssl_server_certificate_configuration([pair])


class Guard:
    """Admits calls with a known token; if there are no tokens, all calls.

    `hashes` returns the SHA-256 of each known token; they are compared in constant time.
    """

    def __init__(self, hashes: Callable[[], Sequence[bytes]] | None) -> None:
        self._hashes = hashes

    def check(self, method: str, metadata: Mapping[str, str | bytes]) -> None:
        """Raise Unauthenticated unless the call may be made. `method` as in `/raydient.v1.ModelService/Predict`."""
        if self._hashes is None or method in OPEN_METHODS:
            return
        token = _token(metadata)
        if not token:
            message = "a token is required: metadata `authorization: Bearer TOKEN`"
            raise Unauthenticated(message, reason="TOKEN_MISSING")
        digest = hashlib.sha256(token.encode()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._hashes()]  # no early exit: constant time
        if not any(matches):
            raise Unauthenticated("the token is unknown", reason="TOKEN_INVALID")


def caller(context: Any) -> str:
    """Return a text that stands for the client of a call: a checksum of its token, or nothing without a token."""
    token = _token(dict(context.invocation_metadata()))
    return hashlib.sha256(token.encode()).hexdigest() if token else ""


def _token(metadata: Mapping[str, str | bytes]) -> str:
    """The bearer token of a call; empty if there is none."""
    kind, _, token = str(metadata.get("authorization", "")).partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def forbidden_mode(owner: int, user: int) -> int:
    """The permissions that a secret file of this owner must not have if the service runs as `user`.

    The group may read a file of root, because Kubernetes mounts secrets for a user in no other way.
    """
    return 0o037 if owner == 0 != user else 0o077


def read_tokens(path: Path) -> list[bytes]:
    """Read the SHA-256 hashes of a file's tokens: one per line, in clear or as `sha256:` and hex; `#` begins a comment.

    A byte order mark, blanks around a token and line ends of any kind are ignored.

    Raises StartError if others may read the file, or if it holds no token or a short one.
    """
    try:
        status = path.stat()
        lines = [line.partition("#")[0].strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise StartError(f"the tokens file {path} cannot be read: {reason}") from error
    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden_mode(status.st_uid, os.geteuid()):
        raise StartError(f"other users may read the tokens file {path} (mode {mode:04o}): run chmod 600")
    tokens = [line for line in lines if line]
    if not tokens:
        raise StartError(f"the tokens file {path} holds no token")
    if any(len(token) < TOKEN_CHARACTERS for token in tokens):
        raise StartError(f"the tokens file {path} holds a token of fewer than {TOKEN_CHARACTERS} characters")
    hashed = [(_HASHED.fullmatch(token), token) for token in tokens]
    return [bytes.fromhex(m[1]) if m else hashlib.sha256(token.encode()).digest() for m, token in hashed]
