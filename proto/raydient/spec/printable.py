"""Escapes texts from outside, so that they are safe in a terminal and a log."""

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, separators of lines and paragraphs, bidirectional controls, lone surrogates."""


def is_printable(text: str) -> bool:
    """True if a text is one line without characters that control a terminal."""
    return _UNSAFE.search(text) is None


def printable(text: str) -> str:
    r"""Escape every character that controls a terminal, as in Python: `\x1b`, `\n`, `\u202e`.

    Escaped text cannot move the cursor, begin a line or change the direction of writing.
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def printable_lines(text: str) -> str:
    """Escape as `printable`, but keep line breaks and tabs."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def printable_json(text: str) -> str:
    """Escape in the notation of JSON; in a JSON text such characters occur only within strings."""
    return "\n".join(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", line) for line in text.split("\n"))
