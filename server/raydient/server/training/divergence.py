"""The message for the user when a loss or a gradient is not finite."""

from raydient.steps.measurements import GradientHealth
from raydient.steps.schedule import RoundKind
from raydient.wire import control

LAYERS_NAMED = 8
"""Maximum number of layers in a message, those nearest to the loss; the report of progress has all of them."""


def describe(loss_report: control.NonFinite, health: GradientHealth | None) -> str:
    """Describe where the loss or the gradient is not finite, by layer if health was measured."""
    if loss_report.kind is not RoundKind.TRAIN:
        return f"loss {loss_report.loss} on the held-out part after {loss_report.step} steps"
    layer, _, parameter = loss_report.parameter.rpartition(".")
    which = "all gradients are finite, the largest" if loss_report.finite else "the first gradient that is not finite"
    what = f"loss {loss_report.loss} at step {loss_report.step}; {which} is that of layer {layer} ({parameter})"
    return what + _values(health)


def _values(health: GradientHealth | None) -> str:
    layers = health.layers if health else ()
    counts = [f"{layer.layer} {layer.non_finite_values}" for layer in layers if layer.non_finite_values]
    more = [f"{len(counts) - LAYERS_NAMED} more layers"] if len(counts) > LAYERS_NAMED else []
    return f"; values that are not finite: {', '.join(counts[-LAYERS_NAMED:] + more)}" if counts else ""
