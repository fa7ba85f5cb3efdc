"""The shard: a range of the weight vector, which it updates, and measures when asked to.

There is one shard, which holds the whole vector.
"""

from collections.abc import Mapping

import numpy as np

from raydient.steps.arrays import Vector
from raydient.steps.gradient import Gradient
from raydient.steps.layout import Layout, Learned
from raydient.steps.measurements import GradientHealth
from raydient.steps.tree import Node, tree_sum

from .health import LayerMeter
from .update import Updater


class Shard:
    """Updates the weights step by step. For one thread.

    Contributions are gradients by nodes of the reduction tree that together hold each leaf of `root` once. They are
    left as they are.

    Attributes:
        health: the gradient health measured last, or that of the step at which training diverged; None before the first
            measurement.
        learning_rate: learning rate of the last update; 0 before the first.
    """

    def __init__(self, layout: Layout, updater: Updater, meter: LayerMeter) -> None:
        self._layout, self._updater, self._meter = layout, updater, meter
        self.health: GradientHealth | None = None
        self.learning_rate = 0.0

    def update(self, step: int, contributions: Mapping[Node, Gradient], root: Node, *, measures: bool) -> float:
        """Make update number `step`, counted from 0, and return the squared norm of the gradient.

        It is not finite if a value of the gradient is not; then the update may be half made. `measures`: measure
        gradient health.
        """
        meter = self._meter if measures else None
        self.learning_rate = self._updater.rule.learning_rate(step)
        square = self._updater.apply(step, contributions, root, meter)
        if meter is not None:
            self.health = meter.read(step + 1, _active(contributions, root), updated=True)
        return square

    def examine(self, step: int, contributions: Mapping[Node, Gradient], root: Node, *, measures: bool) -> None:
        """Measure the step that ends training: its gradient alone, because the update may be half made.

        `measures`: workers have counted the active units.
        """
        with np.errstate(all="ignore"):
            total = tree_sum({node: gradient.vector for node, gradient in contributions.items()}, root)
        self._meter.add_gradient(0, total)
        active = _active(contributions, root) if measures else None
        self.health = self._meter.read(step + 1, active, updated=False)

    def suspect(self, contributions: Mapping[Node, Gradient], root: Node) -> tuple[str, bool]:
        """Return the parameter that is named if training diverges, and True if the whole gradient is finite.

        It is the parameter nearest to the loss whose gradient is not finite, else the one with the largest gradient.
        """
        largest, suspect = -1.0, ""
        for parameter in reversed(self._layout.parameters):
            views = {node: parameter.view(gradient.vector) for node, gradient in contributions.items()}
            with np.errstate(all="ignore"):
                total = tree_sum(views, root)
            if not np.isfinite(total).all():
                return parameter.name, False
            norm = float(np.linalg.norm(total.astype(np.float64)))
            if isinstance(parameter.kind, Learned) and norm > largest:
                largest, suspect = norm, parameter.name
        return suspect, True


def _active(contributions: Mapping[Node, Gradient], root: Node) -> Vector:
    """Return in how many leaves each unit was active."""
    return tree_sum({node: gradient.active for node, gradient in contributions.items()}, root)
