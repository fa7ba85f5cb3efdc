"""Reports and epochs are kept until the service has them, and one batch at a time is in flight."""

import contextlib
import socket
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.server.training import outbox as outbox_module
from raydient.server.training.history import History
from raydient.server.training.outbox import BATCH, WAITING, Outbox
from raydient.server.training.reports import (
    EpochEnded,
    Finished,
    Notice,
    Outcome,
    Progress,
    Started,
    WentBack,
    from_json,
)
from raydient.steps.measurements import Measurements
from raydient.wire import control
from raydient.wire.connection import Connection, limited_to
from raydient.wire.frames import ProtocolError


class FakeNetwork:
    """Sends at once; a peer that is gone is no error."""

    def send(self, connection, message):
        with contextlib.suppress(OSError):
            control.send(connection, message)


class Service:
    """The service at the other end of a connection, with the reports that it has stored."""

    def __init__(self, outbox, number=0, epoch=0):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.outbox, self.number, self.epoch = outbox, number, epoch
        self.reports, self.epochs, self.last = [], [], False
        self.connection, self._theirs = Connection(ours, limited_to(1 << 24)), Connection(theirs, limited_to(1 << 24))

    def follow(self):
        self.outbox.hear(self.connection, control.Follow(self.number, self.epoch))

    def take(self):
        """Store the batch in flight without acknowledging it, and return it; None if there is none."""
        frame = self._theirs.receive()
        if frame is None:
            return None
        batch = control.decode(frame).message
        self.last = batch.last
        numbered = [(one.number, from_json(one.report)) for one in batch.reports]
        for number, report in numbered:
            if isinstance(report, EpochEnded):
                self.epochs.append(report.epoch)
                self.epoch = report.epoch
            else:
                assert number > self.number
                self.number = number
                self.reports.append(report)
                if isinstance(report, WentBack):
                    self.epoch = min(self.epoch, report.epoch)
        return [report for _, report in numbered]

    def acknowledge(self):
        self.outbox.hear(self.connection, control.Acknowledge(self.number, self.epoch))

    def take_all(self):
        """Store and acknowledge until no batch is in flight; return all reports."""
        taken = []
        while (batch := self.take()) is not None:
            taken += batch
            self.acknowledge()
        return taken

    def close(self):
        self._theirs.close()
        self.connection.close()


@pytest.fixture
def history(tmp_path):
    with closing(History(tmp_path / "history.log")) as made:
        yield made


@pytest.fixture
def outbox(history):
    orders = []
    made = Outbox(FakeNetwork(), history, orders.append)
    made.orders = orders
    return made


@pytest.fixture
def service(outbox):
    with closing(Service(outbox)) as made:
        yield made


def notice(text):
    return Notice("SOMETHING", text)


def progress(step):
    return Progress(step, 10, 0, 1, 0, 0.0, 1, 1, Measurements(0.5, 0.1))


def end(outbox, history, *numbers):
    """Note that these epochs are complete."""
    for number in numbers:
        history.append(EpochEnded(number, number, 0.1, {"train": {"loss": 0.5}}))
        outbox.put(EpochEnded(number, number, 0.1, {"train": {"loss": 0.5}}))


def test_a_follower_gets_what_it_has_not_got_and_then_every_new_one(outbox, history, service):
    for number, text in enumerate("abc", 1):
        outbox.put(notice(text))
        end(outbox, history, number)
    service.number, service.epoch = 1, 1
    service.follow()
    assert [getattr(r, "message", None) or r.epoch for r in service.take_all()] == ["b", 2, "c", 3]
    outbox.put(notice("d"))
    assert service.take_all() == [notice("d")]
    assert outbox.empty


@pytest.mark.parametrize("moment", ["before a batch", "with a batch in flight", "after a batch", "for another service"])
def test_epochs_that_are_computed_again_are_sent_again(outbox, history, service, moment):
    end(outbox, history, 1, 2, 3)
    if moment != "before a batch":
        service.follow()
        assert [report.epoch for report in service.take()] == [1, 2, 3]
    if moment == "after a batch":
        service.acknowledge()
    outbox.put(notice("a"))
    history.go_on_from(1)
    (last,) = history.read(0, 10)
    outbox.put(WentBack(last))
    if moment == "with a batch in flight":
        service.acknowledge()
    elif moment != "after a batch":
        service.follow()
    end(outbox, history, 2)
    outbox.put(notice("b"))
    known = [1] if moment == "before a batch" else []
    taken = [getattr(report, "message", None) or report.epoch for report in service.take_all()]
    assert taken == [*known, "a", 1, 2, "b"]
    assert outbox.empty


