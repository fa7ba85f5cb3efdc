"""Drawing one panel onto matplotlib axes, by the panel's type."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateFormatter, AutoDateLocator
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, MultipleLocator
from matplotlib.transforms import Bbox

from .prometheus import Series, Window

Json = Mapping[str, Any]
Answers = Sequence[Sequence[Series]]
"""The series of each query of a panel, in the order of the queries."""

TEXT, FAINT, EDGE = "#24292e", "#6e7781", "#d8dade"
COLORS = {"green": "#56a64b", "dark-green": "#19730e", "yellow": "#d9a400", "orange": "#ff780a", "red": "#e02f44"}
COLORS |= {"blue": "#3274d9", "purple": "#a352cc", "gray": "#8e8e8e", "text": TEXT, "transparent": "none"}
PALETTE = ("#56a64b", "#f2cc0c", "#3274d9", "#ff780a", "#e02f44", "#1f60c4", "#a352cc", "#6ed0e0", "#705da0", "#508642")
SCALES = {"percentunit": {"%": 0.01}, "reqps": {"req/s": 1.0}, "cps": {"c/s": 1.0, "K c/s": 1e3, "M c/s": 1e6}}
SCALES |= {"s": {"s": 1.0, "µs": 1e-6, "ms": 1e-3, "min": 60.0, "h": 3600.0}}
SCALES |= {"bytes": {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}}
SCALES |= {"Bps": {"B/s": 1.0, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9}}
"""Sizes of the multiples of each unit, as Grafana has them; the first is for values smaller than all of them."""


def words(value: float, defaults: Json) -> str:
    """Return a value in words: the text that the panel maps its range to, else the value with its unit."""
    for mapping in defaults.get("mappings", ()):
        bounds = mapping["options"]
        if mapping["type"] == "range" and bounds["from"] <= value <= bounds["to"]:
            return str(bounds["result"]["text"])
    unit, decimals = defaults.get("unit"), defaults.get("decimals")
    if unit in SCALES and math.isfinite(value):
        sizes = SCALES[unit]
        name = max((n for n in sizes if sizes[n] <= abs(value)), key=lambda n: sizes[n], default=next(iter(sizes)))
        scaled = value / sizes[name]
        return f"{scaled:.{3 if abs(scaled) < 1000 else 4}g} {name}"
    if decimals is not None:
        return f"{value:.{decimals}{'e' if unit == 'sci' else 'f'}}"
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.3g}"


def threshold_color(value: float, defaults: Json) -> str:
    """Return the colour of the last threshold that a value reaches."""
    steps = defaults.get("thresholds", {}).get("steps", ())
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return COLORS[reached[-1] if reached else "text"]


def override(panel: Json, name: str, field: str, otherwise: Any) -> Any:
    """Return a property that a panel sets for the series or column of one name alone."""
    matching = [o for o in panel["fieldConfig"].get("overrides", ()) if o["matcher"]["options"] == name]
    return next((p["value"] for o in matching for p in o["properties"] if p["id"] == field), otherwise)


def series_color(panel: Json, name: str, otherwise: str) -> str:
    """Return the fixed colour that a panel gives a series, else another one."""
    own = override(panel, name, "color", None)
    return COLORS[own["fixedColor"]] if own else otherwise


def timeseries(axes: Axes, panel: Json, answers: Answers, window: Window) -> None:
    """Draw lines, stairs, stacked areas or bars over time, with their legend below."""
    shown = [one for answer in answers for one in answer if np.isfinite(one.values).any()]
    defaults, custom = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["defaults"].get("custom", {})
    log = custom.get("scaleDistribution", {}).get("type") == "log"
    values = pd.DataFrame({place: one.values for place, one in enumerate(shown)}, index=window.clock)
    values = values.where(values > 0) if log else values
    if not values.notna().any(axis=None):
        return nothing(axes, defaults.get("noValue", "no data"))
    colors = [series_color(panel, one.name, PALETTE[place % len(PALETTE)]) for place, one in enumerate(shown)]
    if custom.get("stacking", {}).get("mode") == "normal":
        axes.stackplot(values.index, values.fillna(0).T, colors=colors, alpha=0.75)
    elif custom.get("drawStyle") == "bars":
        heights = values.fillna(0)
        for place, below in (heights.cumsum(axis=1) - heights).items():
            axes.bar(values.index, heights[place], window.step / 86400, below, color=colors[place])
    else:
        style = "steps-post" if custom.get("lineInterpolation") == "stepAfter" else "default"
        for place, color in enumerate(colors):
            axes.plot(values[place], color=color, lw=1.6, ds=style)
    if custom.get("thresholdsStyle", {}).get("mode") == "dashed":
        for step in defaults["thresholds"]["steps"][1:]:
            axes.axhline(step["value"], color=COLORS[step["color"]], ls="--", lw=1)
    _axes(axes, defaults, log=log)
    axes.set_xlim(values.index[0], values.index[-1])
    times = AutoDateLocator(minticks=2, maxticks=panel["gridPos"]["w"] // 2)  # as many texts as have room
    axes.xaxis.set_major_locator(times)
    axes.xaxis.set_major_formatter(AutoDateFormatter(times))
    columns = int(8.5 * panel["gridPos"]["w"] - 14) // (max(len(one.name) for one in shown) + 6) or 1  # by letters
    handles = [axes.plot([], [], color=color, lw=3)[0] for color in colors[: 2 * columns]]
    below = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.12), "ncols": columns}
    names = [one.name for one in shown[: 2 * columns]]
    axes.legend(handles, names, frameon=False, fontsize=7, handlelength=1, columnspacing=1, labelcolor=TEXT, **below)
    return None


def heatmap(axes: Axes, panel: Json, answers: Answers, window: Window) -> None:
    """Draw a row of cells for each series, the first one lowest, and the scale of the colours beside it."""
    shown, color = [one for answer in answers for one in answer], panel["options"]["color"]
    if not shown:
        return nothing(axes)
    scale = {"cmap": colormaps[color["scheme"].lower()], "vmin": color["min"], "vmax": color["max"]}
    values = np.ma.masked_invalid([one.values for one in shown])
    cells = axes.pcolormesh(window.clock, np.arange(len(shown)), values, shading="nearest", **scale)
    axes.grid(visible=False)
    axes.set_yticks(range(len(shown)), [one.name for one in shown])
    bar = axes.figure.colorbar(cells, ax=axes, pad=0.015, fraction=0.035)
    return bar.ax.tick_params(labelsize=8, colors=FAINT, length=0)


def numbers(axes: Axes, panel: Json, answers: Answers, window: Window) -> None:
    """Draw the newest value of each series, or its name, in large print, one below the other."""
    shown = [(one.name, one.newest) for answer in answers for one in answer if one.newest is not None]
    defaults, options = panel["fieldConfig"]["defaults"], panel["options"]
    nothing(axes, "" if shown else defaults.get("noValue", "no data"))
    for place, (name, value) in enumerate(shown):
        color = series_color(panel, name, threshold_color(value, defaults))
        text = name if options.get("textMode") == "name" else words(value, defaults)
        style: dict[str, Any] = {"color": color}
        if options.get("colorMode", "").startswith("background"):
            style = {"color": "white", "bbox": {"facecolor": color, "edgecolor": color, "boxstyle": "round"}}
        size = min(20, 82 * axes.get_window_extent().width / axes.figure.dpi / max(4, len(text)))
        middle = 1 - (place + 0.5) / len(shown)
        axes.text(0.5, middle, text, ha="center", va="center", fontsize=size, weight="bold", **style)


def barchart(axes: Axes, panel: Json, answers: Answers, window: Window) -> None:
    """Draw the newest value of each row as a bar, over powers of ten, coloured by the thresholds."""
    field, defaults = panel["options"]["xField"], panel["fieldConfig"]["defaults"]
    bars = {one.labels[field]: one.newest for answer in answers for one in answer if one.newest is not None}
    if not bars:
        return nothing(axes)
    names = sorted(bars)
    _axes(axes, defaults, log=True)
    axes.set_ylim(defaults["min"], defaults["max"] * 4)
    drawn = axes.bar(names, [bars[n] for n in names], color=[threshold_color(bars[n], defaults) for n in names])
    axes.bar_label(drawn, [words(bars[n], defaults) for n in names], fontsize=7)
    return axes.tick_params(axis="x", rotation=45)


def table(axes: Axes, panel: Json, answers: Answers, window: Window) -> None:
    """Draw the rows of all queries, joined by common labels, as far as there is room."""
    layout = next(t["options"] for t in panel["transformations"] if t["id"] == "organize")
    rows = joined(answers)
    nothing(axes, panel["fieldConfig"]["defaults"].get("noValue", "no data") if rows.empty else "")
    if rows.empty:
        return
    ordered = sorted((name for name in layout["renameByName"] if name in rows), key=layout["indexByName"].get)
    rows = rows[ordered].rename(columns=layout["renameByName"])
    for order in panel["options"].get("sortBy") or ():
        rows = rows.sort_values(order["displayName"], ascending=not order["desc"], kind="stable")
    room = round(axes.get_window_extent().height / axes.figure.dpi / 0.25)
    rows = rows.head(room - 1)
    units = {title: {"unit": override(panel, title, "unit", "none")} for title in rows}
    cells = [["" if pd.isna(v) else v if isinstance(v, str) else words(v, units[t]) for v in rows[t]] for t in rows]
    letters = [max(map(len, (title, *column))) + 2 for title, column in zip(rows, cells, strict=True)]
    drawn = axes.table(
        list(zip(*cells, strict=True)),
        colLabels=list(rows),
        colWidths=[share / sum(letters) for share in letters],
        cellLoc="left",
        colLoc="left",
        edges="horizontal",
        bbox=Bbox.from_bounds(0, 1 - (len(rows) + 1) / room, 1, (len(rows) + 1) / room),
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(7)
    for cell in drawn.get_celld().values():
        cell.set_edgecolor(EDGE)


def joined(answers: Answers) -> pd.DataFrame:
    """Return one frame of all answers: a column for each label and, named `Value #A` and so on, for each query."""
    frames = [
        pd.DataFrame([{**one.labels, f"Value #{letter}": one.values[-1]} for one in answer])
        for letter, answer in zip("ABCDEFGH", answers, strict=False)
        if answer
    ]
    return reduce(lambda left, right: left.merge(right, how="outer"), frames) if frames else pd.DataFrame()


def nothing(axes: Axes, text: str = "no data") -> None:
    """Hide the axes and write a text in their middle."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=FAINT)


def _axes(axes: Axes, defaults: Json, *, log: bool) -> None:
    if log:
        axes.set_yscale("log", subs=[])
        return
    low, high = defaults.get("min"), defaults.get("max")
    axes.set_ylim(low, high if high is not None or axes.dataLim.y1 > 0 else 1)
    locator: Locator = MaxNLocator(5, integer=defaults.get("decimals") == 0)
    if defaults.get("unit") == "bytes" and axes.dataLim.y1 > 0:
        locator = MultipleLocator(2.0 ** math.ceil(math.log2(axes.dataLim.y1 / 5)))
    axes.yaxis.set_major_locator(locator)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words(float(value), defaults)))


DRAWN: Mapping[str, Callable[[Axes, Json, Answers, Window], None]] = {
    "timeseries": timeseries,
    "heatmap": heatmap,
    "stat": numbers,
    "bargauge": numbers,
    "barchart": barchart,
    "table": table,
}
"""The function for each type of panel."""
