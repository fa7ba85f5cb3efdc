"""Turns exceptions into messages and into exit statuses that scripts can rely on."""

import json
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from .output import echo

if TYPE_CHECKING:
    from raydient.spec.errors import FieldError
    from raydient.spec.reading import JobFile

FAILED, WRONG_USAGE, UNREACHABLE, NOT_FOUND, NOT_PERMITTED, NOT_ALLOWED, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130
STATUSES = {
    0: "done; of `train`, `watch` and `submit --watch`: the job succeeded",
    FAILED: "the job failed or was cancelled, or the command failed",
    WRONG_USAGE: "wrong usage, or an invalid file",
    UNREACHABLE: "the service cannot be reached, or does not answer in time",
    NOT_FOUND: "no such job, dataset or checkpoint",
    NOT_PERMITTED: "not permitted",
    NOT_ALLOWED: "not allowed in the job's state",
    INTERRUPTED: "interrupted",
}
"""The meaning of each exit status."""

# by the name of the exception, so that this module imports no client
_STATUS = {
    "Unreachable": UNREACHABLE,
    "RequestRefused": WRONG_USAGE,
    "ModelUnreadable": WRONG_USAGE,
    "NotFound": NOT_FOUND,
    "NotPermitted": NOT_PERMITTED,
    "NotAllowed": NOT_ALLOWED,
}
_GIVE_ONE = "A token is given with RAYDIENT_TOKEN."
_REMEDIES = {
    "CONNECTION_REFUSED": "Start it with `raydient serve`, or name another address with --address or RAYDIENT_ADDRESS.",
    "TOKEN_MISSING": _GIVE_ONE,
    "TOKEN_INVALID": _GIVE_ONE,
}


class Failure(Exception):  # noqa: N818  (named after its condition)
    """A command cannot go on; the message has one or two lines."""

    def __init__(self, message: str, status: int = FAILED, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class BadJobFile(Exception):  # noqa: N818
    """A job file that breaks rules."""

    def __init__(self, path: Path, errors: Sequence["FieldError"]) -> None:
        super().__init__(f"{path} breaks rules")
        self.path = path
        self.errors = errors

    def lines(self) -> list[str]:
        """One line per error, in the form `JOB.yaml:LINE: path: message` that editors jump to."""
        return [
            ": ".join(
                part for part in (f"{self.path}:{e.line}" if e.line else str(self.path), e.path, e.message) if part
            )
            for e in self.errors
        ]


@contextmanager
def reading(path: Path) -> Iterator["JobFile"]:
    """Open the job file at `path`. Errors of the specification that are raised inside get its path and line numbers."""
    from raydient.client.data_file import errors_beside
    from raydient.spec.errors import InvalidSpec
    from raydient.spec.reading import InvalidJobFile, in_order, located, open_job_file

    try:
        file = open_job_file(path)
    except InvalidJobFile as error:
        further = located(errors_beside(error.document.data, path.parent), error.document)
        raise BadJobFile(path, in_order([*error.errors, *further])) from error
    except InvalidSpec as error:
        raise BadJobFile(path, error.errors) from error
    try:
        yield file
    except InvalidSpec as error:
        raise BadJobFile(path, file.locate(error.errors).errors) from error


def report(error: BaseException, *, as_json: bool, debug: bool) -> int:
    """Print the error and return the exit status."""
    if debug:
        traceback.print_exception(error)
    status, reason, lines = _outcome(error)
    if isinstance(error, click.UsageError):
        error.show(sys.stderr)
    else:
        for line in lines:
            echo(line, err=True)
    if as_json and not isinstance(error, click.exceptions.Abort | KeyboardInterrupt | BrokenPipeError):
        with suppress(OSError):  # standard output may be what failed
            echo(json.dumps({"error": {"reason": reason, "message": "\n".join(lines), **_violations(error)}}))
    return status


def give_up(stream: TextIO) -> None:
    """Discard the buffer of a standard stream if it cannot be written.

    Otherwise the interpreter tries again at exit, prints its own error and makes the exit status 120.
    """
    try:
        stream.flush()
    except OSError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def _outcome(error: BaseException) -> tuple[int, str, list[str]]:
    """The exit status, the reason and the lines of an error."""
    name = type(error).__name__
    match error:
        case BadJobFile():
            return WRONG_USAGE, "INVALID_SPEC", error.lines()
        case Failure():
            return error.status, error.reason or ("USAGE" if error.status == WRONG_USAGE else ""), [str(error)]
        case click.exceptions.Abort() | KeyboardInterrupt():
            return INTERRUPTED, "", ["interrupted"]
        case click.ClickException():
            return error.exit_code, "USAGE", [error.format_message()]
        case BrokenPipeError():
            return FAILED, "", []
        case MemoryError():
            return FAILED, "MEMORY", [f"not enough memory on this machine: {error}"]
        case OSError():
            return FAILED, "IO", [f"{error.filename}: {error.strerror}" if error.filename else str(error)]
    if name == "InvalidSpec":  # its import takes long
        return WRONG_USAGE, "INVALID_SPEC", str(error).splitlines()
    if name == "InvalidSamples":
        return WRONG_USAGE, "INVALID_SAMPLES", [str(error)]
    if hasattr(error, "reason"):  # a RaydientError
        reason = error.reason or _upper_snake(name)
        remedies = [_REMEDIES[key] for key in (name, reason) if key in _REMEDIES]
        return _STATUS.get(name, FAILED), reason, [str(error), *remedies]
    return FAILED, "INTERNAL", [f"internal error: {name}: {error}", "Run it again with --debug to see where."]


def _upper_snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def _violations(error: BaseException) -> dict[str, Any]:
    is_of_spec = isinstance(error, BadJobFile) or type(error).__name__ == "InvalidSpec"
    violations = getattr(error, "errors" if is_of_spec else "violations", ())
    if not violations:
        return {}
    return {"violations": [{"path": e.path, "message": e.message, "line": e.line} for e in violations]}
