"""Remote files: listing, versions, broken transfers, redirects; in memory and by a web server of this process."""

import gzip
import http.server
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from raydient.spec.remote import is_below
from raydient.workers.data.remote import PAUSES, RemoteError, RemoteFile, RemoteFiles

CONTENT = gzip.compress(bytes(range(256)) * 64)


@pytest.fixture
def memory() -> Iterator[Any]:
    """The file system in memory, empty before and after."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def pauses() -> list[float]:
    """The pauses between attempts."""
    return []


@pytest.fixture
def remote(pauses: list[float]) -> RemoteFiles:
    """Follows every redirect."""
    return RemoteFiles(lambda url: True, pauses.append)


def content(remote: RemoteFiles, url: str) -> list[bytes]:
    """Return the content of the files of a URL."""
    return [remote.fetch(file, b"".join) for file in remote.list(url)]


def refusal(work: Callable[[], object]) -> str:
    """Return the message of an error."""
    with pytest.raises(RemoteError) as caught:
        work()
    return str(caught.value)


def test_wildcards_in_an_object_store(memory: Any, remote: RemoteFiles) -> None:
    for name in ("part-2.csv", "part-10.csv", ".part-3.csv", "other.csv", "part-4.csv/x.csv"):
        memory.pipe(f"/b/data/{name}", name.encode())
    assert content(remote, "memory://b/data/part-*.csv") == [b"part-10.csv", b"part-2.csv"]
    assert [file.url for file in remote.list("memory://b/data/part-?.csv")] == ["memory://b/data/part-2.csv"]
    assert content(remote, "memory://b/data/other.csv") == [b"other.csv"]
    assert refusal(lambda: remote.list("memory://b/data/x*")) == "memory://b/data/x*: there is no file with such a name"
    assert "there is no such file" in refusal(lambda: remote.list("memory://b/x.csv"))
    assert "it is a folder: name its files, as in memory://b/data/*.csv" in refusal(
        lambda: remote.list("memory://b/data")
    )


def test_too_many_files(memory: Any, remote: RemoteFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydient.workers.data.remote.MOST_FILES", 1)
    for name in ("1.csv", "2.csv"):
        memory.pipe(f"/b/{name}", b"a")
    assert "2 files have such a name, more than 1: join them" in refusal(lambda: remote.list("memory://b/*.csv"))


def test_a_version_changes_with_the_content(memory: Any, remote: RemoteFiles) -> None:
    memory.pipe("/b/a.csv", b"1")
    (first,), (same,) = remote.list("memory://b/a.csv"), remote.list("memory://b/a.csv")
    memory.pipe("/b/a.csv", b"2")
    (second,) = remote.list("memory://b/a.csv")
    assert first == same
    assert (first.size_bytes, first.version) != (1, "")
    assert second.version != first.version


def test_a_file_that_changes_while_it_is_read_is_read_again(
    memory: Any, remote: RemoteFiles, pauses: list[float]
) -> None:
    memory.pipe("/b/a.csv", b"old")
    (file,) = remote.list("memory://b/a.csv")
    begun = []

    def receive(chunks: Iterator[bytes]) -> bytes:
        begun.append(file)
        first = next(chunks)
        memory.pipe("/b/a.csv", b"new")
        return first + b"".join(chunks)

    message = refusal(lambda: remote.fetch(file, receive))
    assert message == "memory://b/a.csv: it changed while it was read, 4 times"
    assert (len(begun), tuple(pauses)) == (4, PAUSES)


def test_errors_of_the_receiver_pass(memory: Any, remote: RemoteFiles, pauses: list[float]) -> None:
    memory.pipe("/b/a.csv", b"1")
    (file,) = remote.list("memory://b/a.csv")

    def receive(chunks: Iterator[bytes]) -> None:
        raise ValueError(next(chunks))

    with pytest.raises(ValueError, match="1"):
        remote.fetch(file, receive)
    assert pauses == []


def test_a_scheme_that_is_not_known(remote: RemoteFiles) -> None:
    message = refusal(lambda: remote.list("nope://b/a.csv"))
    assert message == "nope://b/a.csv: fsspec knows no file system for nope://"


def test_a_missing_package_is_named(remote: RemoteFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(url: str, **options: Any) -> None:
        raise ImportError("no module named s3fs with a long text")

    monkeypatch.setattr("fsspec.core.url_to_fs", absent)
    for url, mend in (("s3://b/a", "raydient[s3]"), ("gs://b/a", "raydient[gcs]"), ("https://h/a", "raydient[http]")):
        assert refusal(lambda url=url: remote.list(url)).endswith(f"not installed: pip install '{mend}'")


@pytest.fixture
def web() -> Iterator[Any]:
    """A web server whose `answers` are (status, headers, body, bytes sent of it), by path; `asked` has the paths."""
    answers: dict[str, tuple[int, dict[str, str], bytes, int]] = {}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            asked.append(f"{self.command} {self.path}")
            status, headers, body, sent = answers.get(self.path, (404, {}, b"", 0))
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body[:sent])
                if sent < len(body):
                    self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.answers, server.asked = answers, asked  # type: ignore[attr-defined]
    server.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def serve(
    web: Any, path: str, body: bytes = CONTENT, sent: int | None = None, status: int = 200, **headers: str
) -> str:
    """Answer requests for a path; return its URL."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    web.answers[path] = (status, named, body, len(body) if sent is None else sent)
    return f"{web.url}{path}"


