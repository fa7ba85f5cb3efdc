"""HTML for notebooks: tables of escaped texts."""

from collections.abc import Iterable, Sequence
from html import escape


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table with a header."""
    return _table([_row("th", header), *(_row("td", row) for row in rows)], caption)


def properties(pairs: Iterable[tuple[str, str]], caption: str = "") -> str:
    """A table of properties, one per line; those without a value are left out."""
    rows = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in pairs if value)
    return _table(rows, caption)


def _table(rows: Iterable[str], caption: str) -> str:
    title = f'<caption style="text-align: left">{escape(caption)}</caption>' if caption else ""
    return f"<table>{title}{''.join(rows)}</table>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
