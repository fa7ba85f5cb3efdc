"""Gradient health: what a parameter server measures of a step, layer by layer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerHealth:
    """One layer at a measured step. Gradients are aggregated: of the whole batch.

    Attributes:
        layer: its name in the network.
        gradient_norm: Euclidean norm of the gradient by all its parameters; None if it has none.
        update_ratio: Euclidean norm of the update over that of the weights before it: 0 if nothing changed, infinite if
            the weights were all zero. None without parameters and where the step was not completed.
        non_finite_values: values of the gradient that are NaN or infinite; None without parameters.
        dead_units_ratio: share of its units whose output was zero for every sample of the batch; None without a
            rectifying activation and where it was not measured.
    """

    layer: str
    gradient_norm: float | None = None
    update_ratio: float | None = None
    non_finite_values: int | None = None
    dead_units_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class GradientHealth:
    """A measured step.

    Attributes:
        step: its number, from 1; of a step that was not completed because something was not finite, the number that it
            would have had.
        layers: in the order of the network, those with parameters or with a rectifying activation.
    """

    step: int
    layers: tuple[LayerHealth, ...]
