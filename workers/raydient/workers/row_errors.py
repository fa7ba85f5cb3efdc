"""Errors that name rows of the data, whose names only the reader of the files knows."""

from collections.abc import Callable


def row_name(row: int) -> str:
    """Return the name of a row of a single file; `row` is numbered from 0."""
    return f"row {row + 1}"


class RowError(ValueError):
    """A problem of rows. Its arguments are the parts of the sentence; an integer is a row, numbered from 0."""

    def sentence(self, name: Callable[[int], str]) -> str:
        """Return the message with the names of the rows."""
        return "".join(name(part) if isinstance(part, int) else part for part in self.args)

    def __str__(self) -> str:
        return self.sentence(row_name)
