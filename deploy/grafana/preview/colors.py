"""Grafana's colours on a white ground, by name."""

from collections.abc import Sequence

from .panel import Panel
from .prometheus import Series

PAGE, CARD, EDGE, TEXT, FAINT = "#f4f5f5", "#ffffff", "#d8dade", "#24292e", "#6e7781"
NAMED = {
    "green": "#56a64b",
    "dark-green": "#19730e",
    "yellow": "#d9a400",
    "orange": "#ff780a",
    "red": "#e02f44",
    "blue": "#3274d9",
    "purple": "#a352cc",
    "gray": "#8e8e8e",
    "text": TEXT,
    "transparent": "none",
}
PALETTE = (
    *("#56a64b", "#f2cc0c", "#3274d9", "#ff780a", "#e02f44", "#1f60c4", "#a352cc", "#6ed0e0"),
    *("#705da0", "#508642", "#cca300", "#447ebc", "#c15c17", "#890f02", "#0a437c", "#6d1f62"),
)


def of_series(panel: Panel, series: Sequence[Series]) -> list[str]:
    """One colour for each: the panel's own for its name, else the next of the palette."""
    found = []
    for place, one in enumerate(series):
        own = panel.override(one.name).get("color")
        found.append(NAMED[own["fixedColor"]] if own else PALETTE[place % len(PALETTE)])
    return found


def of_value(panel: Panel, value: float) -> str:
    """By the panel's thresholds."""
    return NAMED[panel.threshold_color(value)]
