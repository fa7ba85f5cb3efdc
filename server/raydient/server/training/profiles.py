"""Keeps the profiles of data files, so that another check of the same content does not read the file again."""

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR

from pydantic import TypeAdapter

from raydient.files import write_durably
from raydient.spec.job import JobSpec
from raydient.spec.patterns import DataPath, opened_files
from raydient.workers.data import Profile

from .preparation import reading

VERSION = 6
"""Raise it when reading, encoding or the facts of a profile change: profiles of other versions are not used."""
KEPT_READINGS = 32
"""Profiles kept beside one stored dataset: one for each choice of columns, split, preparation and seed."""
KEPT_FILES = 1000
"""Profiles kept in memory, of files outside the folder of stored datasets."""

PROFILE = TypeAdapter(Profile)
_KEPT = TypeAdapter(dict[str, Profile])
log = logging.getLogger(__name__)


def profiles_file(dataset: Path) -> Path:
    """Return the path of the profiles beside a stored dataset; a hidden file, which is not a dataset."""
    return dataset.with_name(f".{dataset.name.partition('.')[0]}.profiles")


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of a data file and the parts of a specification that decide how it is read.

    Attributes:
        stored: the file, if it is one stored dataset; else None.
        key: a digest of the content's identity and of the other parts; empty if there is no file.
    """

    stored: Path | None
    key: str


class Profiles:
    """Profiles of data files, by `Reading`. May be used from any thread.

    Profiles of stored datasets, whose name is the SHA-256 of their content, are files beside them. Profiles of other
    files are kept in memory, by the identity of the file and its time of modification.
    """

    def __init__(self, stored: Path | None = None) -> None:
        """`stored` is the folder of stored datasets, if there is one."""
        self._stored = stored
        self._lock = threading.Lock()  # guards the files and the mapping
        self._in_memory: OrderedDict[str, Profile] = OrderedDict()

    def reading(self, spec: JobSpec, dataset: DataPath, validation: DataPath | None = None) -> Reading:
        """Return how `spec` reads the present content of data files, and of those of its held-out data.

        A table may name images, which may change without it; only one that is stored has their bytes.
        """
        contents, stored = [self._content(dataset)], self._stored_file(dataset)
        if spec.dataset.images and not all(self._stored_file(data) for data in (dataset, validation) if data):
            return Reading(stored, "")
        if validation is not None:
            own = self._stored_file(validation)
            contents += [own.name if own else "", self._content(validation)]
        if not (contents[0] and contents[-1]):
            return Reading(stored, "")
        text = json.dumps([VERSION, *contents, reading(spec)], sort_keys=True)
        return Reading(stored, sha256(text.encode()).hexdigest())

    def _stored_file(self, data: DataPath) -> Path | None:
        """Return the file if the data is one stored dataset; else None."""
        return data if isinstance(data, Path) and data.parent == self._stored else None

    def _content(self, data: DataPath) -> str:
        """Return a text that changes with the content of data, besides a stored file's name; empty without a file."""
        stored = self._stored_file(data)
        return _size(stored) if stored else identity(data)

    def find(self, reading: Reading) -> Profile | None:
        """Return the profile that was kept; None if there is none."""
        with self._lock:
            if reading.stored:
                return _read(reading.stored).get(reading.key)
            return self._in_memory.get(reading.key)

    def keep(self, reading: Reading, profile: Profile) -> None:
        """Keep a profile instead of an earlier one. A file that cannot be written is logged."""
        if not reading.key:
            return
        with self._lock:
            if reading.stored:
                _write(reading.stored, reading.key, profile)
                return
            self._in_memory[reading.key] = profile
            while len(self._in_memory) > KEPT_FILES:
                self._in_memory.popitem(last=False)


def identity(dataset: DataPath) -> str:
    """Return a text that changes with the files that paths name, their content and order; empty without files."""
    try:
        statuses = [(str(file), file.stat()) for file in opened_files(dataset)]
    except OSError:
        return ""
    if any(S_ISDIR(one.st_mode) for _, one in statuses):
        return ""  # whose files may change without it
    several = [[name, one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns] for name, one in statuses]
    return json.dumps(several) if several else ""


def _size(dataset: Path) -> str:
    """Return the size of a stored dataset, which shows that its file is whole; empty if there is no file."""
    try:
        return str(dataset.stat().st_size)
    except OSError:
        return ""


def _read(dataset: Path) -> Mapping[str, Profile]:
    """Return the profiles beside a stored dataset; none if the file is absent or damaged."""
    try:
        return _KEPT.validate_json(profiles_file(dataset).read_bytes())
    except (OSError, ValueError):
        return {}


def _write(dataset: Path, key: str, profile: Profile) -> None:
    """Add a profile to those beside a stored dataset, unless that was deleted meanwhile."""
    if not dataset.exists():
        return
    earlier = {other: kept for other, kept in _read(dataset).items() if other != key}
    newest = dict(list(earlier.items())[-(KEPT_READINGS - 1) :])
    try:
        write_durably(profiles_file(dataset), _KEPT.dump_json({**newest, key: profile}))
    except OSError as error:
        log.warning("the profile of %s is not kept: %s", dataset.name, error.strerror or error)
