# ruff: noqa: N818  (an error is named after its condition)
"""The exceptions of the client.

    RaydientError
     ├─ Unreachable        no answer, or not in time
     ├─ RequestRefused     the request breaks rules (a job's specification: InvalidSpec)
     ├─ NotFound           no such job, dataset, checkpoint
     ├─ NotPermitted       no valid token, or one without this permission
     ├─ NotAllowed         impossible in the resource's present state
     ├─ NotSupported       this server cannot do that
     ├─ LimitReached       the server's disk, queue or quota is full
     ├─ ServerFault        the server failed; its log has the cause
     ├─ TransferBroken     bytes did not arrive as they were sent
     ├─ ModelUnreadable    a file is no model, or damaged
     ├─ JobNotSucceeded    a job that was waited for failed or was cancelled
     ├─ TimedOut           a job that was waited for has not ended in time
     └─ MissingExtra       a package of an extra is not installed

A specification that breaks rules raises `raydient.spec.errors.InvalidSpec`, whether the client or the server found it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from raydient.spec.errors import FieldError, InvalidSpec

from .reaching import Cause, cause_of


class RaydientError(Exception):
    """The base of all errors of the client except `InvalidSpec`.

    Attributes:
        reason: a stable UPPER_SNAKE_CASE word: the server's, or the cause of a failed connection; empty for the
            client's other errors.
    """

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class Unreachable(RaydientError):
    """The service does not answer at the address, or not in time.

    Attributes:
        transient: True if the same call may succeed in a moment, as while a server restarts.
    """

    def __init__(self, message: str, *, reason: str = "", transient: bool = False) -> None:
        super().__init__(message, reason=reason)
        self.transient = transient


class RequestRefused(RaydientError):
    """The request breaks rules.

    Attributes:
        violations: the broken rules, each with `path`, within the request, and `message`.
    """

    def __init__(self, message: str, *, reason: str = "", violations: Iterable[FieldError] = ()) -> None:
        super().__init__(message, reason=reason)
        self.violations = tuple(violations)


def of_specification(error: RequestRefused) -> Exception:
    """Return InvalidSpec, with paths as in the job file, if all broken rules are rules of a specification.

    Otherwise the error itself.
    """
    violations = error.violations
    if not violations or not all(v.path.startswith("spec.") for v in violations):
        return error
    return InvalidSpec(FieldError(v.path.removeprefix("spec."), v.message) for v in violations)


class NotFound(RaydientError):
    """There is no such job, dataset or checkpoint."""


class NotPermitted(RaydientError):
    """The call has no valid token, or names a file outside the data roots."""


class NotAllowed(RaydientError):
    """The state of the job does not allow the call.

    It is raised, for example, for cancelling a job that has ended, deleting one that has not, fetching the model of one
    that did not succeed, and changing one that is `UNREADABLE`.
    """


class NotSupported(RaydientError):
    """This version of the service does not support the call."""


class LimitReached(RaydientError):
    """The disk or the queue of the server is full, too many calls are in progress, or a check takes too much memory."""


class ServerFault(RaydientError):
    """The server failed; its log has the cause, under the incident in the message."""


class TransferBroken(RaydientError):
    """Bytes did not arrive as they were sent, or a stored file is damaged."""


class ModelUnreadable(RaydientError):
    """A file is not a model, or it is damaged."""


class JobNotSucceeded(RaydientError):
    """A job that was waited for failed or was cancelled.

    Attributes:
        state: `FAILED` or `CANCELLED`.
    """

    def __init__(self, message: str, *, state: str, reason: str = "") -> None:
        super().__init__(message, reason=reason)
        self.state = state


class TimedOut(RaydientError, TimeoutError):
    """A job that was waited for has not ended in time. It goes on."""


class MissingExtra(RaydientError):
    """A package of an extra, such as pandas, is not installed; the message has the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs packages that are not installed: pip install 'raydient[{extra}]'")


@dataclass(frozen=True, slots=True)
class Details:
    """The details of a status besides its code and message."""

    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[FieldError, ...] = ()


_TYPES: dict[grpc.StatusCode, type[RaydientError]] = {
    grpc.StatusCode.UNAVAILABLE: Unreachable,
    grpc.StatusCode.DEADLINE_EXCEEDED: Unreachable,
    grpc.StatusCode.CANCELLED: Unreachable,  # not by this client: a killed server ends its calls with this code
    grpc.StatusCode.INVALID_ARGUMENT: RequestRefused,
    grpc.StatusCode.OUT_OF_RANGE: RequestRefused,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNAUTHENTICATED: NotPermitted,
    grpc.StatusCode.PERMISSION_DENIED: NotPermitted,
    grpc.StatusCode.FAILED_PRECONDITION: NotAllowed,
    grpc.StatusCode.ALREADY_EXISTS: NotAllowed,
    grpc.StatusCode.ABORTED: NotAllowed,
    grpc.StatusCode.UNIMPLEMENTED: NotSupported,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitReached,
    grpc.StatusCode.DATA_LOSS: TransferBroken,
}


def error_of(error: grpc.RpcError, address: str) -> RaydientError:
    """Return the exception for an error of gRPC; a code that is not in the table is a fault of the server."""
    code: grpc.StatusCode = error.code()
    message: str = error.details() or code.name
    kind = _TYPES.get(code, ServerFault)
    details = _details(error)
    if kind is Unreachable:
        if details.reason:  # the server's own answer
            cause = Cause(details.reason, message, transient=code is grpc.StatusCode.UNAVAILABLE)
        elif code is grpc.StatusCode.CANCELLED:
            cause = Cause("CONNECTION_LOST", "the connection was lost", transient=True)
        else:
            cause = cause_of(message, address)
        text = f"cannot reach raydient at {address}: {cause.text}"
        return Unreachable(text, reason=cause.reason, transient=cause.transient)
    if kind is RequestRefused:
        return RequestRefused(message, reason=details.reason, violations=details.violations)
    if kind is ServerFault and (incident := details.metadata.get("incident")):
        message = f"{message} (incident {incident} in the server's log)"
    return kind(message, reason=details.reason)


def _details(error: grpc.RpcError) -> Details:
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # details that contradict the status, which our server never sends
        status = None
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details if status is not None else ():
        detail.Unpack(info)
        detail.Unpack(bad)
    violations = tuple(FieldError(v.field, v.description) for v in bad.field_violations)
    return Details(info.reason, dict(info.metadata), violations)
