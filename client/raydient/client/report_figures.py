"""Figures of a report as SVG elements, whose colours are those of the page."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raydient.spec.printable import printable

from .extras import importing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {"#010203": "var(--ink)", "#010204": "var(--faint)", "#010205": "var(--rule)"}
COLORS |= {"#010206": "var(--train)", "#010207": "var(--test)"}
INK, FAINT, RULE, TRAIN, TEST = COLORS
"""Colours that stand for variables of the page, light or dark."""
SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names from outside may have dollar signs
    "font.size": 9,
    "axes.edgecolor": RULE,
    "axes.labelcolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
    "lines.linewidth": 1.6,
}
"""Settings of matplotlib."""
LOGARITHMIC = 30
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""
MOST_EPOCHS = 1000
"""Maximum number of points of a drawn curve."""


def curves(metric: str, parts: Sequence[Mapping[str, Any]]) -> str:
    """The curves of a metric over the epochs, one of each part; `parts` are items of `Report.content["curves"]`."""

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

        values = [value for part in parts for value in part["values"]]
        for part in parts:
            step = max(1, -(-len(part["epochs"]) // MOST_EPOCHS))
            marker = "o" if len(part["epochs"]) == 1 else ""
            color = TEST if part["split"] == "test" else TRAIN
            axes.plot(part["epochs"][::step], part["values"][::step], color=color, marker=marker, markersize=4)
        if min(values) > 0 and max(values) > LOGARITHMIC * min(values):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    return _figure(f"{metric} over the epochs", (4.6, 2.5), draw, hash_salt=f"curve {metric}")


def predictions(name: str, points: Mapping[str, Sequence[float]]) -> str:
    """Predictions over labels, with the line where both are equal."""

    def draw(axes: "Axes") -> None:
        labels, predicted = points["labels"], points["predictions"]
        ends = [min(*labels, *predicted), max(*labels, *predicted)] if len(labels) > 1 else [labels[0], labels[0]]
        axes.plot(ends, ends, color=FAINT, linewidth=1, linestyle="--")
        axes.plot(labels, predicted, color=TRAIN, marker="o", linestyle="", markersize=3, alpha=0.45, markeredgewidth=0)
        axes.set_xlabel("label")
        axes.set_ylabel("prediction")

    return _figure(f"predictions of {name} over labels", (4.6, 3.4), draw, hash_salt=f"predictions {name}")


def residuals(name: str, points: Mapping[str, Sequence[float]]) -> str:
    """A histogram of the differences prediction - label."""

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator

        values = [p - y for p, y in zip(points["predictions"], points["labels"], strict=True)]
        axes.xaxis.set_major_locator(MaxNLocator(5))  # room for long numbers
        axes.hist(values, bins=min(40, max(5, round(len(values) ** 0.5))), color=TRAIN, alpha=0.7)
        axes.axvline(0, color=FAINT, linewidth=1, linestyle="--")
        axes.set_xlabel("prediction - label")
        axes.set_ylabel("values")

    return _figure(f"residuals of {name}", (4.6, 3.4), draw, hash_salt=f"residuals {name}")


def _figure(what: str, inches: tuple[float, float], draw: Any, *, hash_salt: str) -> str:
    """An SVG element with an accessible name. Figures of one page have unlike salts, so that no id occurs twice."""
    from html import escape

    with importing("A report as a page", "plot"):
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    with rc_context({**SETTINGS, "svg.hashsalt": hash_salt}):
        figure = Figure(figsize=inches, layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        axes.set_axisbelow(True)
        draw(axes)
        svg = _svg(figure)
    for color, variable in COLORS.items():
        svg = svg.replace(color, variable)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(printable(what))}" ', 1)


def _svg(figure: "Figure") -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)  # the page decides
    return re.sub(r' id="(?![mp][0-9a-f]{10}")[^"]*"', "", text)  # names of groups, which other figures have too
