"""The shell of a parameter server with one parameter whose gradient is row-sparse."""

import numpy as np
import pytest

from raydient.steps.layout import Layout
from raydient.steps.schedule import RoundKind
from raydient.wire import control
from raydient.wire.frames import Header, Kind

from .conftest import GENERATION, SECONDS, SUMS

SERVED = {
    "layout": Layout.of([("table", (100, 4)), ("dense.bias", (3,))], sparse=["table"]),
    "layers": [("table", 0), ("dense", 3)],
    "training": {"optimizer": {"sgd": {"learning_rate": 0.5, "momentum": 0.0, "nesterov": False}}},
    "arrays": {"weights": np.zeros(403, np.float32)},
}


@pytest.fixture
def serving(start_server):
    """A parameter server of one table, 100 times 4, and a bias."""
    coordinator = start_server()
    coordinator.serve(**SERVED)
    return coordinator


def push_root(job, channel, assignment):
    """Push the root of a round: in step s, rows s and 99 of the table are in use, all ones."""
    opened = job.schedule.round(assignment.round)
    root, slot = (0, opened.leaves), None
    if opened.kind is RoundKind.TRAIN:
        slot = opened.number % channel.terms.slots
        gradient = channel.slot(slot)
        gradient.vector[400:] = gradient.active[:] = 1
        gradient.tables[0].write(np.array([opened.step, 99]), np.ones((2, 4), np.float32))
    channel.push(opened.number, root, slot, np.zeros(SUMS), SECONDS)


def test_rows_in_use_are_exchanged_and_updated_and_no_others(serving, tree_job, transport):
    channel = serving.attach(0, transport)
    serving.plan(0)
    for _ in range(tree_job.schedule.rounds):
        push_root(tree_job, channel, channel.wait())

    final, arrays = serving.expect(control.Snapshot)

    steps = tree_job.schedule.steps
    expected = np.zeros((100, 4), np.float32)
    expected[:steps] = -0.5
    expected[99] = -0.5 * steps
    assert final.step == steps
    np.testing.assert_array_equal(arrays["weights"][:400].reshape(100, 4), expected)
    assert (arrays["weights"][400:] == -0.5 * steps).all()
    status = [m for m, _ in serving.heard if isinstance(m, control.Status)][-1]
    gradient = 4 * (3 + 3 + 1 + 2 * (1 + 4))  # bias, counts of units, number of rows, two rows and their numbers
    assert (
        status.measurements.exchange_bytes["push"]
        == tree_job.schedule.rounds * channel.terms.note_bytes + steps * gradient
    )


def test_a_worker_with_rows_that_there_are_not_is_dropped_and_the_others_go_on(serving, tree_job, transport):
    good, bad = serving.attach(0, transport), serving.attach(1, transport)
    serving.plan(1)
    bad.wait()
    bad.slot(0).tables[0].index[:3] = 2, 7, 7
    bad.push(0, (0, 7), 0, np.zeros(SUMS), SECONDS)

    with pytest.raises(ConnectionError):
        bad.wait()
    serving.plan(0)
    for _ in range(tree_job.schedule.rounds):
        push_root(tree_job, good, good.wait())
    assert serving.expect(control.Snapshot).message.step == tree_job.schedule.steps


def test_a_push_over_tcp_that_ends_within_its_rows_is_dropped(serving, tree_job):
    bad = serving.attach(1, "tcp")
    serving.plan(1)
    bad.wait()
    payload = np.zeros(bad.terms.of_shard(0).least_bytes // 4, np.int32)
    payload[-1] = 100
    serving.workers[-1].send(Header(Kind.GRADIENT, GENERATION, 0, 0, 7), payload.data)

    with pytest.raises(ConnectionError):
        bad.wait()
