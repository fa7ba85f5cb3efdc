"""The coordinator of a job whose workers hold residuals, which are a state of training. No I/O.

The workers of a generation keep its first plan, and the loss of one is like that of a parameter server: all go back to
the last checkpoint. When workers join or leave, a checkpoint is taken, and another generation begins there with another
plan. Shares are equal, because each change of them would take a checkpoint.
"""

from collections.abc import Collection
from dataclasses import replace

from raydient.wire import control
from raydient.wire.control import Role

from .actions import Action, Ask, SetPlan
from .coordinator import Coordinator
from .endings import PLAIN, Description
from .phases import Phase
from .reports import CheckpointTaken, Outcome
from .roster import Member


class ResidualCoordinator(Coordinator):
    """One run of such a job. One thread calls it."""

    _holders: frozenset[int] = frozenset()  # the workers that the plan of the generation names
    _changes = False  # another generation begins at the next checkpoint

    def _plan(self) -> list[Action]:
        """Send the plan of the generation; a further one waits for the next generation."""
        if self._holders:
            self._changes = True
            return []
        plan = self._plans.make([] if self._shortage.standing else self._roster.at_work)
        self._holders = frozenset(plan.workers)
        return [SetPlan(plan)]

    def scale(self, workers: int, minimum: int) -> list[Action]:
        actions = super().scale(workers, minimum)
        if not self._running or self._saving.held or self._holders <= set(self._roster):
            return actions
        # A holder that had lost its connection to a server was ended at once.
        paused = self.phase is Phase.PAUSING
        return [*actions, *(self._end(Outcome.PAUSED, step=self._saving.step) if paused else self._begin_next())]

    def _begin_next(self) -> list[Action]:
        self._holders, self._changes = frozenset(), False
        return super()._begin_next()

    def _has_state(self, member: int, process: Member) -> bool:
        return process.role is Role.PARAMETER_SERVER or member in self._holders

    def status(self, status: control.Status) -> list[Action]:
        return super().status(replace(status, computed={}))  # the paces of workers change no shares

    def tick(self, unplaced: Collection[int] = ()) -> list[Action]:
        """Do what is due. A change of the plan does not wait until a checkpoint is due.

        A pause that takes too long ends at the last checkpoint: residuals from before the open round do not exist.
        """
        if not (self.ended or self._saving.held) and self._saving.hurry():
            message = f"the open step did not end in time; it goes on from {self._saving.origin}"
            return self._end(Outcome.PAUSED, step=self._saving.step, message=message)
        actions = super().tick(unplaced)
        if self._begins_next and self._saving.ready:
            self._saving.asked = True
            actions.append(Ask(control.TakeSnapshot()))
        return actions

    def saved(
        self, taken: CheckpointTaken, *, final: bool, digest: str = "", ending: Description = PLAIN
    ) -> list[Action]:
        actions = super().saved(taken, final=final, digest=digest, ending=ending)
        return [*actions, *self._begin_next()] if self._begins_next else actions

    @property
    def _begins_next(self) -> bool:
        """True if another generation begins at the next checkpoint: it waits for workers that are starting."""
        placed = self._shortage.standing or self._roster.all_here(self._unplaced)
        return self._changes and self.phase is Phase.TRAINING and placed
