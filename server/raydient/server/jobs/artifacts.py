"""What training left of a job on disk: checkpoints and the model."""

import hashlib
import json
import os
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path

from raydient.server.errors import NotAllowed, NotFound

from .directory import StateDirectory
from .records import Job
from .states import State

MODEL_FILE = "model.safetensors"
WEIGHTS_FILE = "weights.safetensors"
MANIFEST_FILE = "manifest.json"
CHECKSUMS_KEPT = 256
_STEP = re.compile(r"step-(\d+)")


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint that is kept.

    Attributes:
        digest: of its weights.
        weights: the file of its weights.
    """

    step: int
    created: datetime
    size_bytes: int
    digest: str
    weights: Path


class Artifacts:
    """Finds files of jobs. May be used from any thread; methods block it."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._checksums: OrderedDict[tuple[int, ...], str] = OrderedDict()
        self._lock = threading.Lock()

    def model(self, job: Job) -> Path:
        """The model of a job that succeeded. Raises NotAllowed."""
        path = self._directory.job(job.id) / MODEL_FILE
        if job.state is not State.SUCCEEDED or not path.is_file():
            message = f"jobs/{job.id} is {job.state.name} and has no model; its checkpoints may serve"
            raise NotAllowed(message, reason="NO_MODEL", metadata={"state": job.state.name})
        return path

    def checkpoints(self, job: Job) -> list[StoredCheckpoint]:
        """The job's complete checkpoints, newest first. One that is being replaced meanwhile is left out."""
        folder = self._directory.job(job.id) / "checkpoints"
        found = [_read(path) for path in folder.glob("step-*")]
        return sorted((c for c in found if c is not None), key=lambda c: c.step, reverse=True)

    def checkpoint(self, job: Job, step: int) -> StoredCheckpoint:
        """One of them. Raises NotFound."""
        for checkpoint in self.checkpoints(job):
            if checkpoint.step == step:
                return checkpoint
        raise NotFound(f"jobs/{job.id} has no checkpoint of step {step}", reason="CHECKPOINT_NOT_FOUND")

    def checksum(self, file: BufferedReader) -> str:
        """SHA-256 of an open file; remembered, so that a resumed download does not read it all again."""
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


def _read(path: Path) -> StoredCheckpoint | None:
    name = _STEP.fullmatch(path.name)
    if name is None:
        return None
    try:
        manifest = json.loads((path / MANIFEST_FILE).read_bytes())
        created = datetime.fromisoformat(manifest["created"])
        size_bytes = sum(file.stat().st_size for file in path.iterdir())
        return StoredCheckpoint(int(name[1]), created, size_bytes, str(manifest["digest"]), path / WEIGHTS_FILE)
    except (OSError, ValueError, KeyError, TypeError):
        return None
