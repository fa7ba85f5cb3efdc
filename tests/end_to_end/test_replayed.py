"""A job that is not synchronous can be repeated in one process, to the same bits, also after kills."""

import numpy as np
import pytest

from raydient.server.training.order_record import FOLDER, read_order
from raydient.server.training.preparation import prepare
from raydient.server.training.replay import RecordCut, replay
from raydient.server.training.reports import Notice, Outcome, Progress
from raydient.spec.validation import validate_job
from raydient.wire.control import Role

from .conftest import execute

NETWORK = {
    "layers": [
        {"dense": {"units": 600, "activation": "relu"}},  # two pieces
        {"dropout": {"rate": 0.1}},
        {"dense": {"units": 3}},
    ],
    "loss": "softmax_cross_entropy",
}
BOUNDED, ASYNCHRONOUS = {"bounded_staleness": {"limit": 3, "damping": True}}, "asynchronous"
RULES = {"optimizer": {"sgd": {"momentum": 0.9}}, "clipping": {"global_norm": {"limit": 0.5}}, "average": {}}


def staleness(parts):
    """Return the staleness of each push of a record."""
    values, step, last = [], -1, None
    for _, _, arrivals in parts:
        for arrival in arrivals:
            step, last = (step + 1, arrival.round) if arrival.round != last else (step, last)
            values.append(step - arrival.version)
    return values


@pytest.mark.parametrize(
    ("consistency", "servers", "transport", "rules"),
    [
        (BOUNDED, 1, "shared-memory", RULES),
        (BOUNDED, 2, "tcp", {}),
        (ASYNCHRONOUS, 1, "tcp", {}),
        (ASYNCHRONOUS, 2, "shared-memory", RULES),
    ],
    ids=["bounded-1-shared-memory", "bounded-2-tcp", "asynchronous-1-tcp", "asynchronous-2-shared-memory"],
)
def test_a_replay_has_the_digest(job, local, tmp_path, consistency, servers, transport, rules):
    prepared = job(3, 0.05, NETWORK, servers=servers, consistency=consistency, epochs=4, **rules)
    finished = execute(prepared, local, tmp_path, transport=transport)
    assert finished.outcome is Outcome.SUCCEEDED
    parts, steps = read_order(tmp_path), []
    assert replay(prepared, parts, (), finished.step, steps.append) == finished.digest
    assert steps == list(range(1, finished.step + 1))
    assert max(staleness(parts)) > 0, "nothing was asynchronous"


@pytest.mark.parametrize("role", [Role.WORKER, Role.PARAMETER_SERVER])
@pytest.mark.parametrize("consistency", [BOUNDED, ASYNCHRONOUS], ids=["bounded", "asynchronous"])
def test_a_replay_has_the_digest_of_a_job_with_kills(job, local, tmp_path, consistency, role):
    prepared, kills = job(3, 0.02, NETWORK, servers=2, consistency=consistency, epochs=30), []

    def kill(report):
        if isinstance(report, Progress) and report.step > 40 * len(kills) + 10 and len(kills) < 3:
            kills.append(report.step)
            local.kill(role, len(kills))

    finished = execute(prepared, local, tmp_path, kill)
    assert (finished.outcome, len(kills)) == (Outcome.SUCCEEDED, 3)
    assert replay(prepared, read_order(tmp_path), (), finished.step) == finished.digest


@pytest.mark.parametrize("consistency", ["synchronous", {"local": {"steps": 3}}], ids=["synchronous", "local"])
def test_a_replay_of_a_job_whose_bits_need_no_record(job, local, tmp_path, consistency):
    prepared = job(2, consistency=consistency, optimizer={"sgd": {"momentum": 0.5}}, batch_size=50)
    finished = execute(prepared, local, tmp_path)
    assert read_order(tmp_path) == []
    assert replay(prepared, [], (), finished.step) == finished.digest


@pytest.mark.parametrize("transport", ["shared-memory", "tcp"])
def test_a_replay_of_a_job_with_a_table(local, tmp_path, transport):
    rng = np.random.default_rng(5)
    x = np.minimum(rng.zipf(1.15, (600, 5)), 19_999)
    np.savez(tmp_path / "words.npz", x=x.astype(np.float32), y=x[:, 0] % 3)
    spec = {
        "dataset": {"uri": "words.npz", "split": {"test": 0.2}},
        "network": {
            "layers": [
                {"embedding": {"input_dim": 20_000, "output_dim": 4}},
                "flatten",
                {"batch_normalization": {}},
                {"dense": {"units": 3}},
            ],
            "loss": "softmax_cross_entropy",
        },
        "training": {"epochs": 3, "microbatches": 4, "consistency": {"bounded_staleness": {"limit": 2}}},
        "resources": {"workers": 2},
    }
    prepared = prepare(validate_job(spec), tmp_path / "words.npz")
    finished = execute(prepared, local, tmp_path, transport=transport)
    assert replay(prepared, read_order(tmp_path), (), finished.step) == finished.digest


def test_a_replay_of_a_job_whose_safeguard_acts(local, data, tmp_path):
    guard = {"loss_factor": 1.0001, "reduce_rate": False}
    spec = {
        "dataset": {"uri": data.name, "split": {"test": 0.1}},
        "network": {"layers": [{"dense": {"units": 3}}], "loss": "softmax_cross_entropy"},
        "training": {
            "epochs": 20,
            "microbatches": 4,
            "optimizer": {"sgd": {"learning_rate": 2.0, "momentum": 0.9}},
            "consistency": {"asynchronous": {"safeguard": guard}},
        },
        "resources": {"workers": 3},
    }
    prepared, notices = prepare(validate_job(spec), data), []
    finished = execute(prepared, local, tmp_path, notices.append)
    acted = [one.message for one in notices if isinstance(one, Notice) and one.reason == "SAFEGUARD_ACTED"]
    assert [text.rpartition("from now on ")[2] for text in acted] == [
        "the staleness is at most 4",
        "the staleness is at most 1",
        "training is synchronous",
    ]
    parts = read_order(tmp_path)
    assert staleness(parts)[-1] == 0
    assert replay(prepared, parts, (), finished.step) == finished.digest


def test_a_record_that_is_cut(job, local, tmp_path):
    prepared = job(2, 0.02, consistency=ASYNCHRONOUS, epochs=6)
    finished = execute(prepared, local, tmp_path)
    parts = read_order(tmp_path)
    with pytest.raises(RecordCut, match=r"the record lacks pushes of step \d+"):
        replay(prepared, parts[:-1], (), finished.step)
    begin, end, arrivals = parts[0]
    with pytest.raises(RecordCut, match=f"the record has {end - begin - 1} of the steps {begin} to {end}"):
        replay(prepared, [(begin, end, arrivals[:-1]), *parts[1:]], (), finished.step)
    path = sorted((tmp_path / FOLDER).iterdir())[0]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="is cut: its size is no multiple of 16 bytes"):
        read_order(tmp_path)
