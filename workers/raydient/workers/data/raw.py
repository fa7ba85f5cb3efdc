"""What a reader hands on: the file's contents as they are, and what is wrong with them."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from numpy.typing import NDArray

from raydient.spec.errors import FieldError

Labels = NDArray[Any] | list[str]
"""Numbers (n,) or (n, k), or texts."""


@dataclass(frozen=True, eq=False, slots=True)
class RawData:
    """Samples as they stand in the file, rows first.

    Attributes:
        features: numbers of any type, (n, *shape); None if there are errors in them.
        labels: one for each row; None if there are errors in them.
        feature_names: one for each column of a table; empty for arrays.
        errors: what is wrong with the values.
    """

    features: NDArray[Any] | None
    labels: Labels | None
    feature_names: tuple[str, ...] = ()
    errors: tuple[FieldError, ...] = ()


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
