"""The process around a parameter server, in a thread, over real sockets; the test plays coordinator and workers."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from math import inf

import numpy as np
import pytest

from raydient.server.parameters.service import Service
from raydient.server.training.reports import STEP_SECONDS_BUCKETS
from raydient.wire import control
from raydient.wire.channel import Assignment, attach
from raydient.wire.endpoint import Transport, dial
from raydient.wire.frames import HEADER, Header, Kind, ProtocolError
from raydient.wire.handshake import new_secret
from raydient.wire.hub import Closed, Hub
from raydient.wire.launch import Launch
from raydient.wire.memory import Bundle
from raydient.wire.schedule import RoundKind
from raydient.wire.tree import maximal_subtrees

SECRET = new_secret()
GENERATION = 4
SECONDS = (0.25, 0.5, 0.0, 0.125)


class Coordinator:
    """What a parameter server hears and says, message by message."""

    def __init__(self, job, pool):
        self.job = job
        self.hub = Hub(SECRET, 1 << 24)
        self.heard = []
        self.workers = []
        self.connection = None
        launch = Launch("job", 0, GENERATION, self.hub.listen("127.0.0.1"), SECRET.hex())
        self.serving = pool.submit(lambda: Service(launch, "127.0.0.1").run())

    def expect(self, kind):
        """The next message of this kind and its arrays; others that come before it are kept in `heard`."""
        while True:
            for connection, frame in self.hub.poll(0.2):
                assert not isinstance(frame, Closed), "the parameter server is gone"
                self.connection = connection
                self.heard.append(control.decode(frame))
            for index, received in enumerate(self.heard):
                if isinstance(received.message, kind):
                    return self.heard.pop(index)
            if self.serving.done():
                self.serving.result()

    def tell(self, message, arrays=None):
        with self.hub.sending(self.connection):
            control.send(self.connection, message, Bundle.of(arrays) if arrays is not None else None)

    def serve(self, **parts):
        """Give it the job, from its beginning or from a snapshot; its data plane."""
        hello, _ = self.expect(control.Hello)
        kind, settings = self.job.optimizer
        told = {
            "parameters": list(self.job.shapes), "optimizer": kind, "settings": settings, "schedule": self.job.schedule,
            "sums": 2, "round": 0, "step": 0, "epoch_sums": [], "arrays": {"weights": self.job.start}, **parts,
        }  # fmt: skip
        arrays = told.pop("arrays")
        self.tell(control.Serve(**told), arrays)
        self.data_plane = hello.data_plane
        return hello

    def attach(self, number, transport, generation=GENERATION):
        """A worker that has joined."""
        connection = dial(self.data_plane, SECRET, transport)
        self.workers.append(connection)
        channel = attach(connection, number, generation)
        assert self.expect(control.Attached).message.worker == number
        return channel

    def plan(self, *workers):
        self.tell(control.Plan(1, workers, [1.0] * len(workers)))

    def settle(self):
        """Everything said before this has been heard: a handshake takes more than one round of the server's loop."""
        dial(self.data_plane, SECRET, Transport.TCP).close()

    def close(self):
        """End everything; the server's thread ends because its coordinator is gone."""
        for connection in self.workers:
            connection.close()
        self.hub.close()


@pytest.fixture
def start_service(tree_job):
    """Starts a parameter server in a thread."""
    with ThreadPoolExecutor(4, thread_name_prefix="serving") as pool:
        started = []

        def start():
            started.append(Coordinator(tree_job, pool))
            return started[-1]

        yield start
        for coordinator in started:
            coordinator.close()
        for coordinator in started:
            coordinator.serving.exception(20)


@pytest.fixture
def coordinator(start_service):
    coordinator = start_service()
    coordinator.serve()
    return coordinator


@pytest.fixture(params=[Transport.SHARED_MEMORY, Transport.TCP])
def transport(request):
    return request.param


def compute(job, channel, assignment):
    """What a worker does with an assignment; the slot of a node is its first leaf, so that a round uses none twice."""
    this = job.schedule.round(assignment.round)
    for node in maximal_subtrees(assignment.first, assignment.last, this.leaves):
        trains, slot = this.kind is RoundKind.TRAIN, node[0]
        if trains:
            channel.slot(slot)[:] = job.gradient(channel.weights, this.number, node)
        channel.push(this.number, node, slot if trains else None, job.sums(this.number, node), SECONDS)


def work(job, channel):
    """A worker's whole life."""
    while (assignment := channel.wait()) is not None:
        compute(job, channel, assignment)


