"""Drawing tables: the frames of several queries merged into rows, columns chosen, named and put in order."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from .colors import EDGE, FAINT, NAMED, TEXT
from .drawing import inches, nothing
from .panel import Panel
from .prometheus import Series, Window
from .units import text

Row = dict[str, str | float]
LINE = 0.28
"""Inches that a row is high."""
SHORTEST, WIDTH_OF_NUMBERS = 7, 12
"""Letters that a column is wide at least, and one with numbers."""


def table(axes: Axes, panel: Panel, answers: Sequence[Sequence[Series]], window: Window) -> None:
    """Headings and rows, as many as there is room for."""
    axes.set_axis_off()
    rows = merged(answers)
    if not rows:
        return nothing(axes, panel.defaults.get("noValue", "no data"))
    layout = panel.transformations["organize"]
    titles = layout["renameByName"]
    columns = sorted(
        {name for row in rows for name in row} - set(layout["excludeByName"]),
        key=lambda name: layout["indexByName"].get(name, len(titles)),
    )
    for order in reversed(panel.options.get("sortBy") or ()):
        field = next((name for name, title in titles.items() if title == order["displayName"]), order["displayName"])
        rows.sort(key=lambda row: row.get(field, -1), reverse=order.get("desc", False))
    lines = int(inches(axes)[1] / LINE)
    widths = [
        max(SHORTEST, len(titles.get(column, column)), *(_letters(row.get(column, "")) for row in rows))
        for column in columns
    ]
    starts = [sum(widths[:place]) for place in range(len(columns))]
    axes.set_xlim(0, sum(widths))
    axes.set_ylim(lines, 0)
    for x, column in zip(starts, columns, strict=True):
        title = titles.get(column, column)
        axes.text(x + 0.3, 0.5, title, va="center", fontsize=8, color=FAINT, weight="bold")
        for y, row in enumerate(rows[: lines - 1], start=1):
            axes.axhline(y, color=EDGE, lw=0.6)
            _cell(axes, panel.override(title), row.get(column, ""), x, y)
    return None


def merged(answers: Sequence[Sequence[Series]]) -> list[Row]:
    """Rows of all frames; those that agree in all fields that they share become one."""
    rows: list[Row] = []
    for number, answer in enumerate(answers):
        field = f"Value #{chr(ord('A') + number)}" if len(answers) > 1 else "Value"
        for series in answer:
            new: Row = {**series.labels, field: series.values[-1]}
            old = next((row for row in rows if row.keys() & new.keys() and _agree(row, new)), None)
            if old is None:
                rows.append(new)
            else:
                old.update(new)
    return rows


def _letters(value: str | float) -> int:
    """How wide a cell is, in letters."""
    return len(value) if isinstance(value, str) else WIDTH_OF_NUMBERS


def _agree(one: Row, other: Row) -> bool:
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def _cell(axes: Axes, own: Mapping[str, Any], value: str | float, x: float, y: float) -> None:
    """One value, by what holds for its column."""
    if isinstance(value, str):
        color = TEXT
        for mapping in own.get("mappings", ()):
            color = NAMED[mapping["options"].get(value, {}).get("color", "text")]
        axes.text(x + 0.3, y + 0.5, value, va="center", fontsize=8, color=color)
        return
    words = text(value, own.get("unit", "none"), own.get("decimals"))
    if own.get("custom.cellOptions", {}).get("type") == "gauge":
        share = (value - own["min"]) / (own["max"] - own["min"])
        axes.add_patch(Rectangle((x + 0.3, y + 0.25), 5, 0.5, color=EDGE))
        axes.add_patch(Rectangle((x + 0.3, y + 0.25), 5 * share, 0.5, color=NAMED["green"]))
        axes.text(x + 5.6, y + 0.5, words, va="center", fontsize=8, color=TEXT)
    else:
        axes.text(x + 0.3, y + 0.5, words, va="center", fontsize=8, color=TEXT)
