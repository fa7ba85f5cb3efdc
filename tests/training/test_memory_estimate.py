"""The estimate of a job's memory, by process."""

import tracemalloc

import numpy as np
import pytest

from raydient.server.training.memory import (
    COORDINATOR_BYTES,
    INTERPRETER_BYTES,
    RANK_BYTES,
    MemoryEstimate,
    listed,
    too_large,
)
from raydient.server.training.preparation import prepare
from raydient.spec.errors import InvalidSpec
from raydient.spec.exchange import Exchange
from raydient.spec.job import JobSpec
from raydient.steps import ranges
from raydient.steps.scores import SCORE, write_ranks
from raydient.workers.data import limits
from raydient.workers.data.limits import machine_bytes, size_text
from raydient.workers.network import program_bytes

ROWS, FEATURES, UNITS = 1000, 50, 200
GIB = 1 << 30


def job(optimizer="sgd", workers=2, servers=1, metrics=()):
    layers = [{"dense": {"units": UNITS, "activation": "relu"}}, {"dense": {"units": 2}}]
    return JobSpec.model_validate(
        {
            "dataset": {"uri": "a.npz", "split": {"test": 0.1}},
            "network": {"layers": layers, "loss": "softmax_cross_entropy", "metrics": list(metrics)},
            "training": {"batch_size": 64, "microbatches": 4, "optimizer": optimizer},
            "resources": {"workers": workers, "parameter_servers": servers},
        }
    )


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.ones((ROWS, FEATURES)), y=np.arange(ROWS) % 2)
    return path


def test_the_arrays_that_are_counted(data):
    prepared = prepare(job(), data)
    memory, network = prepared.memory, prepared.network
    vector = 4 * (FEATURES * UNITS + UNITS + UNITS * 2 + 2)
    assert memory.data == 4 * ROWS * FEATURES + 4 * ROWS
    assert memory.parameter_server == INTERPRETER_BYTES + vector
    assert memory.coordinator == COORDINATOR_BYTES + memory.data + 3 * vector
    # 900 rows in batches of 64, the last one 4: leaves of 16 rows and of 1; 100 held out
    programs = sum(program_bytes(network, rows) for rows in (16, 1, 100))
    gradients = memory.worker - INTERPRETER_BYTES - programs
    assert 4 * vector <= gradients < 4 * (vector + 4 * UNITS + 64)
    assert memory.on_one_machine(3) == memory.data + 3 * memory.worker + memory.parameter_server + memory.coordinator


