"""The shell of a parameter server, in a thread, over real sockets; the test plays coordinator and workers."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from math import inf

import numpy as np
import pytest

from raydient.server.parameters import reporting
from raydient.server.parameters.deadlines import LEAST_SECONDS
from raydient.server.parameters.shell import ParameterServerShell
from raydient.steps.measurements import STEP_SECONDS_BUCKETS
from raydient.steps.schedule import RoundKind
from raydient.wire import control
from raydient.wire.channel import Assignment, attach
from raydient.wire.endpoint import Transport, dial
from raydient.wire.frames import HEADER, Header, Kind, ProtocolError
from raydient.wire.hub import Hub
from raydient.wire.launch import Launch

SECRET = b"s" * 32
GENERATION = 4
SECONDS = (0.0625, 0.25, 0.5, 0.0, 0.125)


class Seconds:
    """A clock that stands still."""

    now = 100.0

    def __call__(self):
        return self.now


def test_a_parameter_server_introduces_itself(start_server):
    hello = start_server().serve()

    assert (hello.role, hello.member, hello.left) == (control.Role.PARAMETER_SERVER, 0, None)
    assert hello.process == os.getpid()
    assert hello.data_plane.port > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_a_job_from_its_beginning_to_its_end(coordinator, tree_job, transport, workers):
    channels = [coordinator.attach(number, transport) for number in range(workers)]
    coordinator.plan(*range(workers))

    coordinator.assert_completes(*channels)

    ends = [epoch for m, _ in coordinator.heard if isinstance(m, control.EpochsDone) for epoch in m.epochs]
    assert [(e.epoch, e.step, tuple(e.train), tuple(e.test)) for e in ends] == [
        (e.epoch, e.step, e.train, e.test) for e in tree_job.epochs
    ]
    status = [m for m, _ in coordinator.heard if isinstance(m, control.Status)][-1]
    assert (status.round, status.step) == (tree_job.schedule.rounds, tree_job.schedule.steps)
    measured = status.measurements
    assert measured.learning_rate == tree_job.optimizer[1]["learning_rate"]
    assert measured.step_seconds_buckets[-1] == tree_job.schedule.steps - 1
    assert len(measured.step_seconds_buckets) == len(STEP_SECONDS_BUCKETS) + 1
    assert measured.phase_seconds["backward"] == 2 * measured.phase_seconds["forward"] > 0
    assert measured.exchange_bytes["push"] > 0
    assert measured.exchange_bytes["pull"] > 0
    assert measured.staleness is None, "the job is synchronous"


def test_short_epochs_are_reported_together(start_server, tree_job, monkeypatch):
    monkeypatch.setattr(reporting, "EPOCHS_AT_ONCE", 0)
    coordinator = start_server(clock=lambda: 0.05)
    coordinator.serve()
    channel = coordinator.attach(0, Transport.SHARED_MEMORY)
    coordinator.plan(0)

    coordinator.assert_completes(channel)

    (batch,) = [m.epochs for m, _ in coordinator.heard if isinstance(m, control.EpochsDone)]
    assert [(e.epoch, tuple(e.train)) for e in batch] == [(e.epoch, e.train) for e in tree_job.epochs]


def test_workers_of_both_kinds_share_a_job(coordinator, tree_job):
    channels = [coordinator.attach(n, t) for n, t in enumerate([Transport.SHARED_MEMORY, Transport.TCP])]
    coordinator.plan(0, 1)

    coordinator.assert_completes(*channels)


def test_a_snapshot_between_rounds_and_going_on_from_it(start_server, tree_job, transport):
    coordinator = start_server()
    coordinator.serve()
    channel = coordinator.attach(0, transport)
    coordinator.plan(0)
    for _ in range(4):
        coordinator.compute(channel, channel.wait())
    open_round = channel.wait()
    coordinator.tell(control.Pause())
    coordinator.tell(control.TakeSnapshot())
    coordinator.settle()
    coordinator.compute(channel, open_round)
    message, arrays = coordinator.expect(control.Snapshot)

    assert (message.round, message.step, message.final) == (5, 4, True)
    coordinator.assert_at(arrays, 4)
    assert channel.wait() is None
    assert message.epoch_sums[0] == 7

    other = start_server()
    other.serve(round=message.round, step=message.step, epoch_sums=message.epoch_sums, arrays=arrays)
    channel = other.attach(7, transport)
    other.plan(7)
    other.assert_completes(channel)
    (end,) = [epoch for m, _ in other.heard if isinstance(m, control.EpochsDone) for epoch in m.epochs]
    assert (end.epoch, tuple(end.train)) == (1, tree_job.epochs[1].train)


def test_a_snapshot_before_the_first_plan_is_what_was_served(coordinator, tree_job):
    coordinator.tell(control.TakeSnapshot())

    message, arrays = coordinator.expect(control.Snapshot)

    assert (message.round, message.step, message.final) == (0, 0, False)
    coordinator.assert_at(arrays, 0)


def test_leaves_that_a_lost_worker_had_not_pushed_go_to_the_others(coordinator, tree_job, transport):
    stays, leaves = coordinator.attach(0, transport), coordinator.attach(1, transport)
    coordinator.plan(0, 1)
    kept, lost = stays.wait(), leaves.wait()
    assert (kept.first, lost.last) == (0, 7)
    coordinator.compute(stays, kept)
    leaves.close()

    again = stays.wait()

    assert (again.round, again.first, again.last) == (0, lost.first, lost.last)
    coordinator.compute(stays, again)
    coordinator.assert_completes(stays)


def test_a_dismissed_worker_has_no_effect(coordinator, tree_job, transport):
    stays, stuck = coordinator.attach(0, transport), coordinator.attach(1, transport)
    coordinator.plan(0, 1)
    kept, lost = stays.wait(), stuck.wait()
    assert (lost.first, lost.last) == (4, 7)
    done = (4, 5)
    stuck.slot(done[0]).vector[:] = tree_job.gradient(stuck.weights, 0, done)
    stuck.push(0, done, done[0], tree_job.sums(0, done), SECONDS)
    coordinator.compute(stays, kept)
    coordinator.settle()
    coordinator.tell(control.Dismiss(1))
    again = stays.wait()
    assert (again.round, again.first, again.last) == (0, 5, 7), "what it had pushed counts"

    # It wakes up and goes on as if nothing had happened.
    for slot in (5, 6):
        stuck.slot(slot).vector[:] = 99
    with suppress(ConnectionError):
        stuck.push(0, (5, 6), 5, tree_job.sums(0, (5, 6)), SECONDS)

    with pytest.raises(ConnectionError):
        stuck.wait()
    coordinator.compute(stays, again)
    coordinator.assert_completes(stays)


def test_a_worker_that_is_silent_for_too_long_is_reported_until_it_is_dismissed(start_server, tree_job, transport):
    clock = Seconds()
    coordinator = start_server(clock=clock)
    coordinator.serve()
    channel, silent = coordinator.attach(0, transport), coordinator.attach(1, transport)
    coordinator.plan(0, 1)
    for each in (channel, silent):
        coordinator.compute(each, each.wait())
    coordinator.compute(channel, channel.wait())

    for _ in range(int(LEAST_SECONDS) + 2):
        clock.now += 1.0
        coordinator.settle()

    for seconds in (LEAST_SECONDS + 1, LEAST_SECONDS + 2):
        overdue = coordinator.expect(control.Overdue).message
        assert (overdue.round, overdue.silent_seconds) == (1, {1: seconds})
    coordinator.tell(control.Dismiss(1))
    coordinator.assert_completes(channel)


def test_all_workers_may_be_lost_and_a_new_one_goes_on(coordinator, tree_job, transport):
    for number in (0, 1):
        channel = coordinator.attach(number, transport)
        coordinator.plan(number)
        coordinator.compute(channel, channel.wait())
        channel.wait()
        channel.close()

    channel = coordinator.attach(2, transport)
    coordinator.plan(2)

    coordinator.assert_completes(channel)


def test_a_plan_may_name_workers_that_are_gone(coordinator, tree_job, transport):
    """They were attached when it was made."""
    stays, gone = coordinator.attach(3, transport), coordinator.attach(4, transport)
    gone.close()
    coordinator.plan(4)
    coordinator.plan(4, 3, 99)

    coordinator.assert_completes(stays)


@pytest.mark.parametrize(
    ("number", "generation"), [(1, GENERATION - 1), (1, GENERATION + 1), (0, GENERATION)], ids=["old", "new", "again"]
)
def test_a_worker_of_another_generation_or_a_number_that_is_taken_is_refused(
    coordinator, tree_job, transport, number, generation
):
    good = coordinator.attach(0, transport)
    with closing(dial(coordinator.data_plane, SECRET, transport)) as connection, pytest.raises(ConnectionError):
        attach([connection], number, generation)
    assert coordinator.expect(control.Refused).message.counts == {"secret": 0, "peer": 1, "frame": 0}
    coordinator.plan(0, 1)

    coordinator.assert_completes(good)


@pytest.mark.parametrize("shard", [0, 1])
def test_a_shard_that_claims_a_range_that_is_not_its_own_is_refused_and_counted(coordinator, transport, shard):
    good = coordinator.attach(0, transport)
    coordinator.plan(0)
    with closing(dial(coordinator.data_plane, SECRET, transport)) as connection:
        control.send(connection, control.Join(shard, GENERATION))
        with pytest.raises(ConnectionError):
            connection.receive()
    assert coordinator.expect(control.Refused).message.counts == {"secret": 0, "peer": 1, "frame": 0}

    coordinator.assert_completes(good)


def test_a_peer_with_another_secret_is_counted(coordinator, transport):
    good = coordinator.attach(0, transport)
    coordinator.plan(0)
    with pytest.raises(ProtocolError, match="another secret"):
        dial(coordinator.data_plane, b"x" * 32, transport)
    assert coordinator.expect(control.Refused).message.counts == {"secret": 1, "peer": 0, "frame": 0}

    coordinator.assert_completes(good)


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (Header(Kind.PUSH, GENERATION, 0, 0, 4), b""),
        (Header(Kind.PUSH, GENERATION, 0, 0, 4), bytes(7)),
        (Header(Kind.PUSH, GENERATION, 0, 0, 4, slot=9), bytes(48)),
        (Header(Kind.ATTACH, GENERATION, first=8), b""),
        (Header(Kind.CONTROL, first=2), b"{}"),
        (Header(Kind.STOP), b""),
        (None, bytes(32)),
        (None, b"\xff" * 32),
        (None, HEADER.pack(Kind.PUSH, 0, GENERATION, 0, 0, 4, 2**63)),
    ],
)
def test_a_worker_that_breaks_the_protocol_is_dropped_and_the_others_go_on(
    coordinator, tree_job, transport, header, payload
):
    good, bad = coordinator.attach(0, transport), coordinator.attach(1, transport)
    coordinator.plan(1, 0)
    bad.wait()
    connection = coordinator.workers[-1]
    if header is None:
        connection.socket.sendall(payload)
    else:
        connection.send(header, payload)

    with pytest.raises(ConnectionError):
        bad.wait()
    assert coordinator.expect(control.Refused).message.counts == {"secret": 0, "peer": 0, "frame": 1}
    coordinator.assert_completes(good)


def test_a_connection_that_has_not_attached_cannot_push(coordinator, tree_job, transport):
    good = coordinator.attach(0, transport)
    with closing(dial(coordinator.data_plane, SECRET, transport)) as connection:
        connection.send(Header(Kind.PUSH, GENERATION), bytes(48))
        with pytest.raises(ConnectionError):
            connection.receive()
    coordinator.plan(0)

    coordinator.assert_completes(good)


def test_a_push_that_does_not_count_is_refused_with_a_reason(coordinator, tree_job, transport):
    channel = coordinator.attach(0, transport)
    connection = coordinator.workers[-1]
    coordinator.plan(0)
    assignment = channel.wait()
    gradient = tree_job.gradient(channel.weights, 0, (0, 4))
    channel.slot(0).vector[:] = gradient
    for round_, node in ((0, (0, 4)), (0, (0, 4)), (0, (1, 3)), (3, (0, 1))):
        channel.push(round_, node, 0, tree_job.sums(0, (0, 4)), SECONDS)

    refused = [connection.receive() for _ in range(3)]

    assert [(f.header.kind, f.header.round, f.header.first, f.header.last) for f in refused] == [
        (Kind.REFUSED, 0, 0, 4), (Kind.REFUSED, 0, 1, 3), (Kind.REFUSED, 3, 0, 1)
    ]  # fmt: skip
    assert [bytes(f.payload) for f in refused] == [
        b'{"reason": "DUPLICATE"}', b'{"reason": "DUPLICATE"}', b'{"reason": "EARLY"}'
    ]  # fmt: skip
    assert (assignment.first, assignment.last) == (0, 7)
    coordinator.compute(channel, Assignment(0, 4, 7))
    coordinator.assert_completes(channel)


def test_a_loss_that_is_not_finite_is_reported_and_nothing_follows(coordinator, tree_job, transport):
    channel = coordinator.attach(0, transport)
    coordinator.plan(0)
    channel.wait()
    channel.slot(0).vector[:] = 0
    channel.push(0, (0, 7), 0, np.array([inf, 0.0]), SECONDS)

    message = coordinator.expect(control.NonFinite).message
    coordinator.tell(control.Pause())
    coordinator.plan(0)
    with closing(coordinator.attach(1, transport)):
        pass  # the server reads pause and plan before it attaches a worker

    assert (message.kind, message.step, message.loss, message.finite) == (RoundKind.TRAIN, 0, inf, True)
    assert not any(isinstance(m, control.Snapshot) for m, _ in coordinator.heard)


def test_a_parameter_server_ends_with_its_coordinator(start_server, transport, open_descriptors):
    before = open_descriptors()
    coordinator = start_server()
    coordinator.serve()
    channel = coordinator.attach(0, transport)
    coordinator.plan(0)
    channel.wait()

    coordinator.hub.close()

    assert coordinator.serving.result(20) is None
    with pytest.raises(ConnectionError):
        channel.wait()
    channel.close()
    del channel
    assert open_descriptors() == before


@pytest.mark.parametrize("message", [control.Follow(0, 0), control.Plan(1, [], []), control.Ping(1)])
def test_a_coordinator_that_does_not_serve_first_is_none(start_server, message):
    coordinator = start_server()
    coordinator.expect(control.Hello)
    coordinator.tell(message)

    with pytest.raises(ProtocolError, match="expected Serve"):
        coordinator.serving.result(20)


def test_a_message_that_it_cannot_obey_ends_a_parameter_server(coordinator):
    coordinator.tell(control.Follow(0, 0))

    with pytest.raises(ProtocolError, match="a parameter server cannot obey Follow"):
        coordinator.serving.result(20)


def test_a_coordinator_without_the_secret_is_not_served(tree_job):
    with closing(Hub(b"another", 100)) as hub, closing(Hub(SECRET, 100)) as other, ThreadPoolExecutor(1) as pool:
        launch = Launch("job", 0, hub.listen("127.0.0.1"), SECRET.hex())
        serving = pool.submit(ParameterServerShell, launch, other, "127.0.0.1")
        while not serving.done():
            list(hub.poll(0.05))
        with pytest.raises(ConnectionError):
            serving.result()
