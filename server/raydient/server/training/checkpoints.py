"""The checkpoints of a job: written whole or not at all, verified when they are read, set aside when damaged.

A checkpoint is written in a folder `.partial-*`, which is renamed when every file and the folder are durable. A damaged
checkpoint is renamed to `step-000000120.damaged-1`. No checkpoint has such a name, so the folder is never loaded,
counted or deleted.
"""

import errno
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from raydient.files import LOCAL, Disk, write_new
from raydient.steps.amendments import Amendment
from raydient.steps.arrays import AnyArray
from raydient.steps.layout import Layout
from raydient.steps.schedule import Schedule
from raydient.steps.scores import EPOCH_SCORES, SCORE

from .checkpoint_files import (
    CHECKSUMS,
    FORMAT,
    MANIFEST,
    MODELS,
    OPTIMIZER,
    WEIGHTS,
    Checkpoint,
    Damage,
    Damaged,
    Manifest,
    checksums_text,
    folder_name,
    named,
    read_checksums,
    read_manifest,
    read_verified,
    version_of,
)

HEADER_LIMIT = 100_000_008
"""Maximum bytes before the values of a safetensors file, by its format."""
_PARTIAL = ".partial-"
_NOT_DAMAGE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR)
"""Errors of reading that do not depend on the file."""


