"""The form of a checkpoint on disk: name, files, manifest, and the detection of damage.

    checkpoints/step-000000120/weights.safetensors      a model: one tensor per parameter, metadata
                               optimizer.safetensors    one tensor per parameter and array of the optimizer, and per
                                                        residual of a leaf where a codec has them; scores of the
                                                        unfinished epoch's rows where metrics rank them
                               best.safetensors         a model: the weights of the best epoch, where they are kept
                               average.safetensors      a model: the average of the weights, where it is kept
                               manifest.json            job, position, digests, numerics
                               SHA256SUMS               of the files above, as `sha256sum -c` reads it; written last
    checkpoints/step-000000120.2/                       a later position at that step, which replaces it

A change of any byte is detected: the checksums cover the files, SHA256SUMS has one valid form, and the manifest names
the job and the step, which must match the folder's name.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from io import BufferedReader
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from raydient.files import LOCAL, Disk
from raydient.steps.amendments import Amendment
from raydient.steps.arrays import AnyArray
from raydient.steps.watched import Watched

WEIGHTS, OPTIMIZER, MANIFEST, CHECKSUMS = "weights.safetensors", "optimizer.safetensors", "manifest.json", "SHA256SUMS"
BEST, AVERAGE = "best.safetensors", "average.safetensors"
MODELS = {"best": BEST, "average": AVERAGE}
"""Files of further models, by the name of the vector."""
FORMAT = "raydient-checkpoint/2"
MANIFEST_LIMIT = 1 << 26
"""Maximum bytes of a manifest, most of them the sums of the unfinished epoch. It does not grow with the epochs."""
_NAME = re.compile(r"step-([0-9]{9,18})(?:\.([0-9]{1,9}))?")
_FILES = WEIGHTS, OPTIMIZER, MANIFEST, BEST, AVERAGE
_LINES = [rf"([0-9a-f]{{64}})  {re.escape(name)}\n" for name in _FILES]
_SUMS = re.compile("".join(_LINES[:3]) + "".join(f"(?:{line})?" for line in _LINES[3:]))


class Damaged(Exception):  # noqa: N818  (an outcome of reading)
    """A checkpoint that is not what was written for this job and step; the message says which part."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a checkpoint.

    Attributes:
        format: FORMAT.
        job: id of the job that it belongs to.
        round: the round that comes next.
        step: updates applied.
        epoch: epochs completed.
        epoch_sums: metric sums of the unfinished epoch, rows first.
        digest: of the weights.
        created: time, ISO 8601 in UTC.
        numerics: fingerprint of the machine and libraries that computed it, see `fingerprint`.
        watched: state of the watched metrics, see `Position`.
        seconds: time of training, if the job has a limit of time.
        best_digest: digest of the weights of the best epoch; empty if there are none.
        average_digest: digest of the average of the weights; empty if there is none.
        amendments: those that are in force, in order.
        outstanding: see `Position`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    format: str
    job: str
    round: int
    step: int
    epoch: int
    epoch_sums: Sequence[float]
    digest: str
    created: str
    numerics: Mapping[str, str]
    watched: Mapping[str, Watched] = field(default_factory=dict)
    best_digest: str = ""
    seconds: float = 0.0
    average_digest: str = ""
    amendments: Sequence[Amendment] = ()
    outstanding: Sequence[int] = ()

    @property
    def result_digest(self) -> str:
        """The digest of the weights that the model has: those of the best epoch, else their average, else the last."""
        return self.best_digest or self.average_digest or self.digest

    def digest_of(self, file: str) -> str:
        """Return the digest of a file of weights; empty if the checkpoint does not have it."""
        return {WEIGHTS: self.digest, BEST: self.best_digest, AVERAGE: self.average_digest}[file]


_ADAPTER = TypeAdapter(Manifest)


def _position(manifest: Manifest) -> str:
    return json.dumps(asdict(replace(manifest, created="", numerics={})))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in memory.

    Attributes:
        arrays: `weights` and the optimizer's vectors by name, float32 and flat; `best`, the weights of the best epoch,
            if there is one; `average`, that of the weights, if it is kept; `epoch_scores` as in a `Snapshot`.
    """

    manifest: Manifest
    arrays: Mapping[str, AnyArray]

    def equals(self, other: "Checkpoint") -> bool:
        """Return True for the same bits at the same position, whenever and on whichever machine they were written."""
        mine, its = self.arrays, other.arrays
        same = (np.array_equal(mine[name].view(np.uint8), its[name].view(np.uint8)) for name in mine if name in its)
        return mine.keys() == its.keys() and all(same) and _position(self.manifest) == _position(other.manifest)


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged checkpoint.

    Attributes:
        name: name of its folder.
        why: which part is wrong.
        kept_as: the folder's new name; empty if it could not be renamed.
    """

    name: str
    why: str
    kept_as: str

    def __str__(self) -> str:
        where = f"it is kept as {self.kept_as}" if self.kept_as else "it cannot be renamed and is left alone"
        return f"checkpoint {self.name} is damaged: {self.why}; {where}"


