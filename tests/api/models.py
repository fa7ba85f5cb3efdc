"""Writes models and checkpoints to disk as jobs do."""

import hashlib
import json
from dataclasses import asdict

import numpy as np

from raydient.server.training.checkpoint_files import (
    AVERAGE,
    BEST,
    CHECKSUMS,
    FORMAT,
    MANIFEST,
    OPTIMIZER,
    WEIGHTS,
    Manifest,
    checksums_text,
    folder_name,
)
from raydient.spec.network import Network
from raydient.workers.network import Model, Preprocessing, Target, build, save_model


def network(loss, units=3, before=()):
    return Network.model_validate({"layers": [*before, {"dense": {"units": units}}], "loss": loss})


def make_model(path, loss="softmax_cross_entropy", units=3, features=("a", "b"), classes=(), before=()):
    """A model of two inputs whose weights are 0, 1, 2, ..."""
    specification = network(loss, units, before)
    size = build(specification, (2,)).layout.size
    weights = np.arange(size, dtype=np.float32) / 8
    preprocessing = Preprocessing((2,), features, is_table=bool(features))
    model = Model.plain(specification, preprocessing, weights, Target("y", classes))
    path.parent.mkdir(exist_ok=True)
    save_model(path, model)
    return model


def make_checkpoint(request, step, write_weights=None, write_best=None, write_average=None):
    """A checkpoint of a run's job with the digest `d`, `b` of the best weights and `a` of the average; its folder."""
    folder = request.directory / "checkpoints" / folder_name(step)
    folder.mkdir(parents=True)
    if write_weights is None:
        (folder / WEIGHTS).write_bytes(b"weights of %d" % step)
    else:
        write_weights(folder / WEIGHTS)
    (folder / OPTIMIZER).write_bytes(b"")
    position = {"round": step, "step": step, "epoch": 0, "epoch_sums": [], "numerics": {}}
    if write_best is not None:
        write_best(folder / BEST)
        position["best_digest"] = "b"
    if write_average is not None:
        write_average(folder / AVERAGE)
        position["average_digest"] = "a"
    manifest = Manifest(format=FORMAT, job=request.job, digest="d", created="2026-01-02T03:04:05.678+00:00", **position)
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest)))
    written = [name for name in (WEIGHTS, OPTIMIZER, MANIFEST, BEST, AVERAGE) if (folder / name).exists()]
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in written}
    (folder / CHECKSUMS).write_bytes(checksums_text(digests))
    return folder
