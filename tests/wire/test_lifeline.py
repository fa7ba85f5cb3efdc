"""A lifeline answers pings until it is closed, and ends its process when the peer is gone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from raydient.wire import control, lifeline
from raydient.wire.endpoint import Endpoint
from raydient.wire.handshake import new_secret
from raydient.wire.hub import CLOSED, Hub
from raydient.wire.launch import Launch
from raydient.wire.lifeline import Lifeline


@pytest.fixture
def ended(monkeypatch):
    monkeypatch.setattr(lifeline, "PARTING_SECONDS", 0.01)
    return threading.Event()


def test_it_answers_pings(pair, ended):
    near, far = pair
    with Lifeline(far, ended.set):
        for number in (1, 2, 7):
            control.send(near, control.Ping(number))
            assert control.receive(near).message == control.Pong(number)
    assert not ended.is_set()


def test_the_process_ends_when_the_peer_is_gone(pair, ended):
    near, far = pair
    with Lifeline(far, ended.set):
        near.close()
        assert ended.wait(10)


@pytest.mark.parametrize("message", [control.Pong(1), control.Alive(1)])
def test_the_process_ends_when_the_peer_sends_anything_else(pair, ended, message):
    near, far = pair
    with Lifeline(far, ended.set):
        control.send(near, message)
        assert ended.wait(10)


def test_a_closed_lifeline_ends_nothing(pair, ended):
    near, far = pair
    line = Lifeline(far, ended.set)
    line.close()
    line.close()
    with pytest.raises(ConnectionError):
        control.receive(near)
    assert not ended.is_set()


def test_a_member_opens_a_lifeline_to_its_coordinator():
    secret = new_secret()
    with closing(Hub(secret, 1 << 20)) as hub, ThreadPoolExecutor(1) as pool:
        opening = pool.submit(lifeline.hold, Launch("job", 7, hub.listen("127.0.0.1"), secret.hex()), "")
        heard = []
        while not heard:
            heard = list(hub.poll(0.1))
        assert control.decode(heard[0][1]).message == control.Alive(7)
        opening.result(10).close()
        while heard[-1][1] is not CLOSED:
            heard += hub.poll(0.1)


def test_opening_a_lifeline_fails_without_a_coordinator():
    launch = Launch("job", 7, Endpoint("@raydient-no-listener", "127.0.0.1", 9), new_secret().hex())
    with pytest.raises(OSError, match="refused"):
        lifeline.hold(launch, "")
