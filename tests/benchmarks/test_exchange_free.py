"""The benchmark's channel without a peer offers the worker what a real one does: whole epochs go through it."""

import importlib
import threading
from pathlib import Path

import numpy as np

from raydient.spec import network as spec
from raydient.steps.schedule import Schedule
from raydient.workers.data import MemorySource
from raydient.workers.network import build
from raydient.workers.worker import Worker

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_worker_computes_all_steps_without_exchange(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    benchmark = importlib.import_module("exchange_free")
    layers = [{"dense": {"units": 5, "activation": "relu"}}, {"dense": {"units": 3}}]
    network = build(spec.Network.model_validate({"layers": layers, "loss": "softmax_cross_entropy"}), (4,))
    schedule = Schedule(40, 0, epochs=3, batch_size=20, microbatches=2, gradient_health_every=2)
    channel = benchmark.SolitaryChannel(network, schedule, 1, threading.Barrier(1))
    data = {
        "train/x/input": np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32),
        f"train/y/{network.output.name}": np.zeros(40, np.int32),
    }
    Worker(network=network, schedule=schedule, seed=1, data=MemorySource.of(data), channel=channel).run()
    assert len(channel.began) == schedule.steps + 1 == 7
    assert any(channel.slot(index).vector.any() for index in range(2))