def test_one_batch_at_a_time_is_in_flight(outbox, history, service):
    service.follow()
    outbox.put(notice("a"))
    assert service.take() == [notice("a")]
    for number in range(1, 5 * BATCH):
        end(outbox, history, number)
        outbox.put(progress(number))
    assert service.take() is None
    assert not outbox.empty
    service.acknowledge()
    batch = service.take()
    assert [r.epoch for r in batch if isinstance(r, EpochEnded)] == list(range(1, BATCH + 1))
    assert batch.count(progress(5 * BATCH - 1)) == 1, "the newest progress does not wait for the epochs before it"
    assert sum(isinstance(r, Progress) for r in batch) == 1


def test_a_change_of_state_overtakes_epochs_and_none_is_lost(outbox, history, service):
    end(outbox, history, *range(1, 3 * BATCH))
    outbox.put(Finished(Outcome.CANCELLED, 7))
    service.follow()
    assert Finished(Outcome.CANCELLED, 7) in service.take()
    assert not service.last
    service.acknowledge()
    service.take_all()
    assert service.epochs == list(range(1, 3 * BATCH))
    assert service.last
    assert outbox.empty


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_an_end_without_an_order_comes_after_the_last_epoch(outbox, history, service, outcome):
    end(outbox, history, *range(1, 3 * BATCH))
    outbox.put(Finished(outcome, 7))
    service.follow()
    taken = service.take_all()
    assert [r.epoch for r in taken[:-1]] == list(range(1, 3 * BATCH))
    assert taken[-1] == Finished(outcome, 7)
    assert service.last


def test_a_batch_has_a_size(outbox, history, service, monkeypatch):
    monkeypatch.setattr(outbox_module, "BATCH_BYTES", 200)
    end(outbox, history, *range(1, 10))
    service.follow()
    assert 1 <= len(service.take()) < 9


def test_while_no_service_follows_reports_are_bounded(outbox, history, service):
    outbox.put(Started(0, 2))
    for number in range(2 * WAITING):
        outbox.put(notice(str(number)))
        outbox.put(progress(number))
    outbox.put(Finished(Outcome.SUCCEEDED, 9))
    service.follow()
    taken = service.take_all()
    assert len(taken) <= WAITING + 3
    assert taken[0] == Started(0, 2)
    assert taken[-1] == Finished(Outcome.SUCCEEDED, 9)
    outbox.put(notice("later"))
    (dropped, later) = service.take_all()
    assert (dropped.reason, later) == ("NOTICES_DROPPED", notice("later"))


def test_while_no_service_follows_only_the_newest_progress_is_kept(outbox, service):
    outbox.put(notice("a"))
    for step in range(1000):
        outbox.put(progress(step))
    outbox.put(notice("b"))
    service.follow()
    assert service.take_all() == [notice("a"), progress(999), notice("b")]


def test_commands_are_handed_on_and_anything_else_refused(outbox, service):
    orders = [control.Command(control.Order.PAUSE), control.Scale(3, 1)]
    for order in orders:
        outbox.hear(service.connection, order)
    assert outbox.orders == orders
    with pytest.raises(ProtocolError):
        outbox.hear(service.connection, control.Attached(1))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("epochs"), st.integers(1, 9)),
        st.just(("notice", 0)),
        st.just(("progress", 0)),
        st.just(("take", 0)),
        st.just(("acknowledge", 0)),
        # A service is gone, with or without the batch on its way stored; another one follows.
        st.tuples(st.just("again"), st.booleans()),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(steps=steps, outcome=st.sampled_from(Outcome))
def test_reports_arrive_in_order_and_once(tmp_path_factory, steps, outcome):
    """Notices and epochs, while services come and go; the naive twin is two lists."""
    path = tmp_path_factory.mktemp("outbox") / "history.log"
    with pytest.MonkeyPatch.context() as patch, closing(History(path)) as history:
        patch.setattr(outbox_module, "BATCH", 4)
        outbox, notices, epochs = Outbox(FakeNetwork(), history, print), 0, 0
        service, stored, heard, taken = Service(outbox), [], [], False
        service.follow()
        for name, argument in steps:
            if name == "epochs":
                end(outbox, history, *range(epochs + 1, epochs + 1 + argument))
                epochs += argument
            elif name == "notice":
                outbox.put(notice(str(notices)))
                notices += 1
            elif name == "progress":
                outbox.put(progress(epochs))
            elif name == "take" and not taken:
                taken = service.take() is not None
            elif name == "acknowledge" and taken:
                service.acknowledge()
                taken = False
            elif name == "again":
                if argument and not taken:
                    service.take()
                stored, heard = stored + service.epochs, heard + service.reports
                service.close()
                service, taken = Service(outbox, service.number, service.epoch), False
                service.follow()
        outbox.put(Finished(outcome, 3))
        if taken:
            service.acknowledge()
        service.take_all()
        stored, heard = stored + service.epochs, heard + service.reports
        service.close()
    assert stored == list(range(1, epochs + 1))
    assert [r.message for r in heard if isinstance(r, Notice)] == [str(number) for number in range(notices)]
    assert heard[-1] == Finished(outcome, 3)
    assert service.last
    assert outbox.empty
