"""Checkpoints: what a job needs to go on to the same bits, on disk, whole or not at all.

    checkpoints/step-000000120/weights.safetensors      a model: one tensor per parameter, metadata
                               optimizer.safetensors    one tensor per parameter and array of the optimizer; scores
                                                        of the unfinished epoch's rows where metrics rank them
                               manifest.json            position, digests, numerics; written last

A checkpoint is made in a directory of another name and renamed when every file and the directory itself are durable, so
that one under its own name is complete. The checksums in the manifest find what a disk lost all the same.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from safetensors.numpy import load, save

from raydient.wire.layout import Layout
from raydient.wire.scores import EPOCH_SCORES

from .reports import EpochEnded

Array = NDArray[np.float32]
_WEIGHTS, _OPTIMIZER, _MANIFEST = "weights.safetensors", "optimizer.safetensors", "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a checkpoint.

    Attributes:
        round: the round that comes next.
        step: updates applied.
        epoch: epochs completed.
        epoch_sums: metric sums of the unfinished epoch, rows first.
        digest: of the weights.
        created: time, ISO 8601 in UTC.
        numerics: fingerprint of what computed it, see `fingerprint`.
        history: the epochs that are complete.
        sha256: of each file, by name.
    """

    round: int
    step: int
    epoch: int
    epoch_sums: Sequence[float]
    digest: str
    created: str
    numerics: Mapping[str, str]
    history: Sequence[EpochEnded]
    sha256: Mapping[str, str]


_ADAPTER = TypeAdapter(Manifest)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in memory: `weights` and the optimizer's vectors by name; `epoch_scores` as in a `Snapshot`."""

    manifest: Manifest
    arrays: Mapping[str, Array]


def save_checkpoint(
    directory: Path,
    layout: Layout,
    arrays: Mapping[str, Array],
    position: Mapping[str, Any],
    *,
    metadata: Mapping[str, str],
    keep: int,
) -> Path:
    """Write a checkpoint of these flat vectors, durable on return, and drop all but the newest `keep` in `directory`.

    `position` has the manifest's fields that tell where training is; `metadata` goes into the file of the weights,
    their `digest` among it. OSError leaves the earlier checkpoints alone.
    """
    directory.mkdir(parents=True, exist_ok=True)
    target = _path(directory, position["step"])
    partial = directory / f".partial-{target.name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        state = {
            f"{name}/{p}": v
            for name in arrays.keys() - {"weights", EPOCH_SCORES}
            for p, v in layout.views(arrays[name]).items()
        } | {name: arrays[name] for name in arrays.keys() & {EPOCH_SCORES}}
        files = {_WEIGHTS: save(dict(layout.views(arrays["weights"])), dict(metadata)), _OPTIMIZER: save(state)}
        manifest = Manifest(
            **position,
            digest=metadata["digest"],
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            sha256={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        )
        files[_MANIFEST] = json.dumps(asdict(manifest), indent=2).encode()
        for name, data in files.items():
            _write_durably(partial / name, data)
        _sync(partial)
        # A checkpoint of this very step can only be there already if it is the same, or broken.
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        _sync(directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in list(_candidates(directory))[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def load_latest(directory: Path, layout: Layout, state: Sequence[str]) -> Checkpoint | None:
    """The newest checkpoint that is whole; None if there is none. A damaged one is passed over."""
    for candidate in _candidates(directory):
        try:
            return _load(candidate, layout, state)
        except (OSError, ValueError, KeyError, ValidationError):
            continue
    return None


def _load(path: Path, layout: Layout, state: Sequence[str]) -> Checkpoint:
    manifest = _ADAPTER.validate_json((path / _MANIFEST).read_bytes())
    tensors: dict[str, Array] = {}
    for name, prefix in ((_WEIGHTS, "weights/"), (_OPTIMIZER, "")):
        data = (path / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != manifest.sha256[name]:
            raise ValueError(f"{path / name} is damaged")
        tensors |= {prefix + key: value for key, value in load(data).items()}
    arrays = {}
    for name in ("weights", *state):
        arrays[name] = np.empty(layout.size, np.float32)
        for parameter, view in layout.views(arrays[name]).items():
            view[...] = tensors[f"{name}/{parameter}"]
    if EPOCH_SCORES in tensors:
        arrays[EPOCH_SCORES] = tensors[EPOCH_SCORES]
    return Checkpoint(manifest, arrays)


def discard_checkpoint(directory: Path, step: int) -> None:
    """Remove the checkpoint of a step, if it is there."""
    shutil.rmtree(_path(directory, step), ignore_errors=True)


def saved_steps(directory: Path) -> list[int]:
    """Steps of the checkpoints that are there, in order."""
    return sorted(int(path.name.removeprefix("step-")) for path in _candidates(directory))


def _path(directory: Path, step: int) -> Path:
    return directory / f"step-{step:09d}"


def _candidates(directory: Path) -> Iterator[Path]:
    """Complete checkpoints, the newest first."""
    return iter(sorted(directory.glob("step-*"), key=lambda path: path.name, reverse=True))


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