def test_a_web_server(web: Any, remote: RemoteFiles) -> None:
    url = serve(web, "/data/a.csv.gz?download=1", ETag='"1"', Content_Encoding="gzip")
    (file,) = remote.list(url)
    assert (file.url, file.name, bool(file.version)) == (url, "a.csv.gz", True)
    assert remote.fetch(file, b"".join) == CONTENT  # compressed as it is stored
    serve(web, "/data/a.csv.gz?download=1", ETag='"2"', Content_Encoding="gzip")
    assert remote.list(url)[0].version != file.version
    assert remote.list(serve(web, "/plain.csv"))[0] == RemoteFile(f"{web.url}/plain.csv", len(CONTENT), "")


def test_a_broken_transfer_is_repeated(web: Any, remote: RemoteFiles, pauses: list[float]) -> None:
    url = serve(web, "/a.csv", sent=100)
    (file,) = remote.list(url)
    parts: list[bytes] = []

    def receive(chunks: Iterator[bytes]) -> bytes:
        if len(pauses) == 2:
            serve(web, "/a.csv")
        parts.append(b"")
        for chunk in chunks:
            parts[-1] += chunk
        return parts[-1]

    assert remote.fetch(file, receive) == CONTENT
    assert (len(parts), pauses) == (3, list(PAUSES[:2]))


@pytest.mark.parametrize(
    ("status", "words", "attempts"),
    [
        (404, "there is no such file", 1),
        (403, "access is denied", 1),
        (400, "its server answers with status 400", 1),
        (503, "its server answers with status 503, 4 times", 4),
        (429, "its server answers with status 429, 4 times", 4),
    ],
)
def test_refusals_of_a_web_server(
    web: Any, remote: RemoteFiles, pauses: list[float], status: int, words: str, attempts: int
) -> None:
    url = serve(web, "/a.csv", status=status)
    assert refusal(lambda: remote.list(url)) == f"{url}: {words}"
    assert len(pauses) == attempts - 1


def test_a_server_that_is_gone(web: Any, remote: RemoteFiles, pauses: list[float]) -> None:
    message = refusal(lambda: remote.list("http://127.0.0.1:1/a.csv"))
    assert message == "http://127.0.0.1:1/a.csv: it could not be read (ClientConnectorError), 4 times"


