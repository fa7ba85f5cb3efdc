"""Prepared data sets that are larger than the memory: kept in files, so that the next process does not prepare them.

    KEY/rows       the arrays, one behind the other; ranges of its bytes are the data shards, see `Manifest`
    KEY/manifest   its SHA-256, and in JSON a `Manifest`

The key is a digest of all that decides on the values: the content of the data files, the specification, the seed, the
losses, the initial weights and the versions of the code. So an entry never becomes wrong; the least recently used ones
are removed when they take more than a number of bytes.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from math import inf
from pathlib import Path
from tempfile import mkdtemp
from typing import IO

import numpy as np
import platformdirs
from pydantic import TypeAdapter

from raydient.files import evict, is_private, remove_abandoned, sha256_of
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.decoding import SUFFIXES
from raydient.spec.folders import labelled_files
from raydient.spec.network import Output
from raydient.spec.text_files import TEXT_SUFFIXES, is_text_file
from raydient.steps.arrays import AnyArray
from raydient.steps.files import mapped, reserve
from raydient.steps.manifest import Manifest
from raydient.steps.places import Place, arranged, arrays_in
from raydient.workers.network import Signature
from raydient.workers.network.losses import label_form
from raydient.workers.network.signature import CHECKSUM, FORMAT, checksum, read_signature

from . import shards
from .dataset import Dataset, Kept
from .limits import Budget, scratch
from .shards import Bytes, is_right, write_arrays, wrong_shards
from .source import MemorySource

CACHE_GIB = "RAYDIENT_CACHE_GIB"
"""Environment variable: most GiB that the entries of a folder take together; 0 keeps none."""
MOST_GIB = 32.0

_ROWS, _MANIFEST, _HELD_OUT = "rows", "manifest", "held_out"
_VERSION = "raydient-prepared/2"
_MANIFESTS = TypeAdapter(Manifest)


Fetch = Callable[[Sequence[int]], Iterable[Bytes]]
"""Returns the contents of data shards, by their numbers."""


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

    def find(self, key: str, folder: Path | None = None) -> Dataset | None:
        """Return a data set whose checksums are right; None if there is none. A damaged one is removed.

        `folder`: see `Dataset`; None is that of a `Budget`.
        """
        entry = self._folder / key
        if not entry.is_dir() or not is_private(self._folder):
            return None  # checksums do not show where an entry comes from
        try:
            manifest = _read(entry, key)
            dataset, content = _dataset(entry, manifest, folder)
            if wrong_shards(manifest, content):
                raise ValueError("a data shard has another checksum")
            os.utime(entry)
        except (OSError, ValueError, KeyError, TypeError):  # of the manifest, of the signature
            shutil.rmtree(entry, ignore_errors=True)
            return None
        return dataset

    def keep(self, key: str, dataset: Dataset) -> Dataset:
        """Keep a data set, and return it with the arrays in the kept file; as it is if there is no room for it."""
        _, size = _arranged(dataset)
        written = None
        try:
            if not self._has_room(size):
                return dataset
            written, entry = Path(mkdtemp(prefix=".", dir=self._folder)), self._folder / key
            manifest = _write(written, key, dataset)
            if entry.exists():  # written by another process
                return self.find(key, dataset.folder) or dataset
            written.rename(entry)
            return _dataset(entry, manifest, dataset.folder)[0]
        except OSError:  # no room on the disk, or the folder is not ours: a cache is never needed
            return dataset
        finally:
            if written is not None:
                shutil.rmtree(written, ignore_errors=True)

    def complete(self, manifest: Manifest, fetch: Fetch) -> dict[str, AnyArray]:
        """Return the arrays of a data set by name, and keep the set if there is room.

        Only one process at a time completes a set, and the others wait for it. A process that is ended leaves the data
        shards that it has to the next one.

        Args:
            manifest: of the set.
            fetch: yields the contents of some data shards in their order; called once.

        Raises:
            ValueError: a fetched data shard has another checksum.
            InvalidSpec: neither memory nor disk has room.
        """
        content = self._whole(manifest)
        if content is None:
            content = self._completed(manifest, fetch)
        if content is None:
            content = Budget().empty((manifest.size,), np.uint8)
            _fill(manifest, content, range(len(manifest.checksums)), fetch)
        return arrays_in(content.data, manifest.places)

    def _whole(self, manifest: Manifest) -> Bytes | None:
        """Return the content of a set's file if all of it is right; workers of a node compare the checksums at once."""
        entry = self._folder / manifest.key
        try:
            if not self._most_bytes or not is_private(self._folder) or _read(entry, manifest.key) != manifest:
                return None
            content = _content(entry, manifest)
            os.utime(entry)
        except (OSError, ValueError):
            return None
        return None if wrong_shards(manifest, content) else content

    def _completed(self, manifest: Manifest, fetch: Fetch) -> Bytes | None:
        """Return the content of a set's file after its data shards have been fetched; None if there is no room."""
        opened = self._opened(manifest)
        if opened is None:
            return None
        entry, file, is_new = opened
        try:
            content = mapped(file, (manifest.size,), np.uint8)
            if _is_file(self._folder / manifest.key / _ROWS, file) and entry.name != manifest.key:
                return content  # another process has completed it meanwhile
            lacking = range(len(manifest.checksums)) if is_new else wrong_shards(manifest, content)
            _fill(manifest, content, lacking, fetch)
            with suppress(OSError):  # it may have been removed
                _write_manifest(entry, manifest)
                entry.rename(self._folder / manifest.key)
            return content
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # it belongs to the map too, which stays open
            file.close()

    def _opened(self, manifest: Manifest) -> tuple[Path, IO[bytes], bool] | None:
        """Open and lock the file of a set, which may not be whole, at its size; None if there is no room for it.

        Returns:
            The entry that is the set or becomes it, the file, and whether it is new.
        """
        entries = [self._folder / manifest.key, self._folder / f".{manifest.key}"]
        entry = next(filter(Path.is_dir, entries), None)
        file = None
        try:
            if not self._most_bytes or not (is_private(self._folder) if entry else self._has_room(manifest.size)):
                return None
            entry = entry or entries[1]
            entry.mkdir(mode=0o700, exist_ok=True)
            (entry / _ROWS).touch(mode=0o600)
            file = (entry / _ROWS).open("r+b")
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file.fileno()).st_size
            if size != manifest.size:
                file.truncate(manifest.size)
            reserve(file.fileno(), manifest.size)
        except OSError:  # no room on the disk, or the folder is not ours: a cache is never needed
            if file is not None:
                file.close()
            return None
        return entry, file, not size

    def _has_room(self, size: int) -> bool:
        """Make room for a new entry; return False if there is none. OSError if the folder is not ours."""
        if size > self._most_bytes:
            return False
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_private(self._folder):
            return False
        # of processes that have ended before they had written it
        remove_abandoned(self._folder.glob(".*"))
        evict([(entry.stat().st_mtime, _size_of(entry), entry) for entry in self._entries()], self._most_bytes - size)
        return size <= shutil.disk_usage(self._folder).free / 2  # what else is on the disk needs room too

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
        parts: files or folders of the training data, and of held-out data of their own if there are any, in order; they
            are read.
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
        "images": version("pillow") if spec.images else None,
        "settings": settings,
        "files": [[_digest(spec, file) for file in files] for files in parts],
        "labels": [file.name for files in parts for file in files if is_text_file(file)],
        "outputs": [[one.layer, one.label, label_form(one.loss)] for one in outputs],
        "seed": seed,
        "start": None if start is None else start.metadata,
    }
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def files_in(spec: DatasetSpec, folder: Path) -> list[str]:
    """Return the paths below a folder of the files that are read of it, sorted; their sub-folders are their labels."""
    return [name for name, _ in labelled_files(folder, SUFFIXES if spec.images else TEXT_SUFFIXES)]


