"""Latency of `Job.predict` over RPC, one sample a call, with 1 and with 32 clients at a time."""

import statistics
import threading
import time

import numpy as np
from comparison import Comparison, Measurement, Options, print_document
from service import serving

from raydient.client import Client, Job

CLIENTS = (1, 32)
JOB = {
    "dataset": {"split": {"test": 0.0}},
    "network": {
        "layers": [
            {"dense": {"units": 128, "activation": "relu"}},
            {"dense": {"units": 10}},
        ],
        "loss": "softmax_cross_entropy",
    },
    "training": {"epochs": 1, "batch_size": 64},
}


def predict(address: str, name: str, calls: int, taken: list[float], start: threading.Barrier) -> None:
    """Predict one sample after the other by a connection of its own; the first call is not counted."""
    sample = np.random.default_rng(1).random((1, 64))
    with Client(address) as client:
        predictor = client.get(name).predictor()
        predictor.predict(sample)
        start.wait()
        for _ in range(calls):
            began = time.perf_counter()
            predictor.predict(sample)
            taken.append(time.perf_counter() - began)


def measured(address: str, job: Job, clients: int, calls: int) -> Measurement:
    """Percentiles over the calls of all clients, which run as threads of this process."""
    taken: list[float] = []
    start = threading.Barrier(clients + 1)
    each = max(1, calls // clients)
    threads = [threading.Thread(target=predict, args=(address, job.name, each, taken, start)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if len(taken) != each * clients:
        raise RuntimeError(f"{len(taken)} of {each * clients} calls were answered")
    ranked = statistics.quantiles(taken, n=100) if len(taken) > 1 else taken * 99
    return {"p50_ms": 1e3 * ranked[49], "p99_ms": 1e3 * ranked[98], "calls_per_second": len(taken) / seconds}


def main() -> None:
    options = Options.parse(__doc__, 5)
    generator = np.random.default_rng(0)
    rows = options.size(1000, 64)
    data = generator.random((rows, 64), dtype=np.float32), generator.integers(0, 10, rows)
    with serving() as (client, address, _):
        job = client.submit(JOB, data).wait()
        contenders = {
            f"{clients} clients": lambda clients=clients: measured(address, job, clients, options.size(3200, 32))
            for clients in CLIENTS
        }
        comparison = Comparison(options, contenders)
        comparison.run()
    print_document(comparison.document("predict"))


if __name__ == "__main__":
    main()
