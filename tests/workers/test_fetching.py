"""The exchange of a kept data set: a worker asks for data shards in turn, and takes no other answer than these."""

import hashlib
import socket
from contextlib import closing

import numpy as np
import pytest

from raydient.steps.manifest import Manifest
from raydient.steps.places import Place
from raydient.wire import control
from raydient.wire.connection import Connection, limited_to
from raydient.wire.frames import ProtocolError
from raydient.wire.memory import Bundle
from raydient.workers import fetching

CONTENT = np.arange(250, dtype=np.uint8)
PARTS = [CONTENT[start : start + 64] for start in range(0, 250, 64)]
PLACES = {"train/x/a": Place("|u1", (250,), 0)}
MANIFEST = Manifest("5e" * 32, 250, PLACES, 64, [hashlib.sha256(part).hexdigest() for part in PARTS], {})


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("RAYDIENT_CACHE_GIB", "1")


@pytest.fixture
def ends():
    one, other = (Connection(end, limited_to(4096)) for end in socket.socketpair())
    with closing(one), closing(other):
        yield one, other


def answer(coordinator, number, content):
    control.send(coordinator, control.DataShard(number), Bundle.of({control.CONTENT: content}))


def requests(coordinator, count):
    return [control.receive(coordinator).message for _ in range(count)]


def test_a_worker_asks_for_each_data_shard_once(ends):
    worker, coordinator = ends
    for number, part in enumerate(PARTS):  # in advance: the test has one thread
        answer(coordinator, number, part)
    assert np.array_equal(fetching.fetch(worker, MANIFEST)["train/x/a"], CONTENT)
    assert requests(coordinator, 4) == [control.FetchShard(number) for number in range(4)]
    assert np.array_equal(fetching.fetch(worker, MANIFEST)["train/x/a"], CONTENT)
    control.send(worker, control.Alive(1))
    assert requests(coordinator, 1) == [control.Alive(1)]


def test_two_data_shards_are_on_their_way(ends):
    """The request for the third follows the answer to the first, which is wrong."""
    worker, coordinator = ends
    answer(coordinator, 0, PARTS[0] ^ 1)
    with pytest.raises(ProtocolError, match=r"data shard 0 of 5e5e.* has another checksum"):
        fetching.fetch(worker, MANIFEST)
    control.send(worker, control.Alive(1))
    assert requests(coordinator, 4) == [*(control.FetchShard(number) for number in range(3)), control.Alive(1)]


@pytest.mark.parametrize(
    ("message", "arrays"),
    [
        (control.DataShard(1), {control.CONTENT: PARTS[0]}),
        (control.DataShard(0), {}),
        (control.DataShard(0), {control.CONTENT: PARTS[0].astype(np.float32)}),
        (control.DataShard(0), {control.CONTENT: PARTS[0].reshape(8, 8)}),
        (control.DataShard(0), {control.CONTENT: PARTS[0][:-1]}),
        (control.Leave(), {control.CONTENT: PARTS[0]}),
    ],
)
def test_another_answer_breaks_the_protocol(ends, message, arrays):
    worker, coordinator = ends
    control.send(coordinator, message, Bundle.of(arrays))
    coordinator.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(ProtocolError):
        fetching.fetch(worker, MANIFEST)


def test_the_end_of_the_connection_ends_the_exchange(ends):
    worker, coordinator = ends
    coordinator.close()
    with pytest.raises(ConnectionError):
        fetching.fetch(worker, MANIFEST)