def assert_completes(coordinator, job, *channels):
    """These workers, already planned, bring the job to its end and to the bits of one worker."""
    with ThreadPoolExecutor(len(channels)) as pool:
        working = [pool.submit(work, job, channel) for channel in channels]
        try:
            final, arrays = coordinator.expect(control.Snapshot)
        except BaseException:
            coordinator.close()  # ends the workers, for which the pool waits
            raise
        for one in working:
            one.result(20)
    assert (final.round, final.step, final.final) == (job.schedule.rounds, job.schedule.steps, True)
    assert_at(job, arrays, final.step)


def assert_at(job, arrays, step):
    """Weights and optimizer state are those before this step."""
    names = ("weights", "first_moment", "second_moment")
    for name, expected in zip(names, job.reference[step], strict=True):
        np.testing.assert_array_equal(arrays[name], expected, name)


def test_it_introduces_itself(start_service):
    hello = start_service().serve()

    assert (hello.role, hello.member, hello.generation) == (control.Role.PARAMETER_SERVER, 0, GENERATION)
    assert hello.process == os.getpid()
    assert hello.data_plane.port > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_a_job_from_its_beginning_to_its_end(coordinator, tree_job, transport, workers):
    channels = [coordinator.attach(number, transport) for number in range(workers)]
    coordinator.plan(*range(workers))

    assert_completes(coordinator, tree_job, *channels)

    ends = [m for m, _ in coordinator.heard if isinstance(m, control.EpochDone)]
    assert [(e.epoch, e.step, tuple(e.train), tuple(e.test)) for e in ends] == [
        (e.epoch, e.step, e.train, e.test) for e in tree_job.epochs
    ]
    status = [m for m, _ in coordinator.heard if isinstance(m, control.Status)][-1]
    assert (status.round, status.step) == (tree_job.schedule.rounds, tree_job.schedule.steps)
    assert status.step_seconds_buckets[-1] == tree_job.schedule.steps - 1
    assert len(status.step_seconds_buckets) == len(STEP_SECONDS_BUCKETS) + 1
    assert status.phase_seconds["backward"] == 2 * status.phase_seconds["forward"] > 0
    assert status.exchange_bytes["push"] > 0
    assert status.exchange_bytes["pull"] > 0


def test_workers_of_both_kinds_share_a_job(coordinator, tree_job):
    channels = [coordinator.attach(n, t) for n, t in enumerate([Transport.SHARED_MEMORY, Transport.TCP])]
    coordinator.plan(0, 1)

    assert_completes(coordinator, tree_job, *channels)


def test_a_snapshot_between_rounds_and_going_on_from_it(start_service, tree_job, transport):
    coordinator = start_service()
    coordinator.serve()
    channel = coordinator.attach(0, transport)
    coordinator.plan(0)
    for _ in range(4):
        compute(tree_job, channel, channel.wait())
    open_round = channel.wait()
    coordinator.tell(control.TakeSnapshot(final=True))
    coordinator.tell(control.TakeSnapshot(final=False))
    coordinator.settle()
    compute(tree_job, channel, open_round)
    told, arrays = coordinator.expect(control.Snapshot)

    assert (told.round, told.step, told.final) == (5, 4, True)
    assert_at(tree_job, arrays, 4)
    assert channel.wait() is None
    assert told.epoch_sums[0] == 7

    other = start_service()
    other.serve(round=told.round, step=told.step, epoch_sums=told.epoch_sums, arrays=arrays)
    channel = other.attach(7, transport)
    other.plan(7)
    assert_completes(other, tree_job, channel)
    (end,) = [m for m, _ in other.heard if isinstance(m, control.EpochDone)]
    assert (end.epoch, tuple(end.train)) == (1, tree_job.epochs[1].train)


def test_a_snapshot_before_the_first_plan_is_what_was_served(coordinator, tree_job):
    coordinator.tell(control.TakeSnapshot(final=False))

    told, arrays = coordinator.expect(control.Snapshot)

    assert (told.round, told.step, told.final) == (0, 0, False)
    assert_at(tree_job, arrays, 0)


def test_what_a_lost_worker_had_not_pushed_goes_to_the_others(coordinator, tree_job, transport):
    stays, leaves = coordinator.attach(0, transport), coordinator.attach(1, transport)
    coordinator.plan(0, 1)
    mine, others = stays.wait(), leaves.wait()
    assert (mine.first, others.last) == (0, 7)
    compute(tree_job, stays, mine)
    leaves.close()

    again = stays.wait()

    assert (again.round, again.first, again.last) == (0, others.first, others.last)
    compute(tree_job, stays, again)
    assert_completes(coordinator, tree_job, stays)


