"""A dashboard as one picture, laid out by its own grid."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from . import lines, tiles
from .colors import CARD, EDGE, FAINT, PAGE, TEXT
from .drawing import style
from .panel import Panel
from .prometheus import Prometheus, Series, Window
from .table import table
from .variables import choose

Draw = Callable[[Axes, Panel, Sequence[Sequence[Series]], Window], None]
DRAWN: Mapping[str, Draw] = {
    "timeseries": lines.timeseries,
    "heatmap": lines.heatmap,
    "stat": tiles.stat,
    "bargauge": tiles.bargauge,
    "barchart": tiles.barchart,
    "table": table,
}
"""By the type of the panel."""
Box = tuple[float, float, float, float]
"""Left, bottom, width, height."""

COLUMN, ROW, HEAD, GAP = 0.5, 0.34, 0.62, 0.05
"""Inches: a cell of the grid, the picture's head, the gap between panels."""
DOTS_PER_INCH = 130


class Page:
    """A picture that panels are put on. `rows`: how many cells of the grid it is high."""

    def __init__(self, rows: int) -> None:
        self._width, self._height = 24 * COLUMN, rows * ROW + HEAD
        self.figure = Figure(figsize=(self._width, self._height), dpi=DOTS_PER_INCH, facecolor=PAGE)

    def head(self, title: str, below: str) -> None:
        """The title, and what the picture is, in small print."""
        self._text(0.12, self._height - 0.24, title, fontsize=15, weight="bold")
        self._text(0.12, self._height - 0.48, below, fontsize=9, color=FAINT)

    def section(self, panel: Panel) -> None:
        """A row's title."""
        x, y, _, height = self._box(panel)
        self._text(x + 0.06, y + height / 2, f"⌄ {panel.title}", fontsize=11, weight="bold")

    def card(self, panel: Panel) -> Axes:
        """A panel's ground and title; what is drawn goes onto the axes."""
        x, y, width, height = self._box(panel)
        ground = Rectangle(
            (x, y), width, height, facecolor=CARD, edgecolor=EDGE, lw=0.8, zorder=-1, transform=self._inches()
        )
        self.figure.add_artist(ground)
        size = 8 if panel.kind == "stat" else 10
        self._text(x + 0.1, y + height - 0.16, panel.title, fontsize=size, weight="bold")
        left, right, bottom = (0.1, 0.1, 0.1) if panel.kind in ("stat", "bargauge", "table") else self._margins(panel)
        inside = (x + left, y + bottom, width - left - right, height - bottom - 0.36)
        axes = self.figure.add_axes(self._share(*inside))
        style(axes)
        return axes

    def _margins(self, panel: Panel) -> tuple[float, float, float]:
        if panel.kind == "barchart":
            return 0.6, 0.15, 0.85
        return (0.95, 0.2, 0.3) if panel.kind == "heatmap" else (0.75, 0.15, 0.6)

    def _box(self, panel: Panel) -> Box:
        grid = panel.grid
        top = self._height - HEAD - grid["y"] * ROW
        return (
            grid["x"] * COLUMN + GAP,
            top - grid["h"] * ROW + GAP,
            grid["w"] * COLUMN - 2 * GAP,
            grid["h"] * ROW - 2 * GAP,
        )

    def _share(self, x: float, y: float, width: float, height: float) -> Box:
        return x / self._width, y / self._height, width / self._width, height / self._height

    def _inches(self) -> Any:
        return self.figure.dpi_scale_trans

    def _text(self, x: float, y: float, words: str, **style: Any) -> None:
        self.figure.text(x, y, words, transform=self._inches(), va="center", **{"color": TEXT, **style})


def picture(
    dashboard: Mapping[str, Any], prometheus: Prometheus, window: Window, scrape_seconds: float, job: str = ""
) -> Figure:
    """A dashboard over a window. `job`: how the text of the training job begins that is shown."""
    variables = choose(dashboard, prometheus, window, job)
    panels = [Panel(document, variables) for document in dashboard["panels"]]
    page = Page(max(panel.grid["y"] + panel.grid["h"] for panel in panels))
    page.head(dashboard["title"], "Drawn with matplotlib from the dashboard's queries; not a screenshot of Grafana.")
    rate = max(window.step + scrape_seconds, 4 * scrape_seconds)  # as Grafana computes $__rate_interval
    for panel in panels:
        if panel.kind == "row":
            page.section(panel)
        else:
            DRAWN[panel.kind](page.card(panel), panel, panel.ask(prometheus, window, rate), window)
    return page.figure


def save(figure: Figure, path: Path) -> None:
    """As PNG, without a note of when and by which version, so that equal pictures are equal files."""
    figure.savefig(path, metadata={"Software": None})
