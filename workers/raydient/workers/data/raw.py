"""What a reader hands on: the file's contents as they are, and what is wrong with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from numpy.typing import NDArray

from raydient.spec.dataset import SAMPLE_WEIGHT, Dataset
from raydient.spec.errors import FieldError
from raydient.spec.printable import printable

from .cells import SHOWN_CHARACTERS, shown

SHOWN_ERRORS = 10
"""Names and columns with errors that are reported one by one."""

COMPARED_NAMES = 1000
"""Above this number of names no similar one is looked for: each comparison takes microseconds."""

Labels = NDArray[Any] | list[str]
"""Numbers (n,) or (n, k), or texts."""


@dataclass(frozen=True, eq=False, slots=True)
class RawInput:
    """Samples as they stand in the file, rows first.

    Attributes:
        values: numbers of any type or, of categories, texts; (n, *shape).
        columns: of the table, in order, or the name of the array.
        is_table: which of the two.
    """

    values: NDArray[Any]
    columns: tuple[str, ...]
    is_table: bool


@dataclass(frozen=True, eq=False, slots=True)
class RawData:
    """What a file holds of what a job names.

    Attributes:
        inputs: by name; None if there are errors in one of them.
        labels: by name, those without errors: one for each row; the weights of samples among them.
        texts: by name, the labels that are asked for as they are written.
        errors: what is wrong with the values.
        rows: how many samples there are.
        shapes: of one sample of each input, by name; also where there are errors.
    """

    inputs: Mapping[str, RawInput] | None
    labels: Mapping[str, Labels]
    texts: Mapping[str, list[str]]
    errors: tuple[FieldError, ...]
    rows: int
    shapes: Mapping[str, tuple[int, ...]]


def label_path(spec: Dataset, name: str) -> str:
    """Where a label, or the weight of a sample, stands in the specification."""
    if name == SAMPLE_WEIGHT:
        return "dataset.sample_weight"
    return f"dataset.labels.{name}" if spec.labels else "dataset.label"


def missing(names: Sequence[tuple[str, str]], what: str, available: Sequence[str]) -> list[FieldError]:
    """The errors of names that are none of the available ones.

    Args:
        names: where each stands in the specification, and the name.
        what: of what the names are, as in `a column of the file`.
        available: the names that there are.
    """
    errors = [FieldError(path, _missing(name, what, available)) for path, name in names[:SHOWN_ERRORS]]
    if more := len(names) - len(errors):
        errors.append(FieldError(errors[-1].path, f"{more} more names are not {what}"))
    return errors


def _missing(name: str, what: str, available: Sequence[str]) -> str:
    if close := _alike(name, available):
        return f"{shown(name)} is not {what}: did you mean {shown(close)}?"
    there = ", ".join(printable(name[:SHOWN_CHARACTERS]) for name in available[:8])
    more = f", ... ({len(available)} names)" if len(available) > 8 else ""
    return f"{shown(name)} is not {what}, there are: {there}{more}"


def _alike(name: str, available: Sequence[str]) -> str | None:
    """The name that is probably meant; among very many only case and spaces around it are forgiven."""
    same = (other for other in available if other.strip().casefold() == name.strip().casefold())
    if close := next(same, None):
        return close
    return next(iter(get_close_matches(name, available, n=1)), None) if len(available) <= COMPARED_NAMES else None
