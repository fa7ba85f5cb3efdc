"""Texts from outside, made safe for a terminal and a log."""


def printable(text: str) -> str:
    r"""The text with every character that is not printable escaped as in Python: `\x1b`, `\n`, `\u202e`.

    Escape sequences then move no cursor, a line break begins no line, and nothing changes the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines: line breaks and tabs stay."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))
