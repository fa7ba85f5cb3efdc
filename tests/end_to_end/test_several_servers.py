"""The number of parameter servers changes no bit: not with tables, averages, frozen layers, penalties or losses."""

import itertools

import numpy as np
import pytest

from raydient.server.training.preparation import prepare
from raydient.server.training.reports import CheckpointTaken, Finished, Notice, Outcome, Progress
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job
from raydient.wire import control
from raydient.wire.control import Order, Role

from .conftest import execute

VOCABULARY = 9_000
TABLE_ROWS = 17_000
"""So many rows of 4 values are a table, which takes longer than a vocabulary of so few rows that it is none."""
SGD = {"sgd": {"learning_rate": 0.1}}
LIMITS = {"values": 0.01, "layer_norm": 0.1, "global_norm": 0.2}
CLIPPINGS = {kind: {kind: {"limit": limit}} for kind, limit in LIMITS.items()}
SERVERS, WORKERS, TRANSPORTS = (1, 2, 3, 5), (1, 2, 3, 4, 7), ("shared-memory", "tcp")


@pytest.fixture(scope="session")
def phrases(tmp_path_factory):
    """330 samples of 4 numbers, some frequent and most rare, and a class that follows from the first one."""
    rng = np.random.default_rng(8)
    x = np.minimum(rng.zipf(1.2, (330, 4)), VOCABULARY - 1)
    path = tmp_path_factory.mktemp("data") / "phrases.npz"
    np.savez(path, x=x.astype(np.float32), y=x[:, 0] % 3)
    return path


@pytest.fixture
def make(phrases):
    """Return a function that prepares a job of 7 microbatches a step, with an odd last batch."""

    def build(servers, workers, *, epochs=2, checkpoint_seconds=1000.0, optimizer="adam", every=5, **more):
        rows = TABLE_ROWS if optimizer == "rowwise_adagrad" else VOCABULARY
        layers = [
            {"embedding": {"name": "words", "input_dim": rows, "output_dim": 4}},
            "flatten",
            {"dense": {"units": 60, "activation": "relu", "kernel_regularizer": {"l1": 0.001, "l2": 0.01}}},
            "batch_normalization",
            {"dense": {"units": 150, "activation": "tanh", "trainable": False}},
            {"dropout": {"rate": 0.1}},
            {"dense": {"units": 3}},
        ]
        training = {"epochs": epochs, "batch_size": 80, "microbatches": 7, "optimizer": optimizer, "seed": 4}
        spec = {
            "dataset": {"uri": phrases.name, "split": {"test": 0.1}},
            "network": {"layers": layers, "loss": "softmax_cross_entropy"},
            "training": training | more,
            "monitoring": {"gradient_health_every": every},
            "checkpoints": {"interval_seconds": checkpoint_seconds},
            "resources": {"workers": workers, "parameter_servers": servers},
        }
        return prepare(validate_job(spec), phrases)

    return build


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("servers", "workers"), [(2, 1), (2, 2), (3, 3), (5, 2)])
def test_servers_and_workers_change_no_bit(make, local, expected, tmp_path, servers, workers, transport):
    prepared = make(servers, workers)
    finished = execute(prepared, local, tmp_path, transport=transport)
    assert (finished.outcome, finished.step) == (Outcome.SUCCEEDED, prepared.schedule.steps)
    assert finished.digest == expected(prepared)
    started = [role for role, _ in local.processes]
    assert started.count(Role.PARAMETER_SERVER) == servers


@pytest.mark.parametrize(("kind", "optimizer"), [("values", "adam"), ("layer_norm", SGD), ("global_norm", SGD)])
def test_clipping_and_weight_decay_have_the_bits_of_one_server(make, local, expected, tmp_path, kind, optimizer):
    reports, prepared = [], make(2, 2, optimizer=optimizer, clipping=CLIPPINGS[kind], weight_decay={"rate": 0.1})
    assert execute(prepared, local, tmp_path, reports.append).digest == expected(prepared)
    last = progress(reports)[-1]
    assert last.clipped_steps == prepared.schedule.steps
    assert 0 < last.clip_factor < 1


