"""Reports of a parameter server to its coordinator during training: progress and epochs, at a bounded rate."""

from dataclasses import asdict, replace

from raydient.wire import control
from raydient.wire.connection import Connection
from raydient.wire.network import Network

from .actions import Diverged, EpochEnd
from .conductor import Conductor
from .meters import Meters, staleness_of

STATUS_SECONDS = 0.2
"""Shortest interval between reports of progress to the coordinator: fast enough for a person, at negligible cost."""
EPOCHS_AT_ONCE = 200
"""Number of epochs that are reported singly, each with a status; further short epochs are reported in batches."""
EPOCHS_WAITING = 256
"""Maximum number of epochs that wait while the coordinator does not read; no round begins until it has read."""


class Reporting:
    """Reports every epoch once, in order, and the progress a few times a second. Never blocks.

    A batch of epochs waits until the coordinator has read the previous messages.
    """

    def __init__(self, network: Network, coordinator: Connection, conductor: Conductor, meters: Meters) -> None:
        self._network, self._coordinator = network, coordinator
        self._conductor, self._meters = conductor, meters
        self._next_status = 0.0
        self._epochs: list[control.EpochSums] = []  # complete and not reported yet
        self._epoch_began = self._epochs_reported = 0.0  # times
        self._allowance: float = EPOCHS_AT_ONCE  # messages about epochs that may be sent at once

    @property
    def waiting(self) -> bool:
        """True if epochs are complete and not reported."""
        return bool(self._epochs)

    @property
    def full(self) -> bool:
        """True if as many epochs wait as may."""
        return len(self._epochs) >= EPOCHS_WAITING

    def begin_round(self) -> None:
        """Report the progress if that is due. The first epoch begins with the first round."""
        if not self._epoch_began:
            self._epoch_began = self._network.now()
        self._report_progress()

    def end_epoch(self, end: EpochEnd) -> None:
        """Report an epoch, now or with others."""
        now, began, rate = self._network.now(), self._epoch_began, self._conductor.learning_rate
        sums = control.EpochSums(
            end.epoch, end.step, now - began, end.train, end.test, rate, end.reduced_rate, end.safeguard
        )
        self._epochs.append(sums)
        self._epoch_began = now
        self.offer_epochs()

    def offer_epochs(self) -> None:
        """Report the waiting epochs if that is due and the coordinator has read the previous messages."""
        now = self._network.now()
        earned = (now - self._epochs_reported) / STATUS_SECONDS
        due = self.full or self._allowance + earned >= 1
        if self._epochs and due and not self._coordinator.pending:
            self._allowance = min(EPOCHS_AT_ONCE, self._allowance + earned) - 1
            self._epochs_reported = now
            self.report_all()

    def report_all(self) -> None:
        """Report progress and epochs at once, whether or not the coordinator reads."""
        self._report_progress(always=True)
        if self._epochs:
            epochs, self._epochs = self._epochs, []
            self._network.send(self._coordinator, control.EpochsDone(epochs))

    def diverge(self, end: Diverged) -> None:
        """Report a loss or a gradient that is not finite; of skipped steps the first, second, fourth and so on."""
        if end.skipped & (end.skipped - 1) == 0:
            self.report_all()  # with the layers' health
            message = control.NonFinite(**asdict(end))
            self._network.send(self._coordinator, message)

    def _report_progress(self, *, always: bool = False) -> None:
        now, loss = self._network.now(), self._conductor.last_loss
        if loss is None or not (always or (now >= self._next_status and not self._coordinator.pending)):
            return  # before the first step there is no progress
        self._next_status = now + STATUS_SECONDS
        position = self._conductor.position
        conductor, verdict = self._conductor, self._conductor.verdict
        measured = self._meters.read(loss, conductor.learning_rate, verdict.health, verdict.clipped, verdict.skipped)
        staleness = staleness_of(position.staleness)
        measurements = replace(measured, rollbacks=position.rollbacks, staleness=staleness)
        status = control.Status(position.round, position.step, measurements, self._meters.work)
        self._network.send(self._coordinator, status)