def test_redirects_stay_below_the_allowed_prefixes(web: Any, pauses: list[float]) -> None:
    serve(web, "/data/real.csv", ETag="1")
    serve(web, "/private/a.csv", b"private")
    remote = RemoteFiles(lambda url: is_below(url, [f"{web.url}/data"]), pauses.append)
    url = serve(web, "/data/a.csv", b"", status=302, Location="/data/real.csv")
    assert content(remote, url) == [CONTENT]
    web.asked.clear()
    for location in (
        "/private/a.csv",
        "../private/a.csv",
        f"http://localhost:{web.server_port}/data/real.csv",
        "http://169.254.169.254/latest/meta-data",
        "http://user:pw@127.0.0.1/a.csv",
        "file:///etc/passwd",
    ):
        url = serve(web, "/data/a.csv", b"", status=302, Location=location)
        message = refusal(lambda url=url: remote.list(url))
        assert message.startswith(f"{url}: redirects to ")
        assert message.endswith(", which is not allowed")
        assert "pw" not in message
    url = serve(web, "/data/a.csv", b"", status=302, URI="/private/a.csv")  # which aiohttp follows too
    assert f"redirects to {web.url}/private/a.csv, which is not allowed" in refusal(lambda: remote.list(url))
    assert {path.split()[1] for path in web.asked} == {"/data/a.csv"}
    assert pauses == []


@pytest.mark.parametrize("status", [300, 302, 304, 307])
def test_a_redirect_without_a_target_is_no_content(
    web: Any, remote: RemoteFiles, pauses: list[float], status: int
) -> None:
    url = serve(web, "/a.csv", b"" if status == 304 else b"a,y\n1,2\n", status=status)
    assert refusal(lambda: remote.list(url)) == f"{url}: its server answers with status {status}"
    (file,) = remote.list(serve(web, "/a.csv"))
    serve(web, "/a.csv", b"" if status == 304 else CONTENT, status=status)
    assert refusal(lambda: remote.fetch(file, b"".join)) == f"{url}: its server answers with status {status}"
    assert pauses == []


def test_a_listing_and_a_transfer_end_between_requests(memory: Any, remote: RemoteFiles) -> None:
    for number in range(4):
        memory.pipe(f"/b/{number}.csv", b"1")
    before_each = iter([None, None, None])

    def check() -> None:
        if next(before_each, "ended") == "ended":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        remote.list("memory://b/*.csv", check)
    (file,) = remote.list("memory://b/0.csv")
    with pytest.raises(InterruptedError):
        remote.fetch(file, b"".join, check)


class GoogleFiles(MemoryFileSystem):
    """A file system in memory that answers to `gs://`, as gcsfs does."""

    protocol = ("gs", "gcs")
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("gs://").strip("/") if path.strip("/") else ""

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        content = self.store.get(self._strip_protocol(path))
        generation = {"generation": str(hash(content.getvalue())), "etag": "e"} if content else {}
        return {**super().info(path, **options), **generation}


def test_google_cloud_storage_is_read_by_its_package(remote: RemoteFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # as if it was not installed
    message = refusal(lambda: remote.list("gs://b/data/a.csv"))
    assert message == "gs:// needs packages that are not installed: pip install 'raydient[gcs]'"
    monkeypatch.setitem(import_module("fsspec.registry")._registry, "gs", GoogleFiles)
    system = GoogleFiles()
    for name in ("part-2.csv", "part-1.csv", "other.csv"):
        system.pipe(f"gs://b/data/{name}", name.encode())
    assert content(remote, "gs://b/data/part-*.csv") == [b"part-1.csv", b"part-2.csv"]
    (before,) = remote.list("gs://b/data/other.csv")
    system.pipe("gs://b/data/other.csv", b"another")
    assert before.version not in ("", remote.list("gs://b/data/other.csv")[0].version)
    assert refusal(lambda: remote.list("gs://b/data/x.csv")) == "gs://b/data/x.csv: there is no such file"


def test_a_file_is_redirected_after_it_was_listed(web: Any, remote: RemoteFiles) -> None:
    strict = RemoteFiles(lambda url: False, lambda seconds: None)
    (file,) = strict.list(serve(web, "/a.csv"))
    serve(web, "/a.csv", b"", status=307, Location="/b.csv")
    serve(web, "/b.csv")
    assert "redirects to" in refusal(lambda: strict.fetch(file, b"".join))
    assert "GET /b.csv" not in web.asked
