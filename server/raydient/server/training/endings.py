"""Describes why training is over and which epoch the model has the weights of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raydient.server.parameters.epoch_watch import EARLY_STOPPING, KEEP
from raydient.spec.phrases import counted
from raydient.spec.training import Training
from raydient.steps.ending import Ending
from raydient.steps.watched import Watched
from raydient.wire import control

from .reports import Finished, Notice, Outcome, Report


@dataclass(frozen=True, slots=True)
class Description:
    """The end of a training that succeeded.

    Attributes:
        reason, message, epoch: see `Finished`.
        notices: further events.
    """

    reason: str = ""
    message: str = ""
    epoch: int = 0
    notices: Sequence[Notice] = field(default=())

    def reports(self, step: int, digest: str) -> Sequence[Report]:
        """Return the last reports of the run, which ends after `step` updates with a model of this digest."""
        finished = Finished(Outcome.SUCCEEDED, step, digest, self.reason, self.message, self.epoch)
        return [*self.notices, finished]


PLAIN = Description()
"""The end after the last epoch; the model has the weights after the last step."""


def describe(snapshot: control.Snapshot, training: Training) -> Description:
    """Describe the end of training that a final snapshot has."""
    reason, message = "", ""
    if snapshot.ending is Ending.STOPPED_EARLY:
        assert training.early_stopping is not None, "the specification ends training early"
        watched, monitor = snapshot.watched[EARLY_STOPPING], training.early_stopping.monitor
        reason = "STOPPED_EARLY"
        message = f"{monitor} has not improved for {counted(watched.wait, 'epoch')}{_best(watched)}"
    elif snapshot.ending is Ending.MAX_STEPS:
        reason, message = "MAX_STEPS", f"training ended after {snapshot.step} steps, its `max_steps`"
    elif snapshot.ending is Ending.MAX_MINUTES:
        minutes = f"{training.max_minutes:g} minutes, its `max_minutes`"
        reason, message = "MAX_MINUTES", f"training ended at step {snapshot.step} after {minutes}"
    if not training.keeps_best:
        return Description(reason, message)
    monitor = training.keep.value.monitor
    if not has_best(snapshot.watched):
        text = f"no epoch has a value of {monitor}: the model has the weights after the last step"
        return Description(reason, message, notices=[Notice("BEST_EPOCH", text)])
    watched = snapshot.watched[KEEP]
    text = f"the model has the weights of epoch {watched.epoch}, {monitor} {watched.best:.6g}"
    return Description(reason, message, watched.epoch, [Notice("BEST_EPOCH", text)])


def has_best(watched: Mapping[str, Watched]) -> bool:
    """Return True if the weights of a best epoch are kept."""
    return KEEP in watched and watched[KEEP].epoch > 0


def _best(watched: Watched) -> str:
    return f"; its best value, {watched.best:.6g}, is that of epoch {watched.epoch}" if watched.epoch else ""
