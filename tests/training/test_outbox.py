"""Reports are numbered and kept until the service has them."""

import socket

import pytest

from raydient.server.training.outbox import Outbox
from raydient.server.training.reports import Notice, Progress, from_json
from raydient.wire import control
from raydient.wire.connection import Connection, limited_to
from raydient.wire.frames import ProtocolError


class FakeHub:
    def flushed(self, connection):
        pass


class Service:
    """The other end of a connection, as the service has it."""

    def __init__(self):
        ours, theirs = socket.socketpair()
        theirs.settimeout(5)
        self.connection = Connection(ours, limited_to(1 << 20))
        self._theirs = Connection(theirs, limited_to(1 << 20))

    def next(self):
        message = control.receive(self._theirs).message
        return message.number, from_json(message.report)

    def close(self):
        self._theirs.close()
        self.connection.close()


@pytest.fixture
def service():
    made = Service()
    yield made
    made.close()


@pytest.fixture
def outbox():
    orders = []
    made = Outbox(FakeHub(), orders.append)
    made.orders = orders
    return made


def notice(text):
    return Notice("SOMETHING", text)


def progress(step):
    return Progress(step, 10, 0, 1, 0, 0.0, 0.1, 0.5, 1, 1)


def test_a_follower_gets_what_it_has_not_got_and_then_every_new_one(outbox, service):
    for text in "abc":
        outbox.put(notice(text))
    outbox.hear(service.connection, control.Follow(after=1))
    outbox.put(notice("d"))
    assert [service.next() for _ in range(3)] == [(2, notice("b")), (3, notice("c")), (4, notice("d"))]


def test_it_is_empty_when_all_is_acknowledged(outbox, service):
    outbox.put(notice("a"))
    outbox.put(notice("b"))
    outbox.hear(service.connection, control.Acknowledge(1))
    assert not outbox.empty
    outbox.hear(service.connection, control.Acknowledge(2))
    assert outbox.empty


def test_a_second_follower_gets_what_the_first_did_not_acknowledge(outbox, service):
    outbox.hear(service.connection, control.Follow(after=0))
    outbox.put(notice("a"))
    outbox.put(notice("b"))
    outbox.hear(service.connection, control.Acknowledge(1))
    service.close()
    outbox.put(notice("c"))
    other = Service()
    outbox.hear(other.connection, control.Follow(after=1))
    assert [other.next() for _ in range(2)] == [(2, notice("b")), (3, notice("c"))]
    other.close()


def test_while_nobody_follows_only_the_newest_progress_is_kept(outbox, service):
    outbox.put(notice("a"))
    for step in range(1000):
        outbox.put(progress(step))
    outbox.put(notice("b"))
    outbox.hear(service.connection, control.Follow(after=0))
    assert [service.next() for _ in range(3)] == [(1, notice("a")), (1001, progress(999)), (1002, notice("b"))]


def test_commands_are_handed_on_and_anything_else_refused(outbox, service):
    given = [control.Command(control.Order.INTERRUPT), control.Scale(3, 1)]
    for order in given:
        outbox.hear(service.connection, order)
    assert outbox.orders == given
    with pytest.raises(ProtocolError):
        outbox.hear(service.connection, control.Attached(1))
