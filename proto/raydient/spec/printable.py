"""Texts from outside, made safe for a terminal and a log."""

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line and paragraph separators, what changes the direction of writing, lone surrogates."""


def is_printable(text: str) -> bool:
    """Whether a text is one line that a terminal shows and does not obey."""
    return _UNSAFE.search(text) is None


def printable(text: str) -> str:
    r"""The text with everything that a terminal would obey escaped as in Python: `\x1b`, `\n`, `\u202e`.

    Escape sequences then move no cursor, a line break begins no line, and nothing changes the direction of writing.
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines: line breaks and tabs stay."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def printable_json(text: str) -> str:
    """The same for a JSON text, in which such characters stand in strings only: escaped as in JSON."""
    return "\n".join(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n"))
