"""Messages about the texts of a table's cells: quoting, and hints for texts that are probably meant as numbers."""

import re
import unicodedata

from raydient.spec.values import is_number

SHOWN_CHARACTERS = 60

_MINUS = "\N{MINUS SIGN}"
_SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{FIGURE SPACE}\N{THIN SPACE}"
_THOUSANDS = re.compile(
    rf"[-+]?\d{{1,3}}(?:([ ,.'_\N{{RIGHT SINGLE QUOTATION MARK}}{_SPACES}])\d{{3}})(?:\1\d{{3}})*([.,]\d+)?"
)
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")


def shown(text: str) -> str:
    """A text in quotes, truncated, with control characters escaped."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}...")


def number_hint(text: str) -> str:
    """A hint, with a leading colon, how to write the number that a text probably means; empty if there is no guess."""
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
    """The ASCII form of a digit of any script, or of a typographic minus."""
    if character == _MINUS:
        return "-"
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)