def folder_name(step: int, version: int = 1) -> str:
    """Return the name of a checkpoint of a step; the later positions at the same step are versions 2, 3, ..."""
    return f"step-{step:09d}" + (f".{version}" if version > 1 else "")


def step_of(name: str) -> int | None:
    """Return the step of a checkpoint's folder; None for every name that `folder_name` does not return."""
    match = _NAME.fullmatch(name)
    step = int(match[1]) if match else -1
    return step if match and folder_name(step, version_of(name)) == name else None


def version_of(name: str) -> int:
    """Return the version of a checkpoint by the name of its folder."""
    match = _NAME.fullmatch(name)
    return int(match[2] or 1) if match else 1


def named(directory: Path, disk: Disk = LOCAL) -> list[tuple[int, Path]]:
    """Return step and path of the entries of a folder with a checkpoint's name, of any type, the newest first.

    Raises OSError if the folder cannot be read; one that is absent has no entries.
    """
    try:
        entries = disk.names(directory)
    except FileNotFoundError:
        return []
    steps = [(step, directory / name) for name in entries if (step := step_of(name)) is not None]
    return sorted(steps, key=lambda entry: (entry[0], version_of(entry[1].name)), reverse=True)


def saved_step(directory: Path, job: str, disk: Disk = LOCAL) -> int:
    """Return the step of a job's newest checkpoint whose manifest is good; 0 if there is none."""
    return next((manifest.step for _, manifest, _ in good_manifests(directory, job, disk)), 0)


def good_manifests(directory: Path, job: str, disk: Disk = LOCAL) -> Iterator[tuple[Path, Manifest, dict[str, str]]]:
    """Yield folder, manifest and checksums of each checkpoint of a job whose manifest is good, the newest first.

    Of several versions of a step it is the newest. Their arrays are not read. Damaged checkpoints are skipped and not
    renamed.
    """
    try:
        entries = named(directory, disk)
    except OSError:
        return
    yielded: set[int] = set()
    for step, folder in entries:
        if step in yielded:
            continue
        try:
            sums = read_checksums(folder, disk)
            manifest = read_manifest(folder, job, sums[MANIFEST], disk)
        except (Damaged, OSError):
            continue
        yielded.add(step)
        yield folder, manifest, sums


def checksums_text(digests: Mapping[str, str]) -> bytes:
    """Return the content of SHA256SUMS for the SHA-256 of each file, by name."""
    return "".join(f"{digests[name]}  {name}\n" for name in _FILES if name in digests).encode()


def read_checksums(folder: Path, disk: Disk = LOCAL) -> dict[str, str]:
    """Read the SHA-256 of each file from SHA256SUMS. Raises Damaged, OSError."""
    try:
        with _open(folder, CHECKSUMS, disk, limit=1 << 12) as file:
            text = file.read()
    except FileNotFoundError:
        earlier = ", as checkpoints of earlier versions" if disk.exists(folder / MANIFEST) else ""
        raise Damaged(f"it has no {CHECKSUMS}{earlier}") from None
    match = _SUMS.fullmatch(text.decode("latin-1"))
    if match is None:
        raise Damaged(f"{CHECKSUMS} is not as it was written")
    return {name: sha256 for name, sha256 in zip(_FILES, match.groups(), strict=True) if sha256}


def read_verified(folder: Path, name: str, sha256: str, limit: int, disk: Disk = LOCAL) -> bytes:
    """Read a file of at most `limit` bytes with this SHA-256. The hash is compared before the file is held in memory.

    Raises Damaged, OSError.
    """
    with _open(folder, name, disk, limit=limit) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
            file.seek(0)
            return file.read()
    raise Damaged(f"{name} does not have the SHA-256 that {CHECKSUMS} gives")


def read_manifest(folder: Path, job: str, sha256: str, disk: Disk = LOCAL) -> Manifest:
    """Read the manifest of a job's checkpoint; its file must have this SHA-256. Raises Damaged, OSError."""
    data = read_verified(folder, MANIFEST, sha256, MANIFEST_LIMIT, disk)
    try:
        manifest = _ADAPTER.validate_json(data, strict=True)
    except (ValidationError, RecursionError) as error:
        raise Damaged(f"{MANIFEST} is no manifest of a checkpoint of this version") from error
    if manifest.format != FORMAT:
        raise Damaged(f"its format is {manifest.format!r}, not {FORMAT}")
    if manifest.job != job:
        raise Damaged(f"it belongs to job {manifest.job!r}")
    if manifest.step != step_of(folder.name):
        raise Damaged(f"it is the checkpoint of step {manifest.step}")
    return manifest


@contextmanager
def _open(folder: Path, name: str, disk: Disk, *, limit: int) -> Iterator[BufferedReader]:
    """Open a plain file of at most `limit` bytes in a folder. Links are refused for both. Raises Damaged, OSError."""
    file = disk.open_plain(folder / name)
    if file is None:
        raise Damaged(f"{name} is not a plain file")
    with file:
        size = file.seek(0, os.SEEK_END)
        if size > limit:
            raise Damaged(f"{name} has {size} bytes, more than it was written with")
        file.seek(0)
        yield file
