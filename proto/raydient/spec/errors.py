# ruff: noqa: N818  (an error is named after its condition)
"""Errors of a job specification, one per field and rule."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .printable import printable

WARNING = "WARNING"
"""Reason of the notice that carries a warning, see `advice`."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One rule broken by one field.

    Attributes:
        path: path of the field, as in `network.layers[1].dense.units`; empty for the document as a whole.
        message: the value, the broken rule and the remedy, without the path.
        line: line of the job file, from 1; None if there is no file or the field is not in it.

    Control characters in path and message are escaped, because both quote names and values of files.
    """

    path: str
    message: str
    line: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", printable(self.path))
        object.__setattr__(self, "message", printable(self.message))

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class InvalidSpec(ValueError):
    """The specification of a job breaks rules, checked by the client or by the service.

    Attributes:
        errors: all broken rules, each with `path`, `message` and `line`.
    """

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(e) for e in self.errors))


@contextmanager
def collecting(errors: list[FieldError]) -> Iterator[None]:
    """Add the errors of an InvalidSpec raised inside to `errors`."""
    try:
        yield
    except InvalidSpec as invalid:
        errors += invalid.errors
