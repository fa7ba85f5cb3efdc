"""The processes that survive the loss of a server stay the same, and neither descriptors nor memory pile up."""

import os
from pathlib import Path

import pytest

from raydient.server.training.reports import Outcome, Progress
from raydient.wire import control
from raydient.wire.control import Order, Role

from .conftest import execute

LOSSES = 3
NETWORK = {
    "layers": [{"dense": {"units": 600, "activation": "tanh"}}, {"dense": {"units": 3}}],  # two pieces
    "loss": "softmax_cross_entropy",
}


def held_by(pid):
    """Return the number of descriptors of a process, and of its mapped segments."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return len(os.listdir(f"/proc/{pid}/fd")), sum("memfd:raydient" in line for line in maps)


@pytest.mark.parametrize(("transport", "first"), [("shared-memory", 0), ("tcp", 1)])
def test_survivors_of_several_losses_hold_no_more_than_before(job, local, tmp_path, transport, first):
    prepared, orders = job(2, 0.1, NETWORK, servers=2, epochs=1_000_000), []
    held, highest = [], 0  # of each survivor in each generation; the step after which training has made progress

    def kill(report):
        nonlocal highest
        if not isinstance(report, Progress) or report.step <= highest or orders:
            return
        highest = report.step + 50  # beyond any checkpoint, so that the losses are not in a row without progress
        servers = [process for role, process in local.processes if role is Role.PARAMETER_SERVER]
        workers = [process for role, process in local.processes if role is Role.WORKER]
        assert (len(servers), len(workers)) == (2 + len(held), 2), "nothing else was started"
        held.append({process.pid: held_by(process.pid) for process in (servers[1 - first], *workers)})
        if len(held) > LOSSES:
            orders.append(control.Command(Order.CANCEL))
        else:
            local.kill(Role.PARAMETER_SERVER, -1 if len(held) > 1 else first)

    finished = execute(prepared, local, tmp_path, kill, transport=transport, orders=orders)
    assert finished.outcome is Outcome.CANCELLED
    assert held[1:] == held[:1] * LOSSES
