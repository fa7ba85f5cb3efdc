"""Decides how to react to the loss of a process, and names the reasons of failures."""

import math
from collections.abc import Callable, Sequence
from enum import Enum, auto

from raydient.server.clusters.cluster import OUT_OF_MEMORY
from raydient.spec.phrases import counted
from raydient.steps.measurements import GradientHealth
from raydient.steps.schedule import RoundKind
from raydient.wire.control import NonFinite, Role

from .reports import Notice

LOSSES_WITHOUT_PROGRESS = 3
"""Losses in a row, without a step completed in between, that are tolerated before the job fails."""
TOGETHER_SECONDS = 2.0
"""Losses within this time count as one, because a machine that goes down takes several processes with it."""
FIRST_PAUSE_SECONDS = 1.0
"""Pause after the second loss in a row: a resource that the processes lacked, such as memory, may be free then."""
PARTED = "its connection to another one ended"
"""The reason why a parameter server that lives has lost its part."""
LAYERS_NAMED = 8
"""Maximum number of layers in a message, those nearest to the loss; the report of progress has all of them."""


def reason_of(role: Role, why: str) -> str:
    """Return the reason word of a failure caused by the loss of a process, which ended as `why` describes."""
    return "OUT_OF_MEMORY" if why.startswith(OUT_OF_MEMORY) else f"{role.value.upper()}_LOST"


def loss_notice(role: Role, member: int, why: str) -> Notice:
    """Return the report that a member is lost."""
    return Notice(f"{role.value.upper()}_LOST", f"{role.value.replace('_', ' ')} {member}: {why}")


def repeated_loss(role: Role, member: int, why: str, losses: int) -> str:
    """Describe the loss of a member that ends the job, the last of so many in a row."""
    text = loss_notice(role, member, why).message
    return f"{text}; {losses} times processes were lost without a step completed in between"


def pause_seconds(losses: int) -> float:
    """Return the pause before processes start again after `losses` in a row: none after the first, then doubled."""
    return 0.0 if losses < 2 else FIRST_PAUSE_SECONDS * 2.0 ** (losses - 2)


class Decision(Enum):
    REPLACE = auto()  # start another; the others go on
    ROLL_BACK = auto()  # start all again from the last checkpoint
    FAIL = auto()


class Losses:
    """Counts losses since a step was last completed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._number, self._last = clock, 0, -TOGETHER_SECONDS
        self._rounds = 0  # ever completed
        self._start_at = -math.inf  # when processes may be started

    def count(self) -> int:
        """Count the loss of a process and return the number of losses."""
        now = self._clock()
        if not self._number or now - self._last >= TOGETHER_SECONDS:
            self._number += 1
            self._last = now
        self._start_at = now + pause_seconds(self._number)
        return self._number

    @property
    def pausing(self) -> bool:
        """True during the pause before processes are started again."""
        return self._clock() < self._start_at

    def completed(self, rounds: int) -> None:
        """Note the number of completed rounds. Resets the count if it is higher than ever before."""
        if rounds > self._rounds:
            self._rounds, self._number = rounds, 0

    def decide(self, role: Role) -> Decision:
        """Decide how to react to the loss, counted last, of a process of this role."""
        if self._number > LOSSES_WITHOUT_PROGRESS:
            return Decision.FAIL
        return Decision.ROLL_BACK if role is Role.PARAMETER_SERVER else Decision.REPLACE


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


def skip_message(divergence: NonFinite) -> str:
    """Describe a step that was skipped; the numbers of steps are from 1."""
    layer, _, parameter = divergence.parameter.rpartition(".")
    which = (
        "" if divergence.finite else f", the first gradient that is not finite is that of layer {layer} ({parameter})"
    )
    count = f"{counted(divergence.skipped, 'step')} skipped since the parameter server began"
    return f"step {divergence.step + 1} changed nothing: loss {divergence.loss:g}{which}; {count}"


def rollback_message(divergence: NonFinite) -> str:
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
