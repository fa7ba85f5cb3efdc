"""Converts errors to gRPC statuses: one table of codes, and the details of each status."""

import logging
import secrets
from collections.abc import Iterator, Sequence

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from raydient.server import errors
from raydient.spec.errors import FieldError, InvalidSpec

DOMAIN = "raydient"
DETAILS_KEY = "grpc-status-details-bin"
DETAILS_BYTES = 4500
MESSAGE_BYTES = 400
"""Maximum sizes. Clients refuse trailers of 8 KiB or more, with details in base64 and up to three bytes for a byte of
the message."""

log = logging.getLogger(__name__)

CODES: dict[type[Exception], grpc.StatusCode] = {
    InvalidSpec: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.NotAllowed: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NotPermitted: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.DataLoss: grpc.StatusCode.DATA_LOSS,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Late: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Abandoned: grpc.StatusCode.CANCELLED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Unsupported: grpc.StatusCode.UNIMPLEMENTED,
}


def code_of(error: Exception) -> grpc.StatusCode:
    """The code of the nearest class in the table; INTERNAL if there is none."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


def status_of(error: Exception, method: str) -> tuple[grpc.StatusCode, Status]:
    """Code and status for the caller. An error outside the table is logged; its status has only an incident number."""
    code = code_of(error)
    violations: Sequence[FieldError] = ()
    match error:
        case InvalidSpec():
            info = ErrorInfo(reason="INVALID_SPEC", domain=DOMAIN)
            violations = [FieldError(f"spec.{e.path}" if e.path else "spec", e.message) for e in error.errors]
            message = _summary(violations)
        case errors.ServiceError():
            info = ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
            violations = error.errors if isinstance(error, errors.InvalidRequest) else ()
            message = _summary(violations) if violations else str(error)
        case _:
            incident = secrets.token_hex(4)
            log.error("%s failed, incident %s", method, incident, exc_info=error)
            info = ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"incident": incident})
            message = f"the server failed; its log has the details under incident {incident}"
    details: list[Message] = [info, _bad_request(violations)] if violations else [info]
    status = Status(code=code.value[0], message=_cut(message), details=_packed(details))
    return code, status


def _summary(violations: Sequence[FieldError]) -> str:
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return f"{violations[0]}{more}"


def _bad_request(violations: Sequence[FieldError]) -> BadRequest:
    bad = BadRequest()
    size = 0
    for place, violation in enumerate(violations):
        message = _cut(violation.message)
        size += len(violation.path.encode()) + len(message.encode()) + 8
        if size > DETAILS_BYTES:
            bad.field_violations.add(description=f"and {len(violations) - place} more")
            break
        bad.field_violations.add(field=violation.path, description=message)
    return bad


def _cut(text: str) -> str:
    return text.encode()[:MESSAGE_BYTES].decode(errors="ignore")


def _packed(details: list[Message]) -> Iterator[Any]:
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        yield packed
