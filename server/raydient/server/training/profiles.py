"""Keeps the profiles of data files, so that another check of the same content does not read the file again."""

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydantic import TypeAdapter

from raydient.files import write_durably
from raydient.spec.job import JobSpec
from raydient.spec.patterns import opened_files
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
        dataset: the file.
        key: a digest of the content's identity and of the other parts; empty if there is no file.
    """

    dataset: Path
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

    def reading(self, spec: JobSpec, dataset: Path, validation: Path | None = None) -> Reading:
        """Return how `spec` reads the present content of a data file, and of that of its held-out data.

        A table may name images, which may change without it; only one that is stored has their bytes.
        """
        if spec.dataset.images and {self._stored} != {file.parent for file in (dataset, validation) if file}:
            return Reading(dataset, "")
        contents = [self._content(dataset)]
        if validation is not None:
            contents += [validation.name if validation.parent == self._stored else "", self._content(validation)]
        if not (contents[0] and contents[-1]):
            return Reading(dataset, "")
        text = json.dumps([VERSION, *contents, reading(spec)], sort_keys=True)
        return Reading(dataset, sha256(text.encode()).hexdigest())

    def _content(self, file: Path) -> str:
        """Return a text that changes with the content of a file, besides its name; empty if there is no file."""
        return _size(file) if file.parent == self._stored else identity(file)

    def find(self, reading: Reading) -> Profile | None:
        """Return the profile that was kept; None if there is none."""
        with self._lock:
            if reading.dataset.parent == self._stored:
                return _read(reading.dataset).get(reading.key)
            return self._in_memory.get(reading.key)

    def keep(self, reading: Reading, profile: Profile) -> None:
        """Keep a profile instead of an earlier one. A file that cannot be written is logged."""
        if not reading.key:
            return
        with self._lock:
            if reading.dataset.parent == self._stored:
                _write(reading, profile)
                return
            self._in_memory[reading.key] = profile
            while len(self._in_memory) > KEPT_FILES:
                self._in_memory.popitem(last=False)


def identity(dataset: Path) -> str:
    """Return a text that changes with the files that a path names, their content and order; empty without any."""
    try:
        statuses = [(str(file), file.stat()) for file in opened_files(dataset)]
    except OSError:
        return ""
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


def _write(reading: Reading, profile: Profile) -> None:
    """Add a profile to those beside a stored dataset, unless that was deleted meanwhile."""
    if not reading.dataset.exists():
        return
    earlier = {key: kept for key, kept in _read(reading.dataset).items() if key != reading.key}
    newest = dict(list(earlier.items())[-(KEPT_READINGS - 1) :])
    try:
        write_durably(profiles_file(reading.dataset), _KEPT.dump_json({**newest, reading.key: profile}))
    except OSError as error:
        log.warning("the profile of %s is not kept: %s", reading.dataset.name, error.strerror or error)