class Checkpoints:
    """The checkpoints of one job in one folder. The caller holds the job's lock."""

    def __init__(
        self,
        directory: Path,
        *,
        job: str,
        layout: Layout,
        state: Mapping[str, Layout],
        schedule: Schedule,
        ranks: int = 0,
        amended: Callable[[Sequence[Amendment]], Schedule] | None = None,
        disk: Disk = LOCAL,
    ) -> None:
        """Read and write nothing yet.

        Args:
            directory: the folder of the checkpoints; created by the first `save`.
            job: id of the job.
            layout: the parameters in the flat vector of weights.
            state: those in each vector of the optimizer, by its name.
            schedule: the job's rounds.
            ranks: number of metrics that rank rows.
            amended: returns the job's rounds with amendments in force, or raises ValueError; None: there are none.
            disk: holds the folder.
        """
        self._directory, self._job, self._schedule, self._disk = directory, job, schedule, disk
        self._layout, self._state, self._amended = layout, dict(state), amended
        self._scores_limit = ranks * schedule.train_rows * SCORE.itemsize

    def save(
        self,
        arrays: Mapping[str, AnyArray],
        position: Mapping[str, Any],
        *,
        metadata: Mapping[str, str],
        keep: int,
        models: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> list[Damage]:
        """Write a checkpoint of these flat vectors, durable on return, and remove all but those of the newest `keep`.

        A checkpoint of the same step with the same weights is replaced, because the position may be a later one: that
        after the evaluation, or with an amendment. If nothing differs, it stays and nothing is written. Any other entry
        of this name is set aside and returned.

        Args:
            arrays: as in `Checkpoint`.
            position: the manifest's fields of the position of training.
            metadata: goes into the file of the weights; includes their `digest`.
            keep: number of steps whose checkpoints are kept.
            models: as `metadata`, for `best` and `average` by name, if the arrays have them.

        Raises:
            OSError: the earlier checkpoints are unchanged.
        """
        self._disk.make_folder(self._directory)
        self._disk.sync_folder(self._directory.parent)  # else the folder's own name is not durable
        step, version, damage = position["step"], 1, []
        manifest = self._manifest(position, metadata, models)
        for path in self._versions(step):
            stored = self._good(path)
            if stored is None or stored.manifest.digest != manifest.digest:
                damage.append(self._set_aside(path, "it is not what was computed for this step"))
                continue
            if stored.equals(Checkpoint(manifest, arrays)):
                self._disk.sync_folder(self._directory)  # an earlier attempt may have failed at this point
                return damage
            version = version_of(path.name) + 1
            break
        files = self._files(manifest, arrays, metadata, models)
        self._write(self._directory / folder_name(step, version), files)
        self._prune(step, keep)
        return damage

    def load_latest(self) -> tuple[Checkpoint | None, list[Damage]]:
        """Return the newest good checkpoint, if any, and the damaged ones, which are set aside."""
        damage: list[Damage] = []
        try:
            candidates = named(self._directory, self._disk)
        except OSError as error:
            return None, [Damage(self._directory.name, f"it cannot be read: {error.strerror}", "")]
        for _, path in candidates:
            try:
                return self._load(path), damage
            except Damaged as error:
                damage.append(self._set_aside(path, str(error)))
            except OSError as error:
                if error.errno in _NOT_DAMAGE:
                    raise
                where = Path(error.filename).name if isinstance(error.filename, str) else path.name
                damage.append(self._set_aside(path, f"{where} cannot be read: {error.strerror}"))
        return None, damage

    def steps(self) -> list[int]:
        """Return the steps of the checkpoints in the folder, in ascending order."""
        with suppress(OSError):
            return sorted({step for step, path in named(self._directory, self._disk) if self._disk.is_folder(path)})
        return []

    def discard(self, step: int) -> None:
        """Remove the checkpoint of a step, if there is one."""
        with suppress(OSError):
            for path in self._versions(step):
                self._remove(path)

    def remove_leftovers(self) -> None:
        """Remove partial checkpoints of processes that were killed while writing or removing them.

        A checkpoint that such a process renamed, and did not sync, is durable on return unless the disk fails.
        """
        with suppress(OSError):
            names = self._disk.names(self._directory)
            self._disk.sync_folder(self._directory)
            for name in names:
                if name.startswith(_PARTIAL):
                    self._delete(self._directory / name)

    # ---- writing

    def _versions(self, step: int) -> list[Path]:
        """Return the entries with the name of a checkpoint of a step, the newest first."""
        return [path for there, path in named(self._directory, self._disk) if there == step]

    def _manifest(
        self, position: Mapping[str, Any], metadata: Mapping[str, str], models: Mapping[str, Mapping[str, str]]
    ) -> Manifest:
        return Manifest(
            format=FORMAT,
            job=self._job,
            **position,
            digest=metadata["digest"],
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            best_digest=models.get("best", {}).get("digest", ""),
            average_digest=models.get("average", {}).get("digest", ""),
        )

    def _files(
        self,
        manifest: Manifest,
        arrays: Mapping[str, AnyArray],
        metadata: Mapping[str, str],
        models: Mapping[str, Mapping[str, str]],
    ) -> dict[str, bytes]:
        views = self._layout.views
        state = {f"{name}/{p}": v for name, of in self._state.items() for p, v in of.views(arrays[name]).items()}
        state |= {EPOCH_SCORES: arrays[EPOCH_SCORES]} if EPOCH_SCORES in arrays else {}
        files = {WEIGHTS: save(dict(views(arrays["weights"])), dict(metadata)), OPTIMIZER: save(state)}
        for name, model in models.items():
            files[MODELS[name]] = save(dict(views(arrays[name])), dict(model))
        files[MANIFEST] = json.dumps(asdict(manifest), indent=2).encode()
        return files | {CHECKSUMS: checksums_text({n: hashlib.sha256(data).hexdigest() for n, data in files.items()})}

    def _write(self, target: Path, files: Mapping[str, bytes]) -> None:
        partial = target.with_name(f"{_PARTIAL}{target.name}")
        self._delete(partial)
        try:
            self._disk.make_folder(partial)
            for name, data in files.items():
                write_new(partial / name, data, self._disk)
            self._disk.sync_folder(partial)
            self._disk.rename(partial, target)
        except BaseException:
            self._delete(partial)
            raise
        self._disk.sync_folder(self._directory)

    def _good(self, path: Path) -> Checkpoint | None:
        """Return the checkpoint at `path`; None if it is damaged or cannot be read."""
        try:
            return self._load(path)
        except (Damaged, OSError):
            return None

    def _prune(self, step: int, keep: int) -> None:
        """Remove the checkpoints up to a step, but not the newest versions of the newest `keep` steps."""
        kept: set[int] = set()
        for there, path in named(self._directory, self._disk):
            if there <= step and (there in kept or len(kept) == keep):
                self._remove(path)
            elif there <= step:
                kept.add(there)

    def _set_aside(self, path: Path, why: str) -> Damage:
        aside = next(p for n in count(1) if not self._disk.exists(p := path.with_name(f"{path.name}.damaged-{n}")))
        try:
            self._disk.rename(path, aside)
        except OSError:
            return Damage(path.name, why, "")
        return Damage(path.name, why, aside.name)

    def _remove(self, path: Path) -> None:
        """Rename a checkpoint, then delete it, so that a stop in between leaves no checkpoint without some files."""
        partial = path.with_name(f"{_PARTIAL}removed-{path.name}")
        with suppress(OSError):
            if self._disk.exists(partial):
                self._drop(partial)
            self._disk.rename(path, partial)
            self._drop(partial)

    def _drop(self, partial: Path) -> None:
        """Delete a renamed checkpoint once its new name is durable; else the old one may return without its files."""
        self._disk.sync_folder(self._directory)
        self._delete(partial)

    def _delete(self, path: Path) -> None:
        """Remove a folder, a file or a link; errors are ignored."""
        if self._disk.is_folder(path):
            self._disk.remove_tree(path)
        else:
            with suppress(OSError):
                self._disk.remove(path)

    # ---- reading

    def _load(self, path: Path) -> Checkpoint:
        sums = read_checksums(path, self._disk)
        manifest = read_manifest(path, self._job, sums[MANIFEST], self._disk)
        self._check_position(manifest)
        arrays = self._read_weights(path, WEIGHTS, sums, "weights", manifest.digest)
        for name, file in MODELS.items():
            if manifest.digest_of(file) or file in sums:
                arrays |= self._read_weights(path, file, sums, name, manifest.digest_of(file))
        return Checkpoint(manifest, arrays | self._read_arrays(path, OPTIMIZER, sums[OPTIMIZER], self._state, "{}/"))

    def _read_weights(
        self, path: Path, file: str, sums: Mapping[str, str], name: str, digest: str
    ) -> dict[str, AnyArray]:
        """Read a file of weights as the vector `name`; they must have this digest."""
        if file not in sums:
            raise Damaged(f"{CHECKSUMS} does not have {file}")
        arrays = self._read_arrays(path, file, sums[file], {name: self._layout}, "")
        if self._layout.digest(arrays[name]) != digest:
            raise Damaged(f"{file} does not have the digest that {MANIFEST} gives")
        return arrays

    def _check_position(self, manifest: Manifest) -> None:
        schedule, number = self._schedule_of(manifest), manifest.round
        fits = 0 <= number <= schedule.rounds and (manifest.epoch, manifest.step) == schedule.position(number)
        if not (fits and all(map(isfinite, manifest.epoch_sums))):
            raise Damaged(f"{MANIFEST} has a position that this job does not reach")

    def _schedule_of(self, manifest: Manifest) -> Schedule:
        if not manifest.amendments:
            return self._schedule
        try:
            if self._amended is not None:
                return self._amended(manifest.amendments)
        except (ValueError, LookupError, TypeError):
            pass
        raise Damaged(f"{MANIFEST} has amendments that this job cannot have")

    def _read_arrays(
        self, path: Path, file: str, sha256: str, layouts: Mapping[str, Layout], prefix: str
    ) -> dict[str, AnyArray]:
        """Read flat vectors from a file. A tensor's name is `prefix`, formatted with the vector's name, + parameter."""
        limit = HEADER_LIMIT + 4 * sum(layout.size for layout in layouts.values()) + self._scores_limit
        try:
            tensors = load(read_verified(path, file, sha256, limit, self._disk))
        except (SafetensorError, KeyError, ValueError) as error:
            raise Damaged(f"{file} is no safetensors file") from error
        scores = {name: tensors.pop(name) for name in (EPOCH_SCORES,) if name in tensors and file == OPTIMIZER}
        shapes = {prefix.format(name) + p.name: p.shape for name, of in layouts.items() for p in of.parameters}
        fits = {name: tensor.shape for name, tensor in tensors.items()} == shapes
        if not fits or any(tensor.dtype != np.float32 for tensor in tensors.values()):
            raise Damaged(f"{file} has other arrays than this job: of another network, optimizer or version")
        arrays = {name: np.empty(layout.size, np.float32) for name, layout in layouts.items()}
        for name, array in arrays.items():
            for parameter, view in layouts[name].views(array).items():
                view[...] = tensors[prefix.format(name) + parameter]
        return arrays | scores