def test_all_workers_may_be_lost_and_a_new_one_goes_on(coordinator, tree_job, transport):
    for number in (0, 1):
        channel = coordinator.attach(number, transport)
        coordinator.plan(number)
        compute(tree_job, channel, channel.wait())
        channel.wait()
        channel.close()

    channel = coordinator.attach(2, transport)
    coordinator.plan(2)

    assert_completes(coordinator, tree_job, channel)


def test_a_plan_may_name_workers_that_are_gone(coordinator, tree_job, transport):
    """They were there when it was made."""
    stays, gone = coordinator.attach(3, transport), coordinator.attach(4, transport)
    gone.close()
    coordinator.plan(4)
    coordinator.plan(4, 3, 99)

    assert_completes(coordinator, tree_job, stays)


@pytest.mark.parametrize(
    ("number", "generation"), [(1, GENERATION - 1), (1, GENERATION + 1), (0, GENERATION)], ids=["old", "new", "again"]
)
def test_a_worker_of_another_generation_or_a_number_that_is_taken_is_refused(
    coordinator, tree_job, transport, number, generation
):
    good = coordinator.attach(0, transport)
    with closing(dial(coordinator.data_plane, SECRET, transport)) as connection, pytest.raises(ConnectionError):
        attach(connection, number, generation)
    coordinator.plan(0, 1)

    assert_completes(coordinator, tree_job, good)


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
    assert_completes(coordinator, tree_job, good)


def test_who_has_not_attached_cannot_push(coordinator, tree_job, transport):
    good = coordinator.attach(0, transport)
    with closing(dial(coordinator.data_plane, SECRET, transport)) as connection:
        connection.send(Header(Kind.PUSH, GENERATION), bytes(48))
        with pytest.raises(ConnectionError):
            connection.receive()
    coordinator.plan(0)

    assert_completes(coordinator, tree_job, good)


def test_what_counts_for_nothing_is_refused_with_a_reason(coordinator, tree_job, transport):
    channel = coordinator.attach(0, transport)
    connection = coordinator.workers[-1]
    coordinator.plan(0)
    assignment = channel.wait()
    gradient = tree_job.gradient(channel.weights, 0, (0, 4))
    channel.slot(0)[:] = gradient
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
    compute(tree_job, channel, Assignment(0, 4, 7))
    assert_completes(coordinator, tree_job, channel)


def test_a_loss_that_is_not_finite_is_reported_and_nothing_follows(coordinator, tree_job, transport):
    channel = coordinator.attach(0, transport)
    coordinator.plan(0)
    channel.wait()
    channel.slot(0)[:] = 0
    channel.push(0, (0, 7), 0, np.array([inf, 0.0]), SECONDS)

    told = coordinator.expect(control.NonFinite).message
    coordinator.tell(control.TakeSnapshot(final=True))
    coordinator.plan(0)
    with closing(coordinator.attach(1, transport)):
        pass  # the server has heard both before this

    assert (told.kind, told.step, told.loss, told.finite) == (RoundKind.TRAIN, 0, inf, True)
    assert not any(isinstance(m, control.Snapshot) for m, _ in coordinator.heard)


def test_without_its_coordinator_it_ends(start_service, transport, open_descriptors):
    before = open_descriptors()
    coordinator = start_service()
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


@pytest.mark.parametrize("message", [control.Follow(0), control.Plan(1, [], []), control.Failed("x")])
def test_a_coordinator_that_does_not_serve_first_is_none(start_service, message):
    coordinator = start_service()
    coordinator.expect(control.Hello)
    coordinator.tell(message)

    with pytest.raises(ProtocolError, match="expected Serve"):
        coordinator.serving.result(20)


def test_a_message_that_it_cannot_obey_ends_it(coordinator):
    coordinator.tell(control.Follow(0))

    with pytest.raises(ProtocolError, match="a parameter server cannot obey Follow"):
        coordinator.serving.result(20)


def test_a_coordinator_that_does_not_know_the_secret_is_not_served(tree_job):
    with closing(Hub(b"another", 100)) as hub, ThreadPoolExecutor(1) as pool:
        launch = Launch("job", 0, GENERATION, hub.listen("127.0.0.1"), SECRET.hex())
        serving = pool.submit(Service, launch, "127.0.0.1")
        while not serving.done():
            list(hub.poll(0.05))
        with pytest.raises(ConnectionError):
            serving.result()
