"""Reads job files."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from .document import MAXIMUM_BYTES, Document, parse
from .errors import FieldError, InvalidSpec
from .job import JobSpec
from .validation import valid_parts, validate_job
from .vocabulary_files import with_vocabularies

__all__ = [
    "InvalidJobFile",
    "JobFile",
    "in_order",
    "located",
    "open_job_file",
    "parse_job",
    "read_job_file",
    "valid_parts",
    "validate_job",
]


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job file that was read.

    Attributes:
        path: path of the file.
        spec: the job that it describes.
        document: its content as plain data, with lines.
    """

    path: Path
    spec: JobSpec
    document: Document

    def locate(self, errors: Iterable[FieldError]) -> InvalidSpec:
        """Add the lines of this file to errors of a later check, such as that of the data."""
        return InvalidSpec(in_order(located(errors, self.document)))


class InvalidJobFile(InvalidSpec):
    """A job file that is valid YAML and breaks rules.

    Attributes:
        document: the content of the file as plain data, with lines.
    """

    def __init__(self, errors: Iterable[FieldError], document: Document) -> None:
        super().__init__(errors)
        self.document = document


def open_job_file(path: Path) -> JobFile:
    """Read and validate a job file, and keep its lines for errors of later checks.

    Raises:
        InvalidSpec: the file cannot be read.
        InvalidJobFile: it breaks rules; carries all errors, with lines.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAXIMUM_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        raise InvalidSpec([FieldError("", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise InvalidSpec([FieldError("", "cannot be read: it is not UTF-8 text")]) from None
    document = parse(text)
    document.data, errors = with_vocabularies(document.data, path.parent)
    document.errors += located(errors, document)
    return JobFile(path, _validate(document), document)


def read_job_file(path: Path) -> JobSpec:
    """The job that a file describes; errors as in `open_job_file`."""
    return open_job_file(path).spec


def parse_job(text: str) -> JobSpec:
    """The job that a YAML text describes; errors as in `open_job_file`."""
    return _validate(parse(text))


def _validate(document: Document) -> JobSpec:
    if document.data is None:
        raise InvalidSpec([FieldError("", "is empty")])
    try:
        spec = validate_job(document.data)
    except InvalidSpec as error:
        errors = [*document.errors, *located(error.errors, document)]
    else:
        errors = document.errors
    if errors:
        raise InvalidJobFile(in_order(errors), document)
    return spec


def located(errors: Iterable[FieldError], document: Document) -> Iterable[FieldError]:
    """The errors with their lines in a document."""
    return (replace(error, line=document.line(error.path)) for error in errors)


def in_order(errors: Iterable[FieldError]) -> list[FieldError]:
    """Return the errors in the order of their lines in the file."""
    return sorted(errors, key=lambda e: e.line or 0)