def test_accumulated_batches_have_the_bits_of_one_batch(make, local, expected, tmp_path):
    prepared = make(2, 3, batch_size=40, microbatches=3, accumulate=3)
    assert execute(prepared, local, tmp_path).digest == expected(make(1, 1, batch_size=120, microbatches=9))


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("optimizer", "clipping"),
    [
        *[("adam", None), (SGD, None), ("rowwise_adagrad", None)],
        *[("adam", "values"), ("adam", "layer_norm"), (SGD, "global_norm")],
    ],
    ids=["adam", "sgd", "rowwise-adagrad", "adam-values", "adam-layer-norm", "sgd-global-norm"],
)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("servers", "workers"), list(itertools.product(SERVERS, WORKERS)))
def test_the_whole_matrix(make, local, expected, tmp_path, servers, workers, transport, optimizer, clipping):
    prepared = make(servers, workers, optimizer=optimizer, clipping=CLIPPINGS.get(clipping))
    assert execute(prepared, local, tmp_path, transport=transport).digest == expected(prepared)


@pytest.mark.matrix
@pytest.mark.ray
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("servers", "workers"), list(itertools.product(SERVERS, (1, 2, 3, 4))))
def test_the_whole_matrix_on_ray(make, ray_cluster, expected, tmp_path, servers, workers, transport):
    prepared = make(servers, workers)
    assert execute(prepared, ray_cluster, tmp_path, transport=transport).digest == expected(prepared)


def test_gradient_health_is_the_same_for_any_number_of_servers(make, local, tmp_path):
    def measured(servers):
        reports = []
        execute(make(servers, 2, every=1), local, tmp_path / str(servers), reports.append)
        by_step = {r.gradient_health.step: r.gradient_health for r in progress(reports) if r.gradient_health}
        return by_step[max(by_step)]

    assert measured(1) == measured(3)


def progress(reports):
    return [report.measurements for report in reports if isinstance(report, Progress)]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_loss_of_any_server_rolls_back_to_one_checkpoint(make, local, expected, tmp_path, number, transport):
    prepared, reports = make(3, 2, epochs=60, checkpoint_seconds=0.05), []
    killed = []

    def kill(report):
        reports.append(report)
        if isinstance(report, Progress) and report.step > 60 and not killed:
            killed.append(number)
            local.kill(Role.PARAMETER_SERVER, number)

    finished = execute(prepared, local, tmp_path, kill, transport=transport)
    assert killed
    assert finished.digest == expected(prepared)
    lost = [r for r in reports if isinstance(r, Notice) and r.reason == "PARAMETER_SERVER_LOST"]
    assert len(lost) == 1


@pytest.mark.parametrize(("before", "after", "optimizer"), [(3, 2, "adam"), (1, 5, "lamb"), (5, 1, "rowwise_adagrad")])
def test_a_checkpoint_of_some_servers_is_loaded_by_others(make, local, expected, tmp_path, before, after, optimizer):
    orders, paused = [], []

    def pause(report):
        if isinstance(report, Progress) and report.step > 20 and not orders and not paused:
            paused.append(report.step)
            orders.append(control.Command(Order.PAUSE))

    first = execute(make(before, 2, epochs=40, optimizer=optimizer), local, tmp_path, pause, orders=orders)
    assert first.outcome is Outcome.PAUSED
    prepared, reports = make(after, 2, epochs=40, optimizer=optimizer), []
    second = execute(prepared, local, tmp_path, reports.append)
    assert isinstance(second, Finished)
    assert second.digest == expected(prepared)
    assert any(isinstance(report, CheckpointTaken) for report in reports)
    assert "RESUMED" in [report.reason for report in reports if isinstance(report, Notice)]


def test_more_servers_than_pieces_are_refused(make):
    with pytest.raises(InvalidSpec, match=r"50 is more than the \d+ pieces of the network's \d+ weights") as refused:
        make(50, 1)
    assert [error.path for error in refused.value.errors] == ["resources.parameter_servers"]
