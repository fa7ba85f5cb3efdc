"""What a reader hands on: the file's contents as they are, and what is wrong with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from numpy.typing import NDArray

from raydient.spec.dataset import SAMPLE_WEIGHT, Dataset
from raydient.spec.errors import FieldError

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
        errors: what is wrong with the values.
    """

    inputs: Mapping[str, RawInput] | None
    labels: Mapping[str, Labels]
    errors: tuple[FieldError, ...] = ()


def label_path(spec: Dataset, name: str) -> str:
    """Where a label, or the weight of a sample, stands in the specification."""
    if name == SAMPLE_WEIGHT:
        return "dataset.sample_weight"
    return f"dataset.labels.{name}" if spec.labels else "dataset.label"


def is_number(text: str) -> bool:
    """Whether a text in a file stands for a number, infinity and NaN included."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python and NumPy read 1_000, no other program does


def missing(path: str, name: str, what: str, available: list[str]) -> FieldError:
    """The error of a name that is none of the available ones; `what` says of what they are."""
    close = get_close_matches(name, available, n=1)
    if close:
        return FieldError(path, f"{name!r} is not {what}: did you mean {close[0]!r}?")
    shown = ", ".join(available[:8]) + (", ..." if len(available) > 8 else "")
    return FieldError(path, f"{name!r} is not {what}, there are: {shown}")
