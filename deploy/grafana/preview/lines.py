"""Drawing panels whose horizontal axis is time: lines, stacks, bars, heat maps."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from .colors import FAINT, NAMED, TEXT, of_series
from .drawing import inches, nothing, time_axis
from .panel import Panel, flat
from .prometheus import Floats, Series, Window
from .units import scale, text

LETTER, KEY_LETTERS, MOST_ROWS = 0.075, 5, 2
"""Inches that a letter of a legend is wide, the letters that its line and gaps are wide, and rows that have room."""


def timeseries(axes: Axes, panel: Panel, answers: Sequence[Sequence[Series]], window: Window) -> None:
    """Lines with their legend below."""
    series = [one for one in flat(answers) if np.isfinite(one.values).any()]
    colors = of_series(panel, series)
    time_axis(axes, window)
    if not series:
        nothing(axes)
        return
    values = np.array([one.values for one in series])
    if panel.log_scale:
        values = np.where(values > 0, values, np.nan)
        if not np.isfinite(values).any():
            nothing(axes, "nothing above zero")
            return
    if panel.custom.get("stacking", {}).get("mode") == "normal":
        _stack(axes, window, values, colors)
    elif panel.custom.get("drawStyle") == "bars":
        _bars(axes, window, values, colors)
    else:
        style = "steps-post" if panel.custom.get("lineInterpolation") == "stepAfter" else "default"
        for line, color in zip(values, colors, strict=True):
            alone = np.isfinite(line).sum() == 1
            axes.plot(window.times, line, color=color, lw=1.6, ds=style, marker="." if alone else None)
    _value_axis(axes, panel)
    _thresholds(axes, panel)
    _legend(axes, [one.name for one in series], colors)


def _stack(axes: Axes, window: Window, values: Floats, colors: Sequence[str]) -> None:
    shown = np.isfinite(values).any(axis=0)
    filled = np.where(shown, np.nan_to_num(values), np.nan)
    axes.stackplot(window.times, filled, colors=colors, alpha=0.75, lw=0)


def _bars(axes: Axes, window: Window, values: Floats, colors: Sequence[str]) -> None:
    width = window.step / len(values)
    for place, (line, color) in enumerate(zip(np.nan_to_num(values), colors, strict=True)):
        axes.bar(window.times + place * width, line, width=width, color=color, align="edge")


def heatmap(axes: Axes, panel: Panel, answers: Sequence[Sequence[Series]], window: Window) -> None:
    """A row for each series, the first one lowest, and the colours' scale beside it."""
    series = flat(answers)
    time_axis(axes, window)
    if not series:
        nothing(axes)
        return
    values = np.array([one.values for one in series])
    times, half = window.times, window.step / 2
    color = panel.options["color"]
    low, high = color.get("min", np.nanmin(values)), color.get("max", np.nanmax(values))
    cells = axes.pcolormesh(
        np.append(times - half, times[-1] + half),
        np.arange(len(series) + 1),
        np.ma.masked_invalid(values),
        cmap=colormaps[color["scheme"].lower()],
        vmin=low,
        vmax=high,
    )
    axes.hlines(range(1, len(series)), window.start, window.end, color="white", lw=1)
    axes.set_yticks(np.arange(len(series)) + 0.5, [one.name for one in series])
    axes.set_ylim(0, len(series))
    axes.grid(visible=False)
    bar = axes.figure.colorbar(cells, ax=axes, pad=0.015, fraction=0.035)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=FAINT, length=0)


def _value_axis(axes: Axes, panel: Panel) -> None:
    if panel.log_scale:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(10, numticks=7))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
    else:
        top = axes.dataLim.y1
        low, high = panel.defaults.get("min"), panel.defaults.get("max")
        if low is not None:
            axes.set_ylim(bottom=low, top=low + (top - low) * 1.08 if top > low else low + 1)
        if high is not None:
            axes.set_ylim(top=high)
        whole = panel.defaults.get("decimals") == 0
        size = scale(axes.get_ylim()[1], panel.unit)
        bottom, top = (limit / size for limit in axes.get_ylim())
        ticks = MaxNLocator(5, integer=whole).tick_values(bottom, top)
        axes.set_yticks([tick * size for tick in ticks if bottom <= tick <= top])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value, panel.unit)))


def _thresholds(axes: Axes, panel: Panel) -> None:
    if panel.custom.get("thresholdsStyle", {}).get("mode") != "dashed":
        return
    low, high = axes.get_ylim()
    for value, color in panel.thresholds:
        if np.isfinite(value):
            axes.axhline(value, color=NAMED[color], ls="--", lw=1)
            low, high = min(low, value / 2), max(high, value * 2)
    axes.set_ylim(low, high)


def _legend(axes: Axes, names: Sequence[str], colors: Sequence[str]) -> None:
    handles = [axes.plot([], [], color=color, lw=3)[0] for color in colors]
    rows = -(-sum(len(name) + KEY_LETTERS for name in names) * LETTER // inches(axes)[0])
    columns = -(-len(names) // min(max(1, int(rows)), MOST_ROWS))
    axes.legend(
        *(handles, names),
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.22 / inches(axes)[1]),
        ncols=columns,
        frameon=False,
        fontsize=8,
        labelcolor=TEXT,
        handlelength=1,
        columnspacing=1.2,
        borderaxespad=0,
    )
