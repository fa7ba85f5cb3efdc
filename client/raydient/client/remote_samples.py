"""Files of samples at URLs: downloaded before they are read, as the data of a job on this machine are."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raydient.spec.errors import InvalidSpec
from raydient.spec.remote import file_url, is_remote

from .columns import InvalidSamples
from .remote_cache import open_cache


@contextmanager
def local_samples(data: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of a file of samples; that of a URL is a copy on this machine with its present content.

    Errors of samples that are raised inside name the URL instead of the copy.

    Raises:
        InvalidSamples: the URL is refused, names several files, or cannot be read.
    """
    url = os.fspath(data)
    if not is_remote(url):
        yield Path(url)
        return
    path = _downloaded(url)
    try:
        yield path
    except InvalidSamples as error:
        raise InvalidSamples(str(error).replace(str(path), url)) from error


def _downloaded(url: str) -> Path:
    try:
        files = open_cache().local("data", file_url(url))
    except InvalidSpec as error:
        raise InvalidSamples("; ".join(one.message for one in error.errors)) from error
    except OSError as error:
        reason = f"{error.filename or 'the cache'}: {error.strerror or error}"
        raise InvalidSamples(f"{url}: it cannot be kept on this machine: {reason}") from error
    except ValueError as error:
        raise InvalidSamples(str(error)) from error
    if len(files) > 1:
        raise InvalidSamples(f"{url}: {len(files)} files have such a name: name one")
    return files[0]
