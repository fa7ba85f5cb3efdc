"""Downloads data files of object stores and web servers, with fsspec.

Credentials come from the environment of this process, as each file system's library reads them. Messages have the URL
and a reason in our own words: the text of a library's exception may have parts of a request.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, TypeVar

from raydient.spec.remote import file_name, has_wildcards, redirected

CHUNK_BYTES = 4 << 20
PAUSES = (0.5, 2.0, 8.0)
"""Seconds before each repetition of a broken transfer."""
SILENCE_SECONDS = 60.0
"""Longest time without a byte."""
MOST_FILES = 1024

Result = TypeVar("Result")

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "http": "http", "https": "http"}
_VERSIONED_BY = (
    *("ETag", "etag", "VersionId", "generation", "md5Hash", "Content-MD5"),
    *("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "created"),
)
"""Keys of a file's description that change with its content, in all file systems."""
_WITHOUT_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "RefreshError"}


class RemoteError(Exception):
    """A remote file cannot be read; the message has its URL and the reason."""


class _BrokenError(Exception):
    """A transfer that may succeed if it is repeated; the message is the reason."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as it is now.

    Attributes:
        url: in normal form.
        size_bytes: None if it is unknown.
        version: a text that changes with its content; empty if the file system does not say.
    """

    url: str
    size_bytes: int | None
    version: str

    @property
    def name(self) -> str:
        """Name of the file, without folders."""
        return file_name(self.url)


class RemoteFiles:
    """Lists and reads remote files. May be used from any thread."""

    def __init__(self, permits: Callable[[str], bool], sleep: Callable[[float], None] = time.sleep) -> None:
        """`permits` decides whether a web server may redirect to a URL in normal form."""
        self._permits, self._sleep = permits, sleep

    def list(self, url: str, check: Callable[[], None] = lambda: None) -> list[RemoteFile]:
        """Return the file of a URL, see `spec.remote.file_url`, or those that its wildcards name, sorted by name.

        `check` is called before each request; its errors end the listing. Raises RemoteError.
        """
        return self._repeat(url, lambda system: _list(system, url, check), check)

    def fetch(
        self, file: RemoteFile, receive: Callable[[Iterator[bytes]], Result], check: Callable[[], None] = lambda: None
    ) -> Result:
        """Return `receive(chunks)`; it is called again, with all chunks, after a transfer that broke.

        `check` is called before each attempt. Raises RemoteError, and all that `receive` and `check` raise.
        """
        return self._repeat(file.url, lambda system: receive(_chunks(system, file)), check)

    def _repeat(self, url: str, read: Callable[["_System"], Result], check: Callable[[], None]) -> Result:
        for pause in (*PAUSES, None):
            check()
            try:
                return read(_System(url, self._permits))
            except _BrokenError as broken:
                if pause is None:
                    raise RemoteError(f"{url}: {broken}, {len(PAUSES) + 1} times") from broken
                self._sleep(pause)
        raise AssertionError("the last attempt has no pause")


