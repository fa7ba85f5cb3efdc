"""URLs of remote data files: which ones are read, and which lie below an allowed prefix.

A URL is compared with prefixes in its normal form, so it must not have parts that a server or a library reads in
another way: `..`, encoded dots or slashes, user names. It must not have secrets either, because it is stored, shown
and logged.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from .patterns import WILDCARDS

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CHAINED = "::"
_WEB = ("http", "https")
_LOCAL = ("file", "local")
_WITH_ACCOUNT = ("abfs", "abfss")
"""Schemes whose `container@account` is no user name."""
_HOST = re.compile(r"[a-z0-9._-]+(:[0-9]{1,5})?")
_PORTS = {"http": ":80", "https": ":443"}
_SECRET = re.compile(
    r"[?&;#][^=&;#/]*(?:sig|token|secret|passw|pwd|credential|key|auth|jwt|session)[^=&;#/]*=", re.IGNORECASE
)
_ENCODED = re.compile(r"%(?:2e|2f|5c|25|00)", re.IGNORECASE)
CREDENTIALS = "credentials belong in the environment of the process that reads it"


def is_remote(uri: str) -> bool:
    """True if a file is named by a URL."""
    return _SCHEME.match(uri) is not None or _CHAINED in uri.partition("/")[0]


def normalized(url: str) -> str:
    """Return a URL with its scheme in lower case, and the host too where it is that of a web server.

    Raises:
        ValueError: it is refused; the message has nothing of the URL beyond its scheme.
    """
    match = _SCHEME.match(url)
    if match is None or _CHAINED in url:
        raise ValueError("a chain of file systems (`::`) is not read: name one URL")
    scheme = match[1].lower()
    if scheme in _LOCAL:
        raise ValueError(f"`{scheme}://` names a local file: write its path alone")
    if not url.isprintable() or "\\" in url or any(character.isspace() for character in url):
        raise ValueError(f"the {scheme} URL has spaces, backslashes or control characters: leave them out")
    rest = url[match.end() :]
    place, slash, path = rest.partition("/")
    name, at, _ = place.rpartition("@")
    if at and (scheme not in _WITH_ACCOUNT or ":" in name):
        raise ValueError(f"the {scheme} URL has a user name or a password: leave them out, {CREDENTIALS}")
    if _SECRET.search(rest) or _SECRET.search(unquote(rest)):
        raise ValueError(f"the {scheme} URL has a parameter that may be a secret: leave it out, {CREDENTIALS}")
    folders = path.partition("?")[0] if scheme in _WEB else path  # split before decoding: `%3F` belongs to a name
    # some servers cut `;` and what follows off a part, and then read `..;` as `..`
    parts = (part.partition(";")[0] for part in unquote(folders).split("/"))
    if _ENCODED.search(rest) or any(part in (".", "..") for part in parts):
        raise ValueError(
            f"the {scheme} URL has `.`, `..`, or one of these or a slash in encoded form: write it plainly"
        )
    if scheme in _WEB:
        place = _web_host(scheme, place)
    if not place:
        raise ValueError(f"the {scheme} URL names no host or bucket")
    return f"{scheme}://{place}{slash}{path}"


def _web_host(scheme: str, place: str) -> str:
    host = place.lower().removesuffix(_PORTS[scheme])
    if not _HOST.fullmatch(host) or ".." in host or host.startswith(".") or int(host.partition(":")[2] or 1) > 65535:
        raise ValueError(
            f"the {scheme} URL has no valid name of a host: letters, digits, `.` and `-`, then a port up to 65535"
        )
    return host.rstrip(".")


def file_url(url: str) -> str:
    """Return the normal form of the URL of a data file, see `normalized`; its last part may have wildcards.

    Raises ValueError.
    """
    url = normalized(url)
    scheme, _, rest = url.partition("://")
    if scheme in _WEB:
        if "#" in url:
            raise ValueError(f"the {scheme} URL has a fragment (`#`): leave it out")
        if not WILDCARDS.isdisjoint(rest.partition("?")[0]):
            raise ValueError(
                "a web server lists no files, so its URL has no wildcards: list the files, `uri: [..., ...]`"
            )
    elif not WILDCARDS.isdisjoint(rest.rpartition("/")[0]):
        raise ValueError(
            f"the {scheme} URL has wildcards before its last part: only the name of the file may have some"
        )
    return url


def has_wildcards(url: str) -> bool:
    """True if a normal `file_url` may name several files."""
    return not url.startswith(tuple(f"{scheme}://" for scheme in _WEB)) and not WILDCARDS.isdisjoint(url)


def file_name(url: str) -> str:
    """Return the name of the file, which gives its format."""
    if url.startswith(tuple(f"{scheme}://" for scheme in _WEB)):
        return unquote(urlsplit(url).path.rpartition("/")[2])
    return url.rpartition("/")[2]


def is_below(url: str, prefixes: Iterable[str]) -> bool:
    """True if a URL lies below one of these prefixes, both in normal form; `s3://b/data` is not above `s3://b/database`."""
    return any(url == prefix or url.startswith(prefix.rstrip("/") + "/") for prefix in prefixes)


def redirected(url: str, location: str) -> str:
    """Return the normal form of the target of a redirect. Raises ValueError."""
    scheme, host, path, *_ = urlsplit(urljoin(url, location))
    return normalized(urlunsplit((scheme, host, path or "/", "", "")))  # the place counts, not a signature in the query
