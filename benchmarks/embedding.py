"""Training a table of 200,000 vectors of 64, of which a step uses 2,560 at the most, against PyTorch eager.

A step is 256 samples: the mean of ten embeddings, a dense layer, softmax cross-entropy. Ours runs as jobs do, with a
parameter server and one or two workers; PyTorch in one process, with a sparse gradient or, for the reader, a dense one.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from comparison import Comparison, Measurement, Options, Peer, print_document, run_peer
from workload import BATCH, FEWEST_EPOCHS, STEPS_PER_EPOCH, pace_of_training

from raydient.spec.job import JobSpec

VOCABULARY, WIDTH, LENGTH, CLASSES = 200_000, 64, 10, 10
RATE = "samples_per_second"
EPOCHS = {"sgd": 40, "adam": 8}
"""Epochs of training by optimizer."""
PEER_STEPS = {"sgd": 400, "adam": 60}
OPTIMIZERS: Mapping[str, Any] = {"sgd": {"sgd": {"learning_rate": 0.01}}, "adam": "adam"}
ONE, TWO, TCP, ADAM = "raydient", "raydient, two workers", "raydient, two workers, TCP", "raydient, Adam"
SPARSE, DENSE, DENSE_ADAM = "PyTorch, sparse", "PyTorch, dense", "PyTorch, dense, Adam"


def write_data(path: Path, vocabulary: int) -> None:
    """Random numbers and classes: speed is measured here, not learning."""
    generator, rows = np.random.default_rng(0), BATCH * STEPS_PER_EPOCH
    x = generator.integers(0, vocabulary, (rows, LENGTH)).astype(np.float32)
    np.savez(path, x=x, y=generator.integers(0, CLASSES, rows))


def ours(
    data: Path, vocabulary: int, workers: int, *, epochs: int, optimizer: str = "sgd", transport: str = "auto"
) -> Measurement:
    words = {"input_dim": vocabulary, "output_dim": WIDTH}
    layers = [{"embedding": words}, "global_average_pooling1d", {"dense": {"units": CLASSES}}]
    job = {
        "dataset": {"uri": data.name, "split": {"test": 0.0}},
        "network": {"layers": layers, "loss": "softmax_cross_entropy"},
        "training": {
            "epochs": epochs,
            "batch_size": BATCH,
            "microbatches": workers,
            "optimizer": OPTIMIZERS[optimizer],
        },
        "resources": {"workers": workers},
    }
    pace = pace_of_training(JobSpec.model_validate(job), data, transport=transport)
    return {RATE: pace.samples_per_second, "step_ms": pace.step_ms, "apply_ms": pace.phases_ms["apply"]}


def torch(optimizer: str, *options: str) -> Measurement:
    (measured,) = run_peer(
        "torch_embedding.py", "--vocabulary", VOCABULARY, "--width", WIDTH, "--length", LENGTH, "--batch", BATCH,
        "--steps", PEER_STEPS[optimizer], "--optimizer", optimizer, *options,
    )  # fmt: skip
    return {RATE: measured["samples_per_s"], "step_ms": measured["ms_per_step"]}


def main() -> None:
    options = Options.parse(__doc__, 5)
    epochs = {name: options.size(number, FEWEST_EPOCHS) for name, number in EPOCHS.items()}
    vocabulary = options.size(VOCABULARY, 1_000)
    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        data = Path(directory) / "random.npz"
        write_data(data, vocabulary)
        comparison = Comparison(
            options,
            {
                ONE: partial(ours, data, vocabulary, 1, epochs=epochs["sgd"]),
                SPARSE: Peer(partial(torch, "sgd", "--sparse")),
                TWO: partial(ours, data, vocabulary, 2, epochs=epochs["sgd"]),
                TCP: partial(ours, data, vocabulary, 2, epochs=epochs["sgd"], transport="tcp"),
                DENSE: Peer(partial(torch, "sgd")),
                ADAM: partial(ours, data, vocabulary, 1, epochs=epochs["adam"], optimizer="adam"),
                DENSE_ADAM: Peer(partial(torch, "adam")),
            },
        )
        comparison.run()
    comparison.ratio(RATE, ONE, SPARSE)
    comparison.ratio(RATE, TWO, SPARSE)
    comparison.ratio(RATE, TCP, SPARSE)
    comparison.ratio(RATE, TCP, TWO)
    comparison.ratio(RATE, ONE, DENSE)
    comparison.ratio(RATE, ADAM, DENSE_ADAM)
    print_document(comparison.document("embedding", vocabulary=vocabulary, width=WIDTH, batch=BATCH))


if __name__ == "__main__":
    main()
