"""Drawing panels that show how things stand at the end: numbers, gauges, bars by layer."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator

from .colors import EDGE, FAINT, NAMED, TEXT, of_value
from .drawing import inches, nothing
from .panel import Panel, flat
from .prometheus import Series, Window
from .units import text


def stat(axes: Axes, panel: Panel, answers: Sequence[Sequence[Series]], window: Window) -> None:
    """Large print, one below the other where there is more than one value."""
    axes.set_axis_off()
    found = [(one, one.newest) for one in flat(answers) if one.newest is not None]
    if not found:
        return nothing(axes, panel.defaults.get("noValue", "no data"))
    names_only = panel.options.get("textMode") == "name"
    ground = panel.options.get("colorMode", "").startswith("background")
    height, width = 1 / len(found), inches(axes)[0]
    for place, (one, value) in enumerate(found):
        own = panel.override(one.name).get("color")
        color = NAMED[own["fixedColor"]] if own else of_value(panel, value)
        middle = 1 - (place + 0.5) * height
        if ground:
            axes.add_patch(Rectangle((0, middle - height / 2), 1, height * 0.97, color=color, transform=axes.transAxes))
        words = one.name if names_only else in_words(panel, value)
        size = min(22.0, 82 * width / max(1, len(words)))
        axes.text(
            *(0.5, middle, words),
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=size,
            weight="bold",
            color="white" if ground else color,
        )
    return None


def in_words(panel: Panel, value: float) -> str:
    """What the panel maps a value to, or the value."""
    for mapping in panel.defaults.get("mappings", ()):
        bounds = mapping["options"]
        if mapping["type"] == "range" and bounds["from"] <= value <= bounds["to"]:
            return str(bounds["result"]["text"])
    return text(value, panel.unit, panel.defaults.get("decimals"))


def bargauge(axes: Axes, panel: Panel, answers: Sequence[Sequence[Series]], window: Window) -> None:
    """A bar from minimum to maximum for each series."""
    axes.set_axis_off()
    found = [(one, one.newest) for one in flat(answers) if one.newest is not None]
    if not found:
        return nothing(axes)
    low, high = panel.defaults.get("min", 0.0), panel.defaults.get("max", 1.0)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(found), 0)
    for place, (_, value) in enumerate(found):
        share = (value - low) / (high - low)
        axes.add_patch(Rectangle((0, place + 0.3), 0.72, 0.4, color=EDGE))
        axes.add_patch(Rectangle((0, place + 0.3), 0.72 * min(max(share, 0.0), 1.0), 0.4, color=of_value(panel, value)))
        words = text(value, panel.unit, panel.defaults.get("decimals"))
        axes.text(0.98, place + 0.5, words, ha="right", va="center", fontsize=15, weight="bold", color=TEXT)
    return None


def barchart(axes: Axes, panel: Panel, answers: Sequence[Sequence[Series]], window: Window) -> None:
    """A bar for each row, named by the field on the horizontal axis, coloured by its value."""
    found = [(one.labels.get(panel.options["xField"], ""), one.newest) for one in flat(answers)]
    bars = sorted((name, value) for name, value in found if value is not None)
    if not bars:
        return nothing(axes)
    names, values = [name for name, _ in bars], np.array([value for _, value in bars])
    bottom = panel.defaults.get("min", 0.0)
    if panel.log_scale:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(10, numticks=10))
        axes.minorticks_off()
    places = np.arange(len(bars))
    colors = [of_value(panel, value) for value in values]
    axes.bar(places, np.maximum(values, bottom) - bottom, bottom=bottom, color=colors, width=0.8)
    axes.set_xlim(-0.6, len(bars) - 0.4)
    top = panel.defaults.get("max")
    if top is not None:
        axes.set_ylim(bottom, top * 4 if panel.log_scale else top * 1.1)
    for place, value in zip(places.tolist(), values.tolist(), strict=True):
        words = text(value, panel.unit, panel.defaults.get("decimals"))
        axes.text(place, max(value, bottom) * 1.2, words, ha="center", va="bottom", fontsize=8, color=TEXT)
    turn = -panel.options.get("xTickLabelRotation", 0)
    axes.set_xticks(places, names, rotation=turn, ha="right" if turn else "center", rotation_mode="anchor")
    axes.tick_params(axis="x", labelcolor=TEXT)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value, panel.unit, 0)))
    axes.yaxis.label.set_color(FAINT)
    return None
