"""Prepared data sets that are larger than the memory: kept in files, so that the next process does not prepare them.

    KEY/rows       the arrays, one behind the other
    KEY/manifest   its SHA-256, and in JSON where each array is, the SHA-256 of each, and the meaning of their values

The key is a digest of all that decides on the values: the content of the data files, the specification, the seed, the
losses, the initial weights and the versions of the code. So an entry never becomes wrong; the least recently used ones
are removed when they take more than a number of bytes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from importlib.metadata import version
from math import inf
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import platformdirs

from raydient.files import evict, is_private, remove_abandoned, sha256_of
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.network import Output
from raydient.steps.arrays import AnyArray
from raydient.steps.files import mapped
from raydient.steps.places import Place, arranged, arrays_in
from raydient.workers.network import Signature
from raydient.workers.network.losses import label_form
from raydient.workers.network.signature import CHECKSUM, FORMAT, checksum, read_signature

from .dataset import Dataset, Kept
from .limits import scratch
from .source import MemorySource

CACHE_GIB = "RAYDIENT_CACHE_GIB"
"""Environment variable: most GiB that the entries of a folder take together; 0 keeps none."""
MOST_GIB = 32.0

_ROWS, _MANIFEST, _HELD_OUT = "rows", "manifest", "held_out"
_VERSION = "raydient-prepared/1"
_HASHED_BYTES = 2**24


class PreparedSets:
    """A folder of prepared data sets. Any number of processes may use it at a time."""

    def __init__(self, folder: Path | None = None, most_bytes: int | None = None) -> None:
        """Use a folder, which need not exist; None is that of the user."""
        self._folder = folder or platformdirs.user_cache_path("raydient") / "prepared"
        self._most_bytes = int(_most_gib() * 2**30) if most_bytes is None else most_bytes

    @property
    def is_empty(self) -> bool:
        """True if there is no entry, so that none has to be looked for."""
        return not self._most_bytes or not any(self._entries())

    def find(self, key: str) -> Dataset | None:
        """Return a data set whose checksums are right; None if there is none. A damaged one is removed."""
        entry = self._folder / key
        if not entry.is_dir() or not is_private(self._folder):
            return None  # checksums do not show where an entry comes from
        try:
            dataset = _read(entry)
            os.utime(entry)
        except (OSError, ValueError, KeyError, TypeError):  # of JSON, of the signature, of a place
            shutil.rmtree(entry, ignore_errors=True)
            return None
        return dataset

    def keep(self, key: str, dataset: Dataset) -> Dataset:
        """Keep a data set, and return it with the arrays in the kept file; as it is if there is no room for it."""
        arrays = _arrays_of(dataset)
        places, size = arranged({name: (array.dtype.str, array.shape) for name, array in arrays.items()})
        if size > self._most_bytes:
            return dataset
        written = None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not is_private(self._folder):
                return dataset
            self._make_room(size)
            if size > shutil.disk_usage(self._folder).free / 2:
                return dataset  # what else is on the disk needs room too
            written = Path(mkdtemp(prefix=".", dir=self._folder))
            _write(written, dataset, arrays, places)
            if not (self._folder / key).exists():
                written.rename(self._folder / key)
            return self.find(key) or dataset
        except OSError:  # no room on the disk, or the folder is not ours: a cache is never needed
            return dataset
        finally:
            if written is not None:
                shutil.rmtree(written, ignore_errors=True)

    def _make_room(self, size: int) -> None:
        """Remove what was left half-written by a process that has ended, and the least recently used entries."""
        remove_abandoned(self._folder.glob(".*"))
        evict([(entry.stat().st_mtime, _size_of(entry), entry) for entry in self._entries()], self._most_bytes - size)

    def _entries(self) -> Iterator[Path]:
        try:
            yield from (path for path in self._folder.iterdir() if not path.name.startswith("."))
        except OSError:
            return


def key_of(
    spec: DatasetSpec, parts: Sequence[Sequence[Path]], outputs: Sequence[Output], seed: int, start: Signature | None
) -> str:
    """Return the digest of all that decides on the prepared values.

    Args:
        spec: how the files are read and prepared.
        parts: files of the training data, and of held-out data of their own if there are any, in order; they are read.
        outputs: the network's outputs, whose losses decide how labels are encoded.
        seed: of the split.
        start: inputs and outputs of the model with the initial weights.

    Raises:
        OSError: a file cannot be read.
    """
    names = {"uri": True, "further_uris": True}
    # augmentation changes samples in the workers, after the preparation
    settings = spec.model_dump(mode="json", exclude={**names, "augment": True, "validation": names})
    decides = {
        "versions": [_VERSION, version("raydient"), np.__version__, version("pyarrow")],
        "settings": settings,
        "files": [list(map(sha256_of, files)) for files in parts],
        "outputs": [[one.layer, one.label, label_form(one.loss)] for one in outputs],
        "seed": seed,
        "start": None if start is None else start.metadata,
    }
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def _arrays_of(dataset: Dataset) -> dict[str, AnyArray]:
    held_out = {} if dataset.held_out is None else {_HELD_OUT: dataset.held_out}
    return {**dataset.arrays(), **held_out}


def _write(folder: Path, dataset: Dataset, arrays: Mapping[str, AnyArray], places: Mapping[str, Place]) -> None:
    """Write an entry. OSError if there is no room."""
    written = {}
    with (folder / _ROWS).open("wb") as file:
        for name, place in places.items():
            file.seek(place.offset)
            digest = hashlib.sha256()
            for part in _bytes_of(arrays[name]):
                digest.update(part)
                file.write(part)
            written[name] = (*astuple(place), digest.hexdigest())
        file.truncate(max((place.offset + place.size for place in places.values()), default=1))
    metadata = {"format": FORMAT, **Signature(dataset.inputs, dataset.targets).metadata}
    manifest = {
        "format": _VERSION,
        "arrays": written,
        "signature": {**metadata, CHECKSUM: checksum(metadata)},
    }
    text = json.dumps(manifest)
    (folder / _MANIFEST).write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")


def _read(folder: Path) -> Dataset:
    """Read an entry. Raises exceptions of several types if it is damaged."""
    sha256, _, text = (folder / _MANIFEST).read_text().partition("\n")
    if hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise ValueError("the manifest has another checksum")
    manifest = json.loads(text)
    places = {name: Place(dtype, tuple(shape), at) for name, (dtype, shape, at, _) in manifest["arrays"].items()}
    signature = read_signature(manifest["signature"])
    size = (folder / _ROWS).stat().st_size
    with (folder / _ROWS).open("r+b") as file:
        rows = mapped(file, (size,), np.uint8)
    arrays = arrays_in(rows.data, places)
    for name, array in arrays.items():
        digest = hashlib.sha256()
        for part in _bytes_of(array):
            digest.update(part)
        if digest.hexdigest() != manifest["arrays"][name][-1]:
            raise ValueError(f"{name} has another checksum")
    held_out = arrays.pop(_HELD_OUT, None)
    source = MemorySource.of(arrays)
    kept = Kept(folder / _ROWS, {name: place for name, place in places.items() if name in arrays})
    return Dataset(source.train, source.test, signature.inputs, signature.targets, held_out, scratch(), kept)


def _bytes_of(array: AnyArray) -> Iterator[memoryview]:
    """Yield the bytes of an array, some at a time."""
    values = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for start in range(0, len(values), _HASHED_BYTES):
        yield values[start : start + _HASHED_BYTES].data


def _size_of(entry: Path) -> int:
    return sum(path.stat().st_size for path in entry.iterdir())


def _most_gib() -> float:
    try:
        gib = float(os.environ.get(CACHE_GIB) or MOST_GIB)
    except ValueError:
        return MOST_GIB
    return gib if 0 <= gib < inf else MOST_GIB
