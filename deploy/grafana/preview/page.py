"""A dashboard as one picture, laid out by the dashboard's own grid of 24 columns."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from deploy.grafana.lint.queries import ANYTHING, expanded

from .drawing import DRAWN, EDGE, FAINT, TEXT, Json
from .prometheus import Prometheus, Series, Window

NOTE = "Drawn with matplotlib from the dashboard's queries; not a screenshot of Grafana."
COLUMN, ROW, HEAD, GAP = 0.5, 0.34, 0.62, 0.05
"""Inches: a cell of the grid, the head of the picture, the gap between panels."""
MARGINS = {"timeseries": (0.7, 0.15, 0.66), "heatmap": (0.95, 0.2, 0.3), "barchart": (0.6, 0.15, 0.85)}
"""Inches left, right and below of the axes, by type of the panel."""


@rc_context({"date.autoformatter.minute": "%H:%M", "date.autoformatter.second": "%H:%M:%S"})
def picture(dashboard: Json, prometheus: Prometheus, window: Window, scrape_seconds: float, job: str = "") -> Figure:
    """Draw a dashboard over a window. The display name of the training job that is shown begins with `job`."""
    values, texts = variables(prometheus, window, scrape_seconds, job)
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) * ROW + HEAD
    figure = Figure(figsize=(24 * COLUMN, height), dpi=130, facecolor="#f4f5f5")

    def write(x: float, y: float, text: str, **style: Any) -> None:
        figure.text(x, y, text, transform=figure.dpi_scale_trans, va="center", **{"color": TEXT, **style})

    write(0.12, height - 0.24, dashboard["title"], fontsize=15, weight="bold")
    write(0.12, height - 0.48, NOTE, fontsize=9, color=FAINT)
    for panel in dashboard["panels"]:
        grid, kind, title = panel["gridPos"], panel["type"], expanded(panel["title"], texts)
        x, wide, high = grid["x"] * COLUMN + GAP, grid["w"] * COLUMN - 2 * GAP, grid["h"] * ROW - 2 * GAP
        y = height - HEAD - (grid["y"] + grid["h"]) * ROW + GAP
        if kind == "row":
            write(x + 0.06, y + high / 2, f"⌄ {title}", fontsize=11, weight="bold")
            continue
        card = Rectangle((x, y), wide, high, facecolor="white", edgecolor=EDGE, zorder=-1)
        card.set_transform(figure.dpi_scale_trans)
        figure.add_artist(card)
        write(x + 0.1, y + high - 0.16, title, fontsize=8 if kind == "stat" else 10, weight="bold")
        left, right, bottom = MARGINS.get(kind, (0.1, 0.1, 0.1))
        size = (wide - left - right) / (24 * COLUMN), (high - bottom - 0.36) / height
        axes = figure.add_axes(((x + left) / (24 * COLUMN), (y + bottom) / height, *size))
        axes.set_axisbelow(True)
        axes.grid(axis="y", color=EDGE, lw=0.6)
        axes.tick_params(labelsize=8, colors=FAINT, length=0)
        axes.spines[:].set_visible(False)
        DRAWN[kind](axes, panel, ask(panel, prometheus, window, values), window)
    return figure


def variables(
    prometheus: Prometheus, window: Window, scrape_seconds: float, job: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values of the dashboards' variables for queries and their texts for titles."""
    seconds = window.end - window.start
    rate = max(window.step + scrape_seconds, 4 * scrape_seconds)  # as Grafana computes $__rate_interval
    values = {**ANYTHING, "__range": f"{seconds:.0f}s", "__rate_interval": f"{rate:.0f}s"}
    jobs = prometheus.ask(f"last_over_time(raydient_job_info[{seconds:.0f}s])", window, instant=True)
    shown = next((one.labels for one in jobs if one.labels["display_name"].startswith(job)), None)
    if shown is None:
        return values, {"training_job": "no job"}
    name, number = shown["display_name"], shown["training_job"]
    return {**values, "training_job": number}, {"training_job": f"{name} · {number}"}


def ask(panel: Json, prometheus: Prometheus, window: Window, values: Mapping[str, str]) -> list[list[Series]]:
    """Return the series of each query of a panel, named by its legend."""
    answers = []
    for target in panel["targets"]:
        legend = target.get("legendFormat", "").replace("{{", "{").replace("}}", "}")
        answer = prometheus.ask(expanded(target["expr"], values), window, instant=target.get("instant", False))
        answers.append([replace(one, name=legend.format_map(defaultdict(str, one.labels))) for one in answer])
    return answers
