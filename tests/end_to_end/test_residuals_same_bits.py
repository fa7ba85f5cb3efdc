"""A codec with residuals has one digest for any workers, servers and transport, whatever happens to them."""

import re

import pytest

from raydient.server.training.preparation import prepare
from raydient.server.training.reports import CheckpointTaken, Outcome, Progress, Started
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job
from raydient.wire import control
from raydient.wire.control import Role

from .conftest import execute
from .naive import naive
from .residual_twin import TopK
from .test_codecs_same_bits import LAYERS, TRAINING


@pytest.fixture
def make(data):
    """Return a function that prepares a job; its leaves travel one by one."""

    def build(servers=1, workers=1, epochs=2, seconds=1000.0, layers=LAYERS, **training):
        spec = {
            "dataset": {"uri": data.name},
            "network": {"layers": layers, "loss": "softmax_cross_entropy"},
            "training": TRAINING | {"epochs": epochs} | training,
            "exchange": {"codec": {"top_k": {"fraction": 0.02}}},
            "checkpoints": {"interval_seconds": seconds},
            "resources": {"workers": workers, "parameter_servers": servers},
        }
        return prepare(validate_job(spec), data)

    return build


@pytest.mark.parametrize(
    ("servers", "workers", "transport"),
    [(1, 1, "tcp"), (1, 4, "shared-memory"), (2, 2, "shared-memory"), (2, 3, "tcp")],
)
def test_workers_servers_and_transport_change_no_bit(make, local, tmp_path, servers, workers, transport):
    prepared, reports = make(servers, workers), []
    expected = naive(prepared, decoded=TopK(prepared)).digest
    assert expected != naive(prepared).digest
    assert execute(prepared, local, tmp_path, reports.append, transport=transport).digest == expected
    saved = [report.measurements.saved_bytes for report in reports if isinstance(report, Progress)][-1]
    assert (saved > 0) == (transport == "tcp")


def test_a_kill_a_pause_and_other_processes_change_no_bit(make, local, tmp_path):
    first, begun, orders = make(1, 2, epochs=10, seconds=0.05), [], []

    def steer(report):
        if isinstance(report, CheckpointTaken) and len(begun) == 1:
            begun.append("killed")
            local.kill(Role.WORKER, 1)
        elif isinstance(report, Started):
            begun.append(report.step)
            if len(begun) == 3:
                orders.append(control.Command(control.Order.PAUSE))

    assert execute(first, local, tmp_path, steer, "tcp", orders).outcome is Outcome.PAUSED
    assert begun[:2] == [0, "killed"]
    assert begun[2] > 0, "it goes on from a checkpoint"
    second = make(2, 3, epochs=10)
    assert execute(second, local, tmp_path).digest == naive(second, decoded=TopK(second)).digest


TABLE = {"embedding": {"name": "words", "input_dim": 20_000, "output_dim": 4}}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"consistency": "asynchronous"}, "asynchronous: .* use synchronous, or int8"),
        ({"consistency": {"local": {"steps": 2}}}, "local: .* use synchronous, or int8"),
        ({"on_non_finite": "rollback"}, "on_non_finite: rollback: .* use fail or skip_step, or int8"),
        ({"layers": [TABLE, "flatten", {"dense": {"units": 3}}]}, "words.embeddings, .*: use none"),
    ],
)
def test_a_job_that_cannot_have_residuals_is_refused(make, more, why):
    with pytest.raises(InvalidSpec) as refused:
        make(**more)
    (message,) = [error.message for error in refused.value.errors if error.path == "exchange.codec"]
    assert re.fullmatch(f"top_k cannot be combined with {why}", message)
