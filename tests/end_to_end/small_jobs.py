"""`python -m tests.end_to_end.small_jobs` trains small networks in this process and prints a digest of each, as JSON.

The digest covers the weights, and the sums of loss and metrics in every step. Together the networks call each function
whose code depends on the processor or the C library.
"""

import hashlib
import json
import sys

import numpy as np

from raydient.server.parameters.rule import ONE_STEP
from raydient.spec.network import Network
from raydient.spec.training import Training
from raydient.workers.network import Program, build
from tests.network.training_step import initial, step

from .naive import Update

STEPS, ROWS, SEED = 3, 24, 7
NORMAL = {"kernel_initializer": "he_normal"}
SGD, ADAM = {"sgd": {"momentum": 0.9, "nesterov": True}}, {"adam": {"learning_rate": 0.01}}
JOBS = {
    "dense": {
        "layers": [
            {"dense": {"units": 96, "activation": "elu", **NORMAL}},
            {"dense": {"units": 64, "activation": "softplus", "kernel_initializer": "orthogonal"}},
            {"dense": {"units": 33, "activation": "gelu", "kernel_initializer": "lecun_normal"}},
            {"dense": {"units": 20, "activation": "exact_gelu"}},
            {"dense": {"units": 1}},
        ],
        "loss": "binary_cross_entropy",
        "shape": (500,),
        "optimizer": ADAM,
    },
    "convolution": {
        "layers": [
            {"conv2d": {"filters": 8, "kernel_size": 3, "activation": "selu", **NORMAL}},
            {"batch_normalization": {}},
            {"max_pooling2d": {"pool_size": 2}},
            {"conv2d": {"filters": 6, "kernel_size": 3, "activation": "silu"}},
            {"flatten": {}},
            {"dense": {"units": 5}},
        ],
        "loss": {"softmax_cross_entropy": {"label_smoothing": 0.1}},
        "shape": (14, 14, 3),
        "optimizer": SGD,
    },
    "lstm": {
        "layers": [{"lstm": {"units": 20}}, {"dense": {"units": 4, "activation": "softplus"}}],
        "loss": "huber",
        "shape": (9, 12),
        "optimizer": ADAM,
    },
    "attention": {
        "layers": [
            {"multi_head_attention": {"num_heads": 2, "key_dim": 8}},
            {"layer_normalization": {}},
            {"flatten": {}},
            {"dense": {"units": 16, "activation": "tanh"}},
            {"dense": {"units": 2}},
        ],
        "loss": "poisson",
        "metrics": ["root_mean_squared_error"],
        "shape": (10, 16),
        "optimizer": ADAM,
    },
}


def train(job: dict) -> str:
    """Return the digest of a job."""
    parts = dict(job)
    shape, training = parts.pop("shape"), Training(optimizer=parts.pop("optimizer"))
    network = build(Network.model_validate(parts), shape)
    program, weights = Program(network, ROWS), initial(network, SEED)
    update, generator, digest = (
        Update(training, network, weights, ONE_STEP),
        np.random.default_rng(SEED),
        hashlib.sha256(),
    )
    for number in range(STEPS):
        x = generator.random((ROWS, *shape), dtype=np.float32) * 4 - 2
        (labels,) = program.ys.values()
        y = generator.integers(0, 2, labels.shape)
        sums, gradient = step(program, weights, (x, y))
        update(number, gradient)
        digest.update(sums.tobytes())
    digest.update(network.layout.digest(weights).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    json.dump({name: train(job) for name, job in JOBS.items()}, sys.stdout)