def _digest(spec: DatasetSpec, path: Path) -> str | list[tuple[str, str]]:
    """Return the checksum of a file, or names and checksums of the files that are read of a folder. Raises OSError."""
    if not path.is_dir():
        return sha256_of(path)
    return [(name, sha256_of(path / name)) for name in files_in(spec, path)]


def _arranged(dataset: Dataset) -> tuple[dict[str, Place], int]:
    """Return the places of a data set's arrays in its file, and the bytes of the file."""
    arrays = _arrays_of(dataset)
    places, size = arranged({name: (array.dtype.str, array.shape) for name, array in arrays.items()})
    return places, max(size, 1)  # nothing else can be mapped


def _arrays_of(dataset: Dataset) -> dict[str, AnyArray]:
    held_out = {} if dataset.held_out is None else {_HELD_OUT: dataset.held_out}
    return {**dataset.arrays(), **held_out}


def _write(folder: Path, key: str, dataset: Dataset) -> Manifest:
    """Write an entry. OSError if there is no room."""
    places, size = _arranged(dataset)
    with (folder / _ROWS).open("wb") as file:
        checksums = list(write_arrays(file, _arrays_of(dataset), places, size))
    metadata = {"format": FORMAT, **Signature(dataset.inputs, dataset.targets).metadata}
    signature = {**metadata, CHECKSUM: checksum(metadata)}
    manifest = Manifest(key, size, places, shards.SHARD_BYTES, checksums, signature)
    _write_manifest(folder, manifest)
    return manifest


