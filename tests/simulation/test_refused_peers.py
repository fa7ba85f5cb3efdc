"""Peers that claim what is not theirs are refused and counted; the weights stay those of the naive loop."""

from contextlib import closing, suppress

import numpy as np
import pytest

from raydient.server.training.reports import Progress
from raydient.wire import control
from raydient.wire.endpoint import Endpoint
from raydient.wire.frames import Header, Kind
from raydient.wire.memory import Bundle

from .job import Job
from .twin import small_pieces, tiny_twin


def between(job, owner, peer):
    """Return the connection of a process to another one."""
    (connection,) = [
        c for c in job.world.connections if (c.owner.name, c.peer.owner.name, c.is_closed) == (owner, peer, False)
    ]
    return connection


def weights_of(job, shard):
    """Return the arrays of a shard's part after one step."""
    start, stop = job.twin.prepared.ranges[shard]
    return Bundle.of({"weights": np.frombuffer(job.twin.weights[1], np.float32)[start:stop]})


def a_shard_with_the_range_of_another(job):
    control.send(between(job, "server 1", "coordinator"), control.SnapshotPart(2, 1, 1), weights_of(job, 1))


def a_member_that_was_never_started(job):
    def main(network):
        with suppress(ConnectionError):
            connection = network.dial(Endpoint("@coordinator 1", "", 1))
            control.send(connection, control.Hello(control.Role.WORKER, 99, 1))
            connection.receive()

    job.world.start("rogue", main)


def a_worker_that_attaches_twice(job):
    between(job, "worker 0", "server 0").send(Header(Kind.ATTACH, 0, first=2))


@small_pieces()
@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (a_shard_with_the_range_of_another, "peer"),
        (a_member_that_was_never_started, "peer"),
        (a_worker_that_attaches_twice, "frame"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_refused_peer_is_counted_and_touches_no_weight(claim, reason):
    with closing(Job(1, tiny_twin("adam", 2), workers=2)) as job:
        job.invariants.undisturbed = False
        claims = [claim]

        def look():
            if claims and any(isinstance(report, Progress) for report in job.reports):
                claims.pop()(job)

        job.world.after.append(look)
        job.run()
    refused = [report.refused for report in job.reports if isinstance(report, Progress)]
    assert refused[0][reason] == 0
    assert refused[-1][reason] == 1
