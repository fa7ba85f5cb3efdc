"""The curves of a job: metrics by split over the epochs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .extras import importing
from .notebook import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

LAST_EPOCHS = 10
"""Epochs that a notebook shows."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value: of a metric (`loss`, `accuracy`), of a split (`train`, `test`), at the end of an epoch (from 1)."""

    name: str
    split: str
    epoch: int
    step: int
    value: float


class History:
    """The metrics at the end of each completed epoch.

    Attributes:
        points: every value, by epoch.
    """

    def __init__(self, points: Iterable[Point]) -> None:
        self.points = tuple(points)

    def __repr__(self) -> str:
        if not self.points:
            return "<History: no epoch is complete yet>"
        last = max(point.epoch for point in self.points)
        values = ", ".join(f"{p.split} {p.name} {p.value:.4g}" for p in self.points if p.epoch == last)
        return f"<History up to epoch {last}: {values}>"

    def _repr_html_(self) -> str:
        """The last epochs, one row each."""
        curves = list(dict.fromkeys((point.split, point.name) for point in self.points))
        values = {(p.split, p.name, p.epoch): f"{p.value:.4g}" for p in self.points}
        epochs = sorted({point.epoch for point in self.points})
        rows = [[str(e), *(values.get((*curve, e), "") for curve in curves)] for e in epochs[-LAST_EPOCHS:]]
        caption = f"History of {len(epochs)} epochs" if len(epochs) != 1 else "History of 1 epoch"
        return table(["epoch", *(f"{split} {name}" for split, name in curves)], rows, caption)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in order of appearance."""
        return tuple(dict.fromkeys(point.name for point in self.points))

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order of appearance."""
        return tuple(dict.fromkeys(point.split for point in self.points))

    def curve(self, name: str = "loss", split: str = "train") -> tuple[list[int], list[float]]:
        """Epochs and values of one metric on one split; both empty if it was not measured on that split.

        Raises:
            ValueError: epochs are complete, and none has a metric or a split of this name.
        """
        for what, asked, known in (("metric", name, self.metrics), ("split", split, self.splits)):
            if known and asked not in known:
                raise ValueError(f"there is no {what} {asked!r} in the history; there are: {', '.join(known)}")
        points = [point for point in self.points if (point.name, point.split) == (name, split)]
        return [point.epoch for point in points], [point.value for point in points]

    def to_pandas(self) -> "DataFrame":
        """A table with one row per epoch and one column per curve (`train_loss`, `test_loss`, ...).

        Raises:
            MissingExtra: pandas is not installed.
        """
        with importing("A table of the history", "plot"):
            import pandas as pd
        curves = {
            f"{split}_{name}": pd.Series(values, index=epochs, dtype="float64")
            for name in self.metrics
            for split in self.splits
            for epochs, values in [self.curve(name, split)]
            if epochs
        }
        return pd.DataFrame(curves).rename_axis("epoch")

    def plot(self, name: str = "loss", axes: "Axes | None" = None) -> "Axes":
        """Draw a metric over the epochs, one line per split.

        Raises:
            MissingExtra: matplotlib is not installed.
            ValueError: epochs are complete, and none has a metric of this name.
        """
        if axes is None:
            with importing("A plot of the history", "plot"):
                from matplotlib import pyplot as plt
            _, axes = plt.subplots(layout="constrained")
        for split in self.splits:
            epochs, values = self.curve(name, split)
            if epochs:
                axes.plot(epochs, values, label=split, marker="." if len(epochs) == 1 else "")
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.legend()
        return axes
