# ruff: noqa: N818  (an error is named after its condition)
"""The errors of the service: one tree, which `api/status.py` maps to gRPC codes in one table."""

from collections.abc import Iterable, Mapping

from raydient.spec.errors import FieldError


class StartError(Exception):
    """The service cannot start; the message is one line with the problem and its remedy."""


class ServiceError(Exception):
    """A call that fails. The message is for the caller and contains neither paths of the host nor secrets.

    Attributes:
        reason: a stable UPPER_SNAKE_CASE word for programs.
        metadata: further values for programs, by name.
    """

    reason = "SERVICE_ERROR"

    def __init__(self, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason or type(self).reason
        self.metadata = dict(metadata or {})


class NotFound(ServiceError):
    """The resource does not exist."""

    reason = "NOT_FOUND"


class AlreadyExists(ServiceError):
    """Another resource has the same identity."""

    reason = "ALREADY_EXISTS"


class NotAllowed(ServiceError):
    """The state of the resource does not allow the operation."""

    reason = "NOT_ALLOWED"


class Unreadable(NotAllowed):
    """This version cannot read the stored job; it can only be shown and deleted."""

    reason = "JOB_UNREADABLE"


class NotPermitted(ServiceError):
    """The caller may not do that."""

    reason = "NOT_PERMITTED"


class Unauthenticated(ServiceError):
    """The caller has sent no valid token."""

    reason = "TOKEN_INVALID"


class DataLoss(ServiceError):
    """Bytes differ from their announced or stored checksum or size."""

    reason = "CHECKSUM_MISMATCH"


class Conflict(ServiceError):
    """The resource changed during the call; a retry may succeed."""

    reason = "CONFLICT"


class OutOfRange(ServiceError):
    """An offset or number is outside the available range."""

    reason = "OUT_OF_RANGE"


class Exhausted(ServiceError):
    """A limit is reached, or the disk is full."""

    reason = "RESOURCE_EXHAUSTED"


class Late(ServiceError):
    """The request or its work exceeds a time limit."""

    reason = "TOO_LATE"


class Abandoned(ServiceError):
    """The client cancelled the call; nothing was changed."""

    reason = "ABANDONED"


class Unavailable(ServiceError):
    """The service cannot answer now; a retry may succeed."""

    reason = "UNAVAILABLE"


class Unsupported(ServiceError):
    """This version does not implement the operation."""

    reason = "UNSUPPORTED"


class InvalidRequest(ServiceError):
    """A request is invalid; `errors` has every field that breaks a rule."""

    reason = "INVALID_REQUEST"

    def __init__(self, errors: Iterable[FieldError], *, reason: str = "") -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(e) for e in self.errors), reason=reason)

    @classmethod
    def of(cls, path: str, message: str, *, reason: str = "") -> "InvalidRequest":
        """The error of a single field."""
        return cls([FieldError(path, message)], reason=reason)
