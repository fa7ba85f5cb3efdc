"""Two processes connect only if each proves to the other that it has the secret."""

import hmac
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.handshake import MAXIMUM_FRAME, ListenerProof, new_secret, prove_as_dialler

SECRET = new_secret()


def test_secrets_differ():
    assert new_secret() != new_secret()
    assert len(new_secret()) == 32


def test_both_sides_prove_that_they_have_the_secret(pair):
    listener, dialler = pair
    proof = ListenerProof(SECRET)
    proof.challenge(listener)
    with ThreadPoolExecutor(1) as pool:
        proving = pool.submit(prove_as_dialler, dialler, SECRET)
        answer = listener.receive()
        assert answer.header.length == MAXIMUM_FRAME
        proof.check(listener, answer.header.kind, bytes(answer.payload))
        proving.result()


def code(role, listener_nonce, dialler_nonce, secret=SECRET):
    return hmac.digest(secret, role + listener_nonce + dialler_nonce, "sha256")


@pytest.mark.parametrize(
    "answer",
    [
        lambda challenge, nonce: (Kind.PROOF, nonce + code(b"dialler", challenge, nonce, os.urandom(32))),
        lambda challenge, nonce: (Kind.PROOF, nonce + code(b"listener", challenge, nonce)),
        lambda challenge, nonce: (Kind.PROOF, nonce + code(b"dialler", os.urandom(32), nonce)),
        lambda challenge, nonce: (Kind.PROOF, nonce + code(b"dialler", challenge, os.urandom(32))),
        lambda challenge, nonce: (Kind.PROOF, nonce + code(b"dialler", challenge, nonce)[:-1]),
        lambda challenge, nonce: (Kind.PROOF, nonce[:8] + code(b"dialler", challenge, nonce[:8])),
        lambda challenge, nonce: (Kind.PROOF, nonce),
        lambda challenge, nonce: (Kind.PROOF, b""),
        lambda challenge, nonce: (Kind.CONTROL, nonce + code(b"dialler", challenge, nonce)),
    ],
    ids=["secret", "role", "replayed", "nonce", "cut", "short-nonce", "no-code", "empty", "kind"],
)
def test_a_listener_refuses_a_dialler_that_does_not_have_the_secret(local_pair, answer):
    listener, dialler = local_pair
    proof = ListenerProof(SECRET)
    proof.challenge(listener)
    challenge = bytes(dialler.receive().payload)

    with pytest.raises(ProtocolError, match="the peer has another secret"):
        proof.check(listener, *answer(challenge, os.urandom(32)))

    dialler.socket.setblocking(False)
    assert dialler.receive() is None  # no proof was sent


def test_a_recorded_answer_is_refused(local_pair):
    """The challenge differs each time."""
    listener, dialler = local_pair
    nonce = os.urandom(32)
    challenges = []
    for _ in range(2):
        proof = ListenerProof(SECRET)
        proof.challenge(listener)
        challenges.append(bytes(dialler.receive().payload))

    with pytest.raises(ProtocolError, match="secret"):
        proof.check(listener, Kind.PROOF, nonce + code(b"dialler", challenges[0], nonce))
    proof.check(listener, Kind.PROOF, nonce + code(b"dialler", challenges[1], nonce))


@pytest.mark.parametrize(
    "answer",
    [
        lambda challenge, proof: (Kind.PROOF, code(b"listener", challenge, proof[:32], os.urandom(32))),
        lambda challenge, proof: (Kind.PROOF, proof[32:]),
        lambda challenge, proof: (Kind.PROOF, code(b"listener", challenge, os.urandom(32))),
        lambda challenge, proof: (Kind.PROOF, b""),
        lambda challenge, proof: (Kind.CONTROL, code(b"listener", challenge, proof[:32])),
    ],
    ids=["secret", "reflected", "replayed", "empty", "kind"],
)
def test_a_dialler_refuses_a_listener_that_does_not_have_the_secret(pair, answer):
    listener, dialler = pair
    challenge = os.urandom(32)
    listener.send(Header(Kind.CHALLENGE), challenge)
    with ThreadPoolExecutor(1) as pool:
        proving = pool.submit(prove_as_dialler, dialler, SECRET)
        kind, payload = answer(challenge, bytes(listener.receive().payload))
        listener.send(Header(kind), payload)
        with pytest.raises(ProtocolError, match="the listener cannot prove the secret"):
            proving.result()


@pytest.mark.parametrize(("kind", "length"), [(Kind.PROOF, 32), (Kind.CHALLENGE, 31), (Kind.CHALLENGE, 0)])
def test_a_dialler_answers_nothing_but_a_challenge(local_pair, kind, length):
    listener, dialler = local_pair
    listener.send(Header(kind), bytes(length))

    with pytest.raises(ProtocolError, match="expected a challenge"):
        prove_as_dialler(dialler, SECRET)

    listener.socket.setblocking(False)
    assert listener.receive() is None
