"""The handshake in which two processes prove that they have the secret of the run, without sending it.

    listener -> dialler   CHALLENGE   nonce L (32 bytes)
    dialler  -> listener  PROOF       nonce D (32 bytes), HMAC-SHA256(secret, "dialler" L D)
    listener -> dialler   PROOF       HMAC-SHA256(secret, "listener" L D), or REFUSED

The roles inside the codes prevent the reflection of a code. The handshake authenticates both ends when a connection
opens; it does not encrypt the connection.
"""

import hmac
import os
from hashlib import sha256

from .connection import Connection
from .frames import Header, Kind, ProtocolError

NONCE_BYTES = 32
SECRET_BYTES = 32
MAXIMUM_FRAME = NONCE_BYTES + sha256().digest_size
"""Bytes of the longest payload before the proof is complete."""


def new_secret() -> bytes:
    return os.urandom(SECRET_BYTES)


def _code(secret: bytes, role: bytes, listener_nonce: bytes, dialler_nonce: bytes) -> bytes:
    return hmac.digest(secret, role + listener_nonce + dialler_nonce, sha256)


class ListenerProof:
    """The listener's side: call `challenge` when the connection opens and `check` on the dialler's answer."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._nonce = os.urandom(NONCE_BYTES)

    def challenge(self, connection: Connection) -> None:
        connection.send(Header(Kind.CHALLENGE), self._nonce)

    def check(self, connection: Connection, kind: Kind, payload: bytes) -> None:
        """Answer a correct proof with the listener's own. ProtocolError if the proof is wrong."""
        nonce, code = payload[:NONCE_BYTES], payload[NONCE_BYTES:]
        expected = _code(self._secret, b"dialler", self._nonce, nonce)
        if kind is not Kind.PROOF or len(nonce) != NONCE_BYTES or not hmac.compare_digest(code, expected):
            raise ProtocolError("the peer has another secret")
        connection.send(Header(Kind.PROOF), _code(self._secret, b"listener", self._nonce, nonce))


def prove_as_dialler(connection: Connection, secret: bytes) -> None:
    """Carry out the dialler's side over a blocking socket. ProtocolError if the listener has another secret."""
    challenge = connection.receive()
    if challenge is None or challenge.header.kind is not Kind.CHALLENGE or len(challenge.payload) != NONCE_BYTES:
        raise ProtocolError("expected a challenge")
    listener_nonce, nonce = bytes(challenge.payload), os.urandom(NONCE_BYTES)
    connection.send(Header(Kind.PROOF), nonce, _code(secret, b"dialler", listener_nonce, nonce))
    answer = connection.receive()
    if answer is not None and answer.header.kind is Kind.REFUSED:
        raise ProtocolError("the listener has another secret")
    expected = _code(secret, b"listener", listener_nonce, nonce)
    if answer is None or answer.header.kind is not Kind.PROOF or not hmac.compare_digest(answer.payload, expected):
        raise ProtocolError("the listener cannot prove the secret")
