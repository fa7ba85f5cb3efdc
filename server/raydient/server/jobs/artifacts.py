"""The checkpoints and the model of a job on disk."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from stat import S_ISREG

from raydient.server.errors import DataLoss, NotAllowed, NotFound
from raydient.server.training.checkpoint_files import AVERAGE, BEST, WEIGHTS, Manifest, good_manifests
from raydient.server.training.initial_weights import MODEL_FILE

from .directory import StateDirectory
from .records import Job
from .states import State

CHECKSUMS_KEPT = 256


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A stored checkpoint.

    Attributes:
        digest: digest of its weights, of their average if it is kept.
        weights: file of these weights.
        sha256: expected SHA-256 of that file.
    """

    step: int
    created: datetime
    size_bytes: int
    digest: str
    weights: Path
    sha256: str


class Artifacts:
    """Finds the checkpoints and models of jobs. May be used from any thread; methods block it."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._checksums: OrderedDict[tuple[int, ...], str] = OrderedDict()
        self._lock = threading.Lock()

    def model(self, job: Job) -> Path:
        """Path of the model of a job that succeeded. Raises NotAllowed."""
        path = self._directory.job(job.id) / MODEL_FILE
        if job.state is not State.SUCCEEDED or not path.is_file():
            message = f"jobs/{job.id} is {job.state.name} and has no model; use one of its checkpoints"
            raise NotAllowed(message, reason="NO_MODEL", metadata={"state": job.state.name})
        return path

    def checkpoints(self, job: Job) -> list[StoredCheckpoint]:
        """List the job's complete checkpoints, newest first, without reading arrays. The rules are those of training.

        Damaged checkpoints, and checkpoints that are being replaced, are left out.
        """
        good = good_manifests(self._directory.job(job.id) / "checkpoints", job.id)
        return [checkpoint for entry in good if (checkpoint := _stored(*entry)) is not None]

    def checkpoint(self, job: Job, wanted: int | str) -> StoredCheckpoint:
        """The checkpoint of a step, `last` or `best`, with its weights verified. Raises NotFound, DataLoss.

        `best` has the weights of the best epoch so far, and the step of the checkpoint that they are in.
        """
        which = f"of step {wanted}" if isinstance(wanted, int) else wanted
        try:
            stored = self._find(job, wanted)
            if stored is not None:
                with stored.weights.open("rb") as file:
                    if self.checksum(file) != stored.sha256:
                        message = f"the checkpoint {which} of jobs/{job.id} is damaged; choose another checkpoint"
                        raise DataLoss(message, reason="CHECKPOINT_DAMAGED")
                return stored
        except FileNotFoundError:
            pass  # training has removed it since, because there are newer ones
        why = "" if wanted != "best" or job.spec.training.keeps_best else ": its `training.keep` is not `best`"
        raise NotFound(f"jobs/{job.id} has no checkpoint {which}{why}", reason="CHECKPOINT_NOT_FOUND")

    def _find(self, job: Job, wanted: int | str) -> StoredCheckpoint | None:
        if wanted == "best":
            good = good_manifests(self._directory.job(job.id) / "checkpoints", job.id)
            kept = [(path, manifest, sums) for path, manifest, sums in good if BEST in sums]
            return next((best for entry in kept if (best := _stored(*entry, BEST)) is not None), None)
        checkpoints = self.checkpoints(job)
        return next((checkpoint for checkpoint in checkpoints if wanted in ("last", checkpoint.step)), None)

    def checksum(self, file: BufferedReader) -> str:
        """SHA-256 of an open file; cached, so that a resumed download does not read the whole file again."""
        status = os.fstat(file.fileno())
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._checksums.get(identity)
        if known is None:
            file.seek(0)
            known = hashlib.file_digest(file, "sha256").hexdigest()
            with self._lock:
                self._checksums[identity] = known
                while len(self._checksums) > CHECKSUMS_KEPT:
                    self._checksums.popitem(last=False)
        return known


def _stored(path: Path, manifest: Manifest, sums: Mapping[str, str], weights: str = "") -> StoredCheckpoint | None:
    """Describe a checkpoint by one of its files of weights; None if that is missing.

    By default that is the file of the average, where there is one.
    """
    weights = weights or (AVERAGE if AVERAGE in sums else WEIGHTS)
    try:
        created = datetime.fromisoformat(manifest.created)
        sizes = {file.name: file.lstat().st_size for file in path.iterdir() if S_ISREG(file.lstat().st_mode)}
    except (OSError, ValueError):
        return None
    if weights not in sizes:
        return None
    size_bytes, digest = sum(sizes.values()), manifest.digest_of(weights)
    return StoredCheckpoint(manifest.step, created, size_bytes, digest, path / weights, sums[weights])
