"""Values of a data file: texts that are numbers, texts of categories, and how messages show a text."""

import re
import unicodedata
from numbers import Integral, Real

SHOWN_CHARACTERS = 60
"""Maximum length of a text in a message."""

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.0)?")
_MINUS = "\N{MINUS SIGN}"
_SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{FIGURE SPACE}\N{THIN SPACE}"
_THOUSANDS = re.compile(
    rf"[-+]?\d{{1,3}}(?:([ ,.'_\N{{RIGHT SINGLE QUOTATION MARK}}{_SPACES}])\d{{3}})(?:\1\d{{3}})*([.,]\d+)?"
)
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")

SPACES = " \t\n\v\f\r"
"""White space that may be around a number: that of ASCII, as Arrow trims it. Any other is part of the text."""

MISSING = frozenset(
    {"", "NA", "N/A", "n/a", "#NA", "#N/A", "#N/A N/A", "NULL", "null", "NaN", "nan", "-NaN", "-nan"}
    | {"1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
)
"""Texts that stand for a missing number; they are those of Arrow's reader, and almost those of pandas."""

BOOLEANS = {"false": 0.0, "true": 1.0}
"""Numbers of truth values in a column of numbers, by their text in lower case."""


def is_missing(text: str) -> bool:
    """True if a text in a file stands for a missing number, with or without spaces around it."""
    return text.strip(SPACES) in MISSING


def number_of(text: str) -> float | None:
    """Return the number that a text in a file is: `true` and `false` in any case are 1 and 0; None if it is none."""
    if is_number(text):
        return float(text)
    return BOOLEANS.get(text.strip(SPACES).lower())


def is_number(text: str) -> bool:
    """True if a text in a file is a number in ASCII, with or without spaces around it; infinity and NaN count."""
    plain = text.strip(SPACES)
    try:
        float(plain)
    except ValueError:
        return False
    # Python reads 1_000, other scripts' digits and numbers after separators of files; few programs do
    return plain.isascii() and "_" not in plain and not (plain[0].isspace() or plain[-1].isspace())


def category_text(value: object) -> str:
    """The text by which a category is compared.

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


def other_writings(text: str) -> tuple[str, ...]:
    """`42.0` for `42` and `42` for `42.0`; of `true` and `false` the forms `true`, `True` and `TRUE` that differ."""
    if text.lower() in BOOLEANS:
        return tuple(form for form in (text.lower(), text.capitalize(), text.upper()) if form != text)
    match = _WHOLE.fullmatch(text)
    if match is None:
        return ()
    digits, point = match.groups()
    return (digits if point else f"{digits}.0",)


def quoted(text: str) -> str:
    """Return a text in quotes, truncated, with control characters escaped."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}...")


def number_hint(text: str) -> str:
    """Return a hint, with a leading colon, how to write the number that a text probably means; empty if unknown."""
    if any(character in _SPACES for character in text) and is_number(plain := text.strip()):
        return f": there is a no-break space around {plain}, remove it"
    plain = "".join(_plain(character) for character in text.strip())
    if plain != text.strip() and is_number(plain):
        return f": write it in ASCII, {plain}"
    match = _THOUSANDS.fullmatch(plain)
    if _DECIMAL_COMMA.fullmatch(plain):
        thousands = " and thousands are not separated" if match else ""
        return f": the decimal separator is a point, as in {plain.replace(',', '.')}{thousands and ','}{thousands}"
    if match:
        whole = plain[: match.start(2)] if match[2] else plain
        return f": write it without separators of thousands, {re.sub(r'[^-+0-9]', '', whole)}{_point(match[2])}"
    if plain.endswith("%") and is_number(plain[:-1]):
        return ": write it without the percent sign"
    return ""


def _point(fraction: str | None) -> str:
    return f".{fraction[1:]}" if fraction else ""


def _plain(character: str) -> str:
    """Return the ASCII form of a digit of any script, or of a typographic minus."""
    if character == _MINUS:
        return "-"
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)
