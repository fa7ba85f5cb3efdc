"""Values of a data file: which texts are numbers, and the text by which a category is found."""

import re
from numbers import Integral, Real

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.0)?")


def is_number(text: str) -> bool:
    """True if a text in a file is a number in ASCII, with or without spaces around it; infinity and NaN count."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text  # Python reads 1_000 and other scripts' digits, few programs do


def category_text(value: object) -> str:
    """The text by which a category is found.

    An integer gives its decimal digits, a boolean `True` or `False`. Any other number gives an integer if it is whole
    (42.0 gives `42`), else the `repr` of its float64. A text is unchanged. The result depends on the value alone, not
    on the values beside it.
    """
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, (int, Integral)):
        return str(int(value))
    if isinstance(value, (float, Real)):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    return str(value)


def other_writing(text: str) -> str | None:
    """`42.0` for `42` and `42` for `42.0`; None for a text that is not a whole number in one of these two forms."""
    found = _WHOLE.fullmatch(text)
    if found is None:
        return None
    digits, point = found.groups()
    return digits if point else f"{digits}.0"
