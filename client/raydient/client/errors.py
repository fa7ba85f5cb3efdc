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

from collections.abc import Iterable

from raydient.spec.errors import FieldError, InvalidSpec


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
