"""Delivers reports to the service: numbered reports, and the epochs of the job's record.

One batch is in flight, and the next one is sent when the service has acknowledged it, so the connection never holds
more than one batch. Epochs wait in the record (`History`), not in memory. A report does not wait for epochs of later
batches, so a change of state overtakes them; reports keep their order, and so do epochs.
"""

import json
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from raydient.wire import control
from raydient.wire.connection import Connection
from raydient.wire.frames import ProtocolError
from raydient.wire.network import Network

from .history import History
from .reports import CheckpointTaken, EpochEnded, Finished, Notice, Outcome, Progress, Report, WentBack, to_json

BATCH = 256
"""Maximum number of reports, and of epochs, in one batch."""
BATCH_BYTES = 1 << 20
"""Epochs are added to a batch until they have this size as JSON."""
WAITING = 4096
"""Maximum number of waiting reports; further notices and checkpoints are only counted."""
_ORDERED = (Outcome.CANCELLED, Outcome.PAUSED)


class _Waiting(NamedTuple):
    """A report, its number, and the newest epoch when it was added: epochs up to that one are sent first."""

    number: int
    epoch: int
    report: Report


class Outbox:
    """Delivers reports, in order, to the service that follows, until it has acknowledged them. Not thread-safe.

    A `Finished` that the service ordered (cancelled, paused) overtakes epochs too. Any other `Finished` comes
    after the last epoch, so that the history of a job that succeeded is complete.

    Attributes:
        followed: true once a service has asked for reports.
    """

    def __init__(self, network: Network, history: History, command: Callable[[control.RunOrder], None]) -> None:
        """`command` carries out the orders of the service."""
        self._network, self._history, self._command = network, history, command
        self._number = 0
        self._waiting: deque[_Waiting] = deque()
        self._stored = 0  # newest epoch that the service has
        self._sent: tuple[int, int] | None = None  # newest report and epoch of the batch in flight
        self._finished = False
        self._dropped = 0  # notices since the last one that was added
        self._follower: Connection | None = None
        self.followed = False

    @property
    def empty(self) -> bool:
        """True if every report and every epoch is durable at the service."""
        return not self._waiting and self._stored >= self._history.last

    def put(self, report: Report) -> None:
        """Add a report. An epoch is already in the record; a progress replaces one that waits directly before it."""
        if isinstance(report, Notice | CheckpointTaken) and len(self._waiting) >= WAITING:
            self._dropped += 1
            return
        if isinstance(report, WentBack):
            self._stored = min(self._stored, report.epoch)
            self._waiting = deque(one._replace(epoch=min(one.epoch, report.epoch)) for one in self._waiting)
        if self._dropped and len(self._waiting) < WAITING:
            self._add(Notice("NOTICES_DROPPED", f"{self._dropped} notices and checkpoints were not reported in time"))
            self._dropped = 0
        if isinstance(report, Progress) and self._waiting and self._replaceable(self._waiting[-1]):
            self._waiting.pop()
        if not isinstance(report, EpochEnded):
            self._add(report)
        self._send()

    def hear(self, connection: Connection, message: control.Message) -> None:
        """Handle a message of the service. Raises ProtocolError."""
        match message:
            case control.Follow(after=after, epoch=epoch):
                self._follower, self.followed = connection, True
                self._forget(after, epoch)
                self._send()
            case control.Acknowledge(number=number, epoch=epoch):
                self._forget(number, epoch)
                self._send()
            case control.Command() | control.Scale() | control.Amend():
                self._command(message)
            case _:
                raise ProtocolError(f"a coordinator cannot use {type(message).__name__} of a service")

    def _add(self, report: Report) -> None:
        self._number += 1
        self._waiting.append(_Waiting(self._number, self._history.last, report))
        self._finished |= isinstance(report, Finished)

    def _replaceable(self, waiting: _Waiting) -> bool:
        return isinstance(waiting.report, Progress) and not (self._sent and waiting.number <= self._sent[0])

    def _forget(self, number: int, epoch: int) -> None:
        """Drop the reports and epochs up to these, which the service has; no batch is in flight any more."""
        self._sent = None
        while self._waiting and self._waiting[0].number <= number:
            self._waiting.popleft()
        # A service that does not know yet that training went back counts epochs of before.
        counts = min((one.report.epoch for one in self._waiting if isinstance(one.report, WentBack)), default=epoch)
        self._stored = max(self._stored, min(epoch, counts))

    def _send(self) -> None:
        if self._follower is None or self._sent is not None:
            return
        number, epoch, batch = self._batch()
        if not batch.reports:
            return
        self._network.send(self._follower, batch)  # lost with the connection, and sent again to the next follower
        self._sent = number, epoch

    def _batch(self) -> tuple[int, int, control.Reports]:
        """Return the newest report and epoch that the service has with the next batch, and that batch."""
        epochs = self._next_epochs()
        number, epoch = 0, epochs[-1].epoch if epochs else self._stored
        complete = epoch >= self._history.last
        reports: list[control.Numbered] = []
        for waiting in islice(self._waiting, BATCH):
            if isinstance(waiting.report, Finished) and not (complete or waiting.report.outcome in _ORDERED):
                break
            while epochs and epochs[0].epoch <= waiting.epoch:
                reports.append(control.Numbered(0, to_json(epochs.popleft())))
            reports.append(control.Numbered(waiting.number, to_json(waiting.report)))
            number = waiting.number
        reports += [control.Numbered(0, to_json(one)) for one in epochs]
        all_sent = not self._waiting or number == self._waiting[-1].number
        return number, epoch, control.Reports(reports, last=self._finished and complete and all_sent)

    def _next_epochs(self) -> deque[EpochEnded]:
        """Return the oldest epochs that the service does not have, as many as fit into one batch."""
        chosen: deque[EpochEnded] = deque()
        size = 0
        for epoch in self._history.read(self._stored, BATCH):
            size += len(json.dumps(to_json(epoch)))
            if chosen and size > BATCH_BYTES:
                break
            chosen.append(epoch)
        return chosen
