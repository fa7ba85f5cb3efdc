"""Pages of lists: their sizes, and tokens for the start of the next page."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from raydient.server.errors import InvalidRequest

DEFAULT_SIZE = 50
GREATEST_SIZE = 1000
TOKEN_CHARACTERS = 2000
"""Maximum length of a valid token: a key has at most a number and two short names."""
PAGE_BYTES = 3 << 20
"""Maximum bytes of all items of a page: well under the 4 MiB that a client accepts."""

T = TypeVar("T")
M = TypeVar("M", bound=Message)


def page_size(request: Any) -> int:
    """The page size of a list request. Raises InvalidRequest."""
    if request.page_size < 0:
        raise InvalidRequest.of("page_size", f"{request.page_size} is negative", reason="INVALID_PAGE_SIZE")
    return min(request.page_size or DEFAULT_SIZE, GREATEST_SIZE)


def page_start(request: Any, *kinds: type) -> tuple[Any, ...] | None:
    """The key of the last item on the previous page, a tuple of these types; None for the first page.

    Raises InvalidRequest if the token is invalid or belongs to another request.
    """
    if not request.page_token:
        return None
    if len(request.page_token) > TOKEN_CHARACTERS:
        raise _invalid("the token is invalid")
    try:
        origin, *key = json.loads(base64.urlsafe_b64decode(request.page_token.encode()))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise _invalid("the token is invalid") from None
    if origin != _origin(request):
        raise _invalid("the token belongs to another request")
    if [type(part) for part in key] != list(kinds) or not all(_is_storable(part) for part in key):
        raise _invalid("the token is invalid")
    return tuple(key)


def next_page(
    request: Any, items: Sequence[T], size: int, convert: Callable[[T], M], *last: str
) -> tuple[list[M], str]:
    """Convert a page to messages, and return them with the token of the next page, which is empty on the last one.

    `items` are up to `size` + 1 items. A page ends early if it would not fit into one response. `last` names the
    attributes that form the key of an item.
    """
    page: list[M] = []
    room = PAGE_BYTES
    for item in items[:size]:
        message = convert(item)
        room -= message.ByteSize()
        if page and room < 0:
            break
        page.append(message)
    if len(page) == len(items):
        return page, ""
    key = [getattr(items[len(page) - 1], name) for name in last]
    return page, base64.urlsafe_b64encode(json.dumps([_origin(request), *key]).encode()).decode()


def _origin(request: Message) -> str:
    """A hash of the request without size and token, which is the same for all pages of a list."""
    query: Any = type(request)()
    query.CopyFrom(request)
    query.page_size, query.page_token = 0, ""
    text = query.DESCRIPTOR.full_name.encode() + b"\0" + query.SerializeToString(deterministic=True)
    return hashlib.sha256(text).hexdigest()[:16]


def _is_storable(part: int | str) -> bool:
    """True if the database can store this value; JSON also allows larger integers and lone surrogates."""
    if isinstance(part, int):
        return abs(part) < 1 << 63
    return not any("\ud800" <= character <= "\udfff" for character in part)


def _invalid(why: str) -> InvalidRequest:
    return InvalidRequest.of("page_token", why, reason="INVALID_PAGE_TOKEN")
