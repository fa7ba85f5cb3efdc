"""What all drawn panels share."""

import time

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from .colors import EDGE, FAINT
from .prometheus import Window

TICK_MINUTES = (1, 2, 5, 10, 30, 60, 180, 360, 720, 1440)
MOST_TICKS = 7


def style(axes: Axes) -> None:
    """Faint lines across, no box."""
    axes.grid(visible=True, axis="y", color=EDGE, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=FAINT, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def time_axis(axes: Axes, window: Window) -> None:
    """Time from left to right, of the window."""
    span = window.end - window.start
    every = next((minutes for minutes in TICK_MINUTES if span / 60 / minutes < MOST_TICKS), TICK_MINUTES[-1]) * 60.0
    first = -(-window.start // every) * every
    axes.set_xticks(np.arange(first, window.end, every))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: time.strftime("%H:%M", time.localtime(seconds))))
    axes.set_xlim(window.start, window.end)


def nothing(axes: Axes, words: str = "no data") -> None:
    """Where no query brought anything."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=FAINT, fontsize=11)


def inches(axes: Axes) -> tuple[float, float]:
    """Width and height of what is drawn on."""
    extent = axes.get_window_extent()
    return extent.width / axes.figure.dpi, extent.height / axes.figure.dpi
