"""Measured quantities of a training run: declared here once, carried unchanged from the parameter server to Prometheus.

A new quantity is a field of `Measurements` and a row in the table of `raydient.server.metrics.families`. The
parameter server measures it in `raydient.server.parameters.meters`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

STEP_SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of the histogram of step times, in seconds; a last bucket without a bound follows."""

STALENESS_BUCKETS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Upper bounds of the histogram of staleness, in steps; a last bucket without a bound follows."""


@dataclass(frozen=True, slots=True)
class Staleness:
    """Staleness of gradients: the number of updates between the weights of a gradient and those to which it is applied.

    Attributes:
        buckets: cumulative numbers of gradients with at most each of STALENESS_BUCKETS, then of all.
        sum: sum over the same gradients, in steps.
    """

    buckets: tuple[int, ...]
    sum: int


@dataclass(frozen=True, slots=True)
class LayerHealth:
    """One layer at a measured step. Gradients are those of the whole batch.

    Attributes:
        layer: its name in the network.
        gradient_norm: Euclidean norm of the gradient by all its parameters; None if it has none.
        update_ratio: Euclidean norm of the update over that of the weights before it: 0 if nothing changed, infinite if
            the weights were all zero. None without parameters and if the step was not completed.
        non_finite_values: number of values of the gradient that are NaN or infinite; None without parameters.
        dead_units_ratio: share of its units whose output was zero for every sample of the batch; None without a
            rectifying activation and if it was not measured.
    """

    layer: str
    gradient_norm: float | None = None
    update_ratio: float | None = None
    non_finite_values: int | None = None
    dead_units_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class GradientHealth:
    """Gradient health of all layers at one step.

    Attributes:
        step: number of the step, from 1. A step that was not completed because a value was not finite has the number
            that it would have had.
        layers: the layers with parameters or with a rectifying activation, in the order of the network.
    """

    step: int
    layers: tuple[LayerHealth, ...]


@dataclass(frozen=True, slots=True)
class Measurements:
    """Quantities that a parameter server measures. Sums and counts only grow while it lives, and begin at 0.

    Attributes:
        loss: training loss of the last step, mean over its rows.
        learning_rate: learning rate of the last update.
        phase_seconds: seconds by phase: data, forward, backward, push and wait of all workers together, and apply.
        step_seconds_buckets: cumulative numbers of steps that took at most each of STEP_SECONDS_BUCKETS, then of all.
        step_seconds_sum: sum over the same steps, in seconds.
        exchange_bytes: payload of the data plane by direction (push, pull), in bytes.
        saved_bytes: bytes that pushes would have taken in addition without a codec.
        gradient_health: the newest measurement; None before the first.
        clip_factor: norm of the gradient of the last step after clipping over its norm before; None without clipping.
        clipped_steps: number of steps whose gradient was clipped.
        skipped_steps: number of steps that changed nothing, because the loss or the gradient was not finite.
        rollbacks: number of returns of the job to the end of an epoch, because the loss or the gradient was not finite.
        staleness: that of the applied gradients, one for each push; None before the first of a job that is not
            synchronous.
    """

    loss: float
    learning_rate: float
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    step_seconds_buckets: tuple[int, ...] = ()
    step_seconds_sum: float = 0.0
    exchange_bytes: Mapping[str, int] = field(default_factory=dict)
    gradient_health: GradientHealth | None = None
    clip_factor: float | None = None
    clipped_steps: int = 0
    skipped_steps: int = 0
    rollbacks: int = 0
    saved_bytes: int = 0
    staleness: Staleness | None = None
