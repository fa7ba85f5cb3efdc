# ruff: noqa: N818  (an error is named by what is the case)
"""The errors of the service: one tree, which `api/` maps to gRPC codes in one table."""

from collections.abc import Iterable, Mapping

from raydient.spec.errors import FieldError


class StartError(Exception):
    """The service cannot start; one line that says what is wrong and how to mend it."""


class ServiceError(Exception):
    """A call that cannot be answered as asked. The message is written for the caller: no host paths, no secrets.

    Attributes:
        reason: a stable UPPER_SNAKE_CASE word for programs.
        metadata: more for programs, by name.
    """

    reason = "SERVICE_ERROR"

    def __init__(self, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason or type(self).reason
        self.metadata = dict(metadata or {})


class NotFound(ServiceError):
    """There is no such resource."""

    reason = "NOT_FOUND"


class AlreadyExists(ServiceError):
    """Another resource has that identity."""

    reason = "ALREADY_EXISTS"


class NotAllowed(ServiceError):
    """The resource is not in a state in which that can be done."""

    reason = "NOT_ALLOWED"


class Unreadable(NotAllowed):
    """A stored job that this version cannot read; it can only be shown and deleted."""

    reason = "JOB_UNREADABLE"


class NotPermitted(ServiceError):
    """This caller, or no caller at all, may do that."""

    reason = "NOT_PERMITTED"


class Unauthenticated(ServiceError):
    """The caller did not prove who it is."""

    reason = "TOKEN_INVALID"


class DataLoss(ServiceError):
    """The bytes that came are not those announced."""

    reason = "CHECKSUM_MISMATCH"


class Conflict(ServiceError):
    """The resource changed during the call; the call may succeed when repeated."""

    reason = "CONFLICT"


class OutOfRange(ServiceError):
    """An offset or number beyond the end."""

    reason = "OUT_OF_RANGE"


class Exhausted(ServiceError):
    """A limit or the disk is reached, or the caller is too slow."""

    reason = "RESOURCE_EXHAUSTED"


class Late(ServiceError):
    """The request, or what it asks for, takes longer than the service allows."""

    reason = "TOO_LATE"


class Abandoned(ServiceError):
    """The client abandoned the call; nothing was changed."""

    reason = "ABANDONED"


class Unavailable(ServiceError):
    """Not now; the same call may succeed later."""

    reason = "UNAVAILABLE"


class Unsupported(ServiceError):
    """This version cannot do that."""

    reason = "UNSUPPORTED"


class InvalidRequest(ServiceError):
    """Fields of a request that break rules, all of them."""

    reason = "INVALID_REQUEST"

    def __init__(self, errors: Iterable[FieldError], *, reason: str = "") -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(e) for e in self.errors), reason=reason)

    @classmethod
    def of(cls, path: str, message: str, *, reason: str = "") -> "InvalidRequest":
        """One field, one rule."""
        return cls([FieldError(path, message)], reason=reason)
