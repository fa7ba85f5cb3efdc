"""What a user is told when a loss or a gradient is not finite."""

from raydient.wire import control
from raydient.wire.health import GradientHealth
from raydient.wire.schedule import RoundKind

LAYERS_NAMED = 8
"""Layers named in a message, those nearest to the loss; the report of progress has them all."""


def describe(found: control.NonFinite, health: GradientHealth | None) -> str:
    """Where the loss or the gradient stopped being finite, by layer if health was measured."""
    if found.kind is not RoundKind.TRAIN:
        return f"loss {found.loss} on the held-out part after {found.step} steps"
    layer, _, parameter = found.parameter.rpartition(".")
    which = "all gradients are finite, the largest" if found.finite else "the first gradient that is not finite"
    what = f"loss {found.loss} at step {found.step}; {which} is that of layer {layer} ({parameter})"
    return what + _values(health)


def _values(health: GradientHealth | None) -> str:
    layers = health.layers if health else ()
    counts = [f"{layer.layer} {layer.non_finite_values}" for layer in layers if layer.non_finite_values]
    more = [f"{len(counts) - LAYERS_NAMED} more layers"] if len(counts) > LAYERS_NAMED else []
    return f"; values that are not finite: {', '.join(counts[-LAYERS_NAMED:] + more)}" if counts else ""