def test_a_codec_takes_the_memory_of_one_encoded_gradient(data):
    plain = prepare(job(), data)
    coded = prepare(plain.spec.model_copy(update={"exchange": Exchange.model_validate({"codec": "int8"})}), data)
    size, units = plain.network.layout.size, sum(layer.rectified_units for layer in plain.network.layers)
    assert coded.memory.worker - plain.memory.worker == -(-size // 256) * 260 + 4 * units


def test_metrics_that_rank_rows_take_the_memory_of_their_scores(data):
    plain, ranked = prepare(job(), data).memory, prepare(job(metrics=("auc", "average_precision")), data).memory
    train, test, row_bytes = 900, 100, 2 * 5
    server = row_bytes * (2 * train + test) + RANK_BYTES * train
    assert ranked.parameter_server - plain.parameter_server == server
    assert ranked.parameter_servers_together - plain.parameter_servers_together == server
    assert ranked.coordinator - plain.coordinator == 3 * row_bytes * train
    assert ranked.worker - plain.worker >= 2 * row_bytes * test


def test_ranking_takes_no_more_than_is_counted():
    scores = np.zeros((200_000, 1), SCORE)
    scores["score"] = np.random.default_rng(1).standard_normal(scores.shape)
    for share in (0.01, 0.5, 1.0):
        scores["positive"] = np.random.default_rng(2).random(scores.shape) < share
        tracemalloc.start()
        write_ranks(np.zeros(4), [0], scores)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < RANK_BYTES * len(scores)


def test_residuals_are_as_many_vectors_as_a_step_has_leaves(data):
    plain = prepare(job(), data)
    fed = prepare(plain.spec.model_copy(update={"exchange": Exchange.model_validate({"codec": "top_k"})}), data)
    size, units = plain.network.layout.size, sum(layer.rectified_units for layer in plain.network.layers)
    residuals, encoded = 4 * 4 * size, -(-size // 256) * 15 + 4 * units
    assert fed.memory.worker - plain.memory.worker == encoded + 3 * residuals
    assert fed.memory.coordinator - plain.memory.coordinator == 4 * residuals
    assert fed.memory.parameter_server == plain.memory.parameter_server
    together = [fed.memory.on_one_machine(n) - plain.memory.on_one_machine(n) for n in (1, 8)]
    assert together == [n * encoded + 5 * residuals for n in (1, 8)], "all workers have them once, and the coordinator"
    assert "another codec" in too_large(fed.memory, 1, 1).message


def test_an_optimizer_with_two_moments_has_three_vectors(data):
    plain, adam = prepare(job(), data).memory, prepare(job("adam"), data).memory
    vector = plain.parameter_server - INTERPRETER_BYTES
    assert adam.parameter_server - plain.parameter_server == 2 * vector
    assert adam.coordinator - plain.coordinator == 6 * vector
    assert adam.worker == plain.worker


def test_a_job_that_does_not_fit_is_refused_with_the_parts_and_the_remedy():
    memory = MemoryEstimate(GIB, 2 * GIB, GIB, GIB, parameter_servers=1, parameter_servers_together=GIB)
    assert too_large(memory, 2, 5 * GIB) is None
    problem = too_large(memory, 2, 5 * GIB - 1)
    assert problem.path == "resources"
    assert problem.message == (
        "the job takes about 5.0 GiB of memory besides its data, the machine has 5.0 GiB "
        "(data 1.0 GiB, 2 workers 2.0 GiB each, parameter server 1.0 GiB, coordinator 1.0 GiB): "
        "fewer workers, smaller microbatches or a smaller network take less"
    )


def test_data_in_a_file_take_no_memory(data, monkeypatch, tmp_path):
    within = prepare(job(), data).memory
    monkeypatch.setattr(limits, "LEAST_FILE_BYTES", 0)
    monkeypatch.setattr(limits, "NUMBERS_SHARE", 0.0)
    memory = prepare(job(), data, folder=tmp_path).memory
    assert memory.on_one_machine(2) == within.on_one_machine(2) - 2 * within.data
    assert (within.in_file, memory.in_file, memory.data) == (False, True, within.data)
    assert listed(memory, 2).startswith(f"data {size_text(within.data)} in a file, ")
    assert too_large(memory, 2, memory.on_one_machine(2)) is None
    assert too_large(memory, 2, memory.on_one_machine(2) - 1) is not None


def test_servers_of_unlike_ranges_are_counted_with_what_each_holds(data, monkeypatch):
    monkeypatch.setattr(ranges, "PIECE", 5000)
    prepared = prepare(job("adam", servers=2), data)
    assert [stop - start for start, stop in prepared.ranges] == [10000, 602]
    memory = prepared.memory
    assert memory.parameter_server == INTERPRETER_BYTES + 3 * 4 * 10000
    assert memory.parameter_servers_together == 2 * INTERPRETER_BYTES + 3 * 4 * 10602
    servers = memory.on_one_machine(2) - memory.data - 2 * memory.worker - memory.coordinator
    assert servers == memory.parameter_servers_together
    assert "2 parameter servers 160.1 MiB together (the largest 80.1 MiB)" in listed(memory, 2)


def test_the_least_number_of_workers_has_to_fit(data):
    memory = prepare(job(), data).memory
    enough = memory.on_one_machine(1) - 2 * memory.data
    prepare(job(workers={"min": 1, "max": 8}), data, memory_bytes=enough)
    with pytest.raises(InvalidSpec, match="the job takes about"):
        prepare(job(workers=2), data, memory_bytes=enough)


def test_a_network_larger_than_the_machine_is_refused_before_it_is_allocated(data):
    spec = job().canonical()
    spec["network"]["layers"] = [{"dense": {"units": 2**20}}, {"dense": {"units": 2**10}}, {"dense": {"units": 2}}]
    with pytest.raises(InvalidSpec, match=r"resources: the job takes about \d\d.* of memory"):
        prepare(JobSpec.model_validate(spec), data, memory_bytes=machine_bytes() // 8)