class _System:
    """The file system of a URL for one attempt. Its calls raise RemoteError and _BrokenError alone."""

    def __init__(self, url: str, permits: Callable[[str], bool]) -> None:
        self._url, self._permits = url, permits
        self._refused: str | None = None
        scheme = url.partition("://")[0]
        extra = _EXTRAS.get(scheme, "")
        mend = f"pip install 'raydient[{extra}]'" if extra else f"install the package that gives fsspec {scheme}://"
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415

            options = self._web_options() if extra == "http" else {}
            self._system, _ = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False, **options)
        except ImportError as error:
            raise RemoteError(f"{scheme}:// needs packages that are not installed: {mend}") from error
        except ValueError as error:
            raise RemoteError(f"{url}: fsspec knows no file system for {scheme}://") from error
        except Exception as error:
            raise self._translated(error) from error

    def call(self, work: Callable[[Any], Result]) -> Result:
        """Return `work(file system)`."""
        try:
            return work(self._system)
        except (RemoteError, _BrokenError):
            raise
        except Exception as error:
            raise self._translated(error) from error

    def _translated(self, error: BaseException) -> Exception:
        if self._refused is not None:
            return RemoteError(f"{self._url}: redirects to {self._refused}, which is not allowed")
        if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
            error = error.__cause__  # of a web server every failure is a missing file
        status = _status(error)
        if type(error).__name__ in _WITHOUT_CREDENTIALS:
            return RemoteError(f"{self._url}: there are no valid credentials for it in the environment")
        if isinstance(error, PermissionError) or status in (401, 403):
            return RemoteError(f"{self._url}: access is denied")
        if isinstance(error, FileNotFoundError) or status in (404, 410):
            return RemoteError(f"{self._url}: there is no such file")
        if status is not None:
            problem = f"its server answers with status {status}"
            is_final = 300 <= status < 500 and status not in (408, 429)
            return RemoteError(f"{self._url}: {problem}") if is_final else _BrokenError(problem)
        return _BrokenError(f"it could not be read ({type(error).__name__})")

    def _web_options(self) -> dict[str, Any]:
        import aiohttp  # noqa: PLC0415

        async def follow(_: Any, __: Any, redirect: Any) -> None:
            headers = redirect.response.headers
            location = headers.get("Location") or headers.get("URI", "")  # as aiohttp chooses the target
            try:
                target = redirected(str(redirect.response.url), location)
            except ValueError:
                target = "an address that is no plain URL"
            if not self._permits(target):
                self._refused = target
                raise aiohttp.ClientError

        async def refuse_redirect(response: Any) -> None:
            if 300 <= response.status < 400:  # one that leads nowhere: its text is not the file
                raise aiohttp.ClientResponseError(response.request_info, response.history, status=response.status)

        trace = aiohttp.TraceConfig()
        trace.on_request_redirect.append(follow)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_SECONDS, sock_read=SILENCE_SECONDS)
        # bytes as they are stored: a file that is compressed stays so
        client = {"trace_configs": [trace], "timeout": timeout, "auto_decompress": False}
        client["raise_for_status"] = refuse_redirect
        return {"client_kwargs": client, "headers": {"Accept-Encoding": "identity"}, "block_size": 0}


def _status(error: BaseException) -> int | None:
    """Return the status of a web server's answer that an exception of aiohttp or botocore has."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    status = getattr(error, "status", metadata.get("HTTPStatusCode"))
    return status if isinstance(status, int) else None


def _list(system: _System, url: str, check: Callable[[], None]) -> list[RemoteFile]:
    if not has_wildcards(url):
        return [_file(system, url)]
    folder, _, pattern = url.rpartition("/")
    infos = system.call(lambda files: files.ls(folder, detail=True))
    named = (info["name"].rpartition("/")[2] for info in infos if info["type"] != "directory")
    names = sorted(name for name in named if fnmatchcase(name, pattern) and not name.startswith("."))
    if not names:
        raise RemoteError(f"{url}: there is no file with such a name")
    if len(names) > MOST_FILES:
        raise RemoteError(f"{url}: {len(names)} files have such a name, more than {MOST_FILES}: join them to fewer")
    listed = []
    for name in names:
        check()
        listed.append(_file(system, f"{folder}/{name}"))
    return listed


def _file(system: _System, url: str) -> RemoteFile:
    info = system.call(lambda files: files.info(url))
    if info.get("type") == "directory":
        raise RemoteError(f"{url}: it is a folder: name its files, as in {url.rstrip('/')}/*.csv")
    known = [f"{key}={info[key]}" for key in _VERSIONED_BY if info.get(key)]
    size = info.get("size")
    version = sha256("\n".join([*known, str(size)]).encode()).hexdigest() if known else ""
    return RemoteFile(url, size if isinstance(size, int) else None, version)


def _chunks(system: _System, file: RemoteFile) -> Iterator[bytes]:
    """Yield the content of a file. Raises _BrokenError if it is not the content of `file`."""
    options: dict[str, Any] = {} if _is_streamed(file.url) else {"block_size": CHUNK_BYTES, "cache_type": "readahead"}
    received = 0
    opened = system.call(lambda files: files.open(file.url, "rb", **options))
    try:
        while chunk := system.call(lambda _: opened.read(CHUNK_BYTES)):
            received += len(chunk)
            yield chunk
    finally:
        opened.close()
    if file.size_bytes is not None and received != file.size_bytes:
        raise _BrokenError(f"{received} of its {file.size_bytes} bytes arrived")
    if _file(system, file.url) != file:
        raise _BrokenError("it changed while it was read")


def _is_streamed(url: str) -> bool:
    return _EXTRAS.get(url.partition("://")[0]) == "http"
