"""Turns errors of gRPC into the exceptions of the client. Training on this machine imports no gRPC."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from raydient.spec.errors import FieldError

from .errors import (
    LimitReached,
    NotAllowed,
    NotFound,
    NotPermitted,
    NotSupported,
    RaydientError,
    RequestRefused,
    ServerFault,
    TransferBroken,
    Unreachable,
)
from .reaching import Cause, cause_of


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
