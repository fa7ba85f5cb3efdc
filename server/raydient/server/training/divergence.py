"""Describes a loss or a gradient that is not finite, for users."""

from collections.abc import Sequence

from raydient.spec.phrases import counted
from raydient.steps.measurements import GradientHealth
from raydient.steps.schedule import RoundKind
from raydient.wire.control import NonFinite

from .reports import Notice

LAYERS_NAMED = 8
"""Maximum number of layers in a message, those nearest to the loss; the report of progress has all of them."""


def divergence_message(divergence: NonFinite, health: GradientHealth | None, checkpoints: Sequence[int]) -> str:
    """Describe where the loss or the gradient is not finite, by layer if health was measured, and what is kept.

    `checkpoints` are the steps of the checkpoints on disk.
    """
    good = [step for step in checkpoints if step < divergence.step]
    kept = f"the checkpoint of step {good[-1]} is kept" if good else "there is no good checkpoint"
    if divergence.rollbacks:
        kept = f"{counted(divergence.rollbacks, 'rollback')} before; {kept}"
    if divergence.kind is not RoundKind.TRAIN:
        return f"loss {divergence.loss} on the held-out part after {divergence.step} steps; {kept}"
    layer, _, parameter = divergence.parameter.rpartition(".")
    which = "all gradients are finite, the largest" if divergence.finite else "the first gradient that is not finite"
    what = f"loss {divergence.loss} at step {divergence.step}; {which} is that of layer {layer} ({parameter})"
    return "; ".join([what, *_values(health), kept])


def recovery_notice(divergence: NonFinite) -> Notice | None:
    """Return the report that a step was skipped or rolled back; None if the job ends."""
    if divergence.skipped:
        return Notice("STEP_SKIPPED", _skip_message(divergence))
    if divergence.rolls_back:
        return Notice("ROLLED_BACK", _rollback_message(divergence))
    return None


def _skip_message(divergence: NonFinite) -> str:
    """Describe a step that was skipped; the numbers of steps are from 1."""
    layer, _, parameter = divergence.parameter.rpartition(".")
    which = (
        "" if divergence.finite else f", the first gradient that is not finite is that of layer {layer} ({parameter})"
    )
    count = f"{counted(divergence.skipped, 'step')} skipped since the parameter server began"
    return f"step {divergence.step + 1} changed nothing: loss {divergence.loss:g}{which}; {count}"


def _rollback_message(divergence: NonFinite) -> str:
    """Describe a return to the end of the last epoch; the numbers of steps are from 1."""
    layer, _, parameter = divergence.parameter.rpartition(".")
    where = f"at step {divergence.step + 1}"
    if divergence.kind is not RoundKind.TRAIN:
        where = f"on the held-out part after {divergence.step} steps"
    elif not divergence.finite:
        where += f", the first gradient that is not finite is that of layer {layer} ({parameter})"
    return (
        f"loss {divergence.loss:g} {where}: the weights are again those at the end of the last epoch, "
        f"with a smaller learning rate; {counted(divergence.rollbacks, 'rollback')} so far"
    )


def _values(health: GradientHealth | None) -> list[str]:
    layers = health.layers if health else ()
    counts = [f"{layer.layer} {layer.non_finite_values}" for layer in layers if layer.non_finite_values]
    more = [f"{len(counts) - LAYERS_NAMED} more layers"] if len(counts) > LAYERS_NAMED else []
    return [f"values that are not finite: {', '.join(counts[-LAYERS_NAMED:] + more)}"] if counts else []
