"""Copies the remote files of a job into the dataset store, so that the job trains on the content of its submission."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from weakref import WeakValueDictionary

from raydient.server.calls import Call
from raydient.server.errors import InvalidRequest, NotFound, NotPermitted
from raydient.spec.csv_text import Dialect
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.remote import is_below, is_remote, normalized
from raydient.spec.sources import MAXIMUM_URIS
from raydient.spec.text_files import is_text_file
from raydient.spec.validation import validate_job
from raydient.workers.data.remote import RemoteError, RemoteFile, RemoteFiles

from .datasets import DatasetStore
from .headers import check_name
from .records import Dataset
from .remote_texts import as_table, table_name
from .sources import STORED

log = logging.getLogger(__name__)

KNOWN_VERSIONS = 10_000
WAIT_SECONDS = 0.5
"""Interval in which a call that waits for the download of another one notices that it was abandoned."""


class RemoteData:
    """Replaces the remote files of jobs by stored datasets. May be used from any thread; methods block it."""

    def __init__(
        self,
        datasets: DatasetStore,
        prefixes: Sequence[str] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`prefixes` are URLs below which jobs may read. Raises ValueError if one is not such a URL."""
        self._datasets = datasets
        self._prefixes = tuple(map(normalized, prefixes))
        self._files = RemoteFiles(lambda url: is_below(url, self._prefixes), sleep)
        self._lock = threading.Lock()  # guards the two below
        self._known: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._loading: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    def stored(self, spec: JobSpec, call: Call) -> JobSpec:
        """Return the job with a stored dataset in place of each remote file, which is downloaded if it is new.

        Raises:
            NotPermitted: a file lies below no prefix.
            InvalidSpec: a file cannot be read.
            Exhausted: the disk is full.
            Abandoned: the call was abandoned; the file in progress has been removed.
        """
        if not any(map(is_remote, spec.dataset.uris.values())):
            return spec
        for field, uri in spec.dataset.uris.items():
            if is_remote(uri) and not is_below(uri, self._prefixes):
                raise _not_permitted(field, uri)
        both = (spec.dataset.training_uris, spec.dataset.validation_uris)
        dialect = spec.dataset.csv.dialect
        data, validation = ([uri for uris in self._expanded(part, dialect, call) for uri in uris] for part in both)
        return validate_job(spec.with_uris(data, validation).canonical())

    def _expanded(self, uris: Mapping[str, str], dialect: Dialect, call: Call) -> Iterator[list[str]]:
        """Yield the stored datasets of each file; a file of another kind is yielded as it is."""
        sources: dict[str, str] = {}
        for field, uri in uris.items():
            if not is_remote(uri):
                yield [uri]
                continue
            try:
                files = self._files.list(uri, call.check)
                for file in files:
                    check_name(_stored_name(file))
                if len(sources) + len(files) > MAXIMUM_URIS:
                    raise RemoteError(f"there are more than {MAXIMUM_URIS} files: join them to fewer")
                stored = []
                for file in files:
                    call.check()
                    stored.append(f"{STORED}{self._dataset(file, dialect, call)}")
                    if (same := sources.setdefault(stored[-1], file.url)) != file.url:
                        raise RemoteError(f"{file.url} has the content of {same}, whose rows would be read twice")
                yield stored
            except RemoteError as error:
                raise InvalidSpec([FieldError(field, str(error))]) from error
            except InvalidRequest as invalid:
                raise InvalidSpec(FieldError(field, error.message) for error in invalid.errors) from invalid

    def _dataset(self, file: RemoteFile, dialect: Dialect, call: Call) -> str:
        """Return the id of the dataset with the content of a file."""
        with self._alone(file.url, call):
            key = (file.url, file.version, str(dialect) if _is_text(file) else "")
            with self._lock:
                known = self._known.get(key) if file.version else None
            if known is not None and self._is_stored(known):
                return known
            dataset = self._files.fetch(file, lambda chunks: self._receive(file, chunks, dialect, call), call.check)
            log.info("datasets/%s has the %d bytes of %s", dataset.id, dataset.size_bytes, file.url)
            with self._lock:
                self._known[key] = dataset.id
                while len(self._known) > KNOWN_VERSIONS:
                    self._known.popitem(last=False)
            return dataset.id

    @contextmanager
    def _alone(self, url: str, call: Call) -> Iterator[None]:
        """Let other calls wait that need the same file. Raises Abandoned."""
        with self._lock:
            lock = self._loading.setdefault(url, threading.Lock())
        while not lock.acquire(timeout=WAIT_SECONDS):
            call.check()
        try:
            yield
        finally:
            lock.release()

    def _is_stored(self, dataset_id: str) -> bool:
        try:
            return self._datasets.path(dataset_id).exists()
        except NotFound:
            return False

    def _receive(self, file: RemoteFile, chunks: Iterator[bytes], dialect: Dialect, call: Call) -> Dataset:
        if file.size_bytes:
            self._datasets.check_room(file.size_bytes)
        incoming, empty = self._datasets.receive(_stored_name(file)), True
        try:
            for chunk in as_table(file, chunks, dialect, call) if _is_text(file) else chunks:
                call.check()
                incoming.write(chunk)
                empty = False
            if empty:
                raise RemoteError(f"{file.url}: the file is empty")
            call.check()
            return incoming.finish()
        finally:
            incoming.close()


def _is_text(file: RemoteFile) -> bool:
    return is_text_file(PurePath(file.name))


def _stored_name(file: RemoteFile) -> str:
    """Return the name of the dataset of a file."""
    return table_name(file) if _is_text(file) else file.name


def _not_permitted(field: str, url: str) -> NotPermitted:
    return NotPermitted(
        f"{field}: {url[:200]!r} is below no URL that this server reads; upload the file, or start the server with a "
        "`--data-url` above it",
        reason="URL_NOT_ALLOWED",
        metadata={"field": field},
    )