def _write_manifest(entry: Path, manifest: Manifest) -> None:
    text = _MANIFESTS.dump_json(manifest)
    (entry / _MANIFEST).write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def _read(entry: Path, key: str) -> Manifest:
    """Read the manifest of an entry. OSError, ValueError if it is damaged."""
    sha256, _, text = (entry / _MANIFEST).read_bytes().partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != sha256:
        raise ValueError("the manifest has another checksum")
    manifest = _MANIFESTS.validate_json(text)
    if manifest.key != key:
        raise ValueError("it is the manifest of another data set")
    return manifest


def _dataset(entry: Path, manifest: Manifest, folder: Path | None) -> tuple[Dataset, Bytes]:
    """Return the data set of an entry, and the content of its file; the data shards are not checked.

    Raises exceptions of several types if the file is cut or the signature is wrong.
    """
    signature = read_signature(manifest.signature)
    content = _content(entry, manifest)
    arrays = arrays_in(content.data, manifest.places)
    held_out = arrays.pop(_HELD_OUT, None)
    source = MemorySource.of(arrays)
    kept = Kept(entry / _ROWS, manifest)
    about = signature.inputs, signature.targets, held_out
    return Dataset(source.train, source.test, *about, folder or scratch(), kept), content


def _content(entry: Path, manifest: Manifest) -> Bytes:
    """Map the file of an entry. OSError, ValueError if it is absent or cut."""
    with (entry / _ROWS).open("r+b") as file:
        if os.fstat(file.fileno()).st_size != manifest.size:
            raise ValueError("the file has another size")
        return mapped(file, (manifest.size,), np.uint8)


def _is_file(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def _fill(manifest: Manifest, content: Bytes, lacking: Sequence[int], fetch: Fetch) -> None:
    """Fetch the data shards that a file lacks. ValueError if one has another checksum."""
    for shard, fetched in zip(lacking, fetch(lacking), strict=True):
        if not is_right(manifest, shard, fetched):
            raise ValueError(f"data shard {shard} of {manifest.key} has another checksum")
        content[manifest.bytes_of(shard)] = fetched


def _size_of(entry: Path) -> int:
    return sum(path.stat().st_size for path in entry.iterdir())


def _most_gib() -> float:
    try:
        gib = float(os.environ.get(CACHE_GIB) or MOST_GIB)
    except ValueError:
        return MOST_GIB
    return gib if 0 <= gib < inf else MOST_GIB
