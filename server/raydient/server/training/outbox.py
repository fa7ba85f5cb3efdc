"""Reports on their way to the service: numbered, kept until they are durable there, whoever comes and goes."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from raydient.wire import control
from raydient.wire.connection import Connection
from raydient.wire.frames import ProtocolError
from raydient.wire.hub import Hub

from .reports import Progress, Report, to_json


class Outbox:
    """Delivers reports to whoever follows, in order and at least once. One thread calls it.

    Attributes:
        followed: whether a service has ever asked for reports.
    """

    def __init__(self, hub: Hub, command: Callable[[control.Command | control.Scale], None]) -> None:
        """`command` carries out what the service orders."""
        self._hub, self._command = hub, command
        self._number = 0
        self._waiting: deque[tuple[int, Report]] = deque()
        self._follower: Connection | None = None
        self.followed = False

    @property
    def empty(self) -> bool:
        """Whether every report is durable at the service."""
        return not self._waiting

    def put(self, report: Report) -> None:
        """Take a report; without a follower a newer progress replaces an older one."""
        self._number += 1
        alone = self._follower is None
        if alone and isinstance(report, Progress) and self._waiting and isinstance(self._waiting[-1][1], Progress):
            self._waiting.pop()
        self._waiting.append((self._number, report))
        self._send(self._number, report)

    def hear(self, connection: Connection, message: control.Message) -> None:
        """Something that the service says."""
        match message:
            case control.Follow(after=after):
                self._follower, self.followed = connection, True
                self._forget(after)
                for number, report in list(self._waiting):
                    self._send(number, report)
            case control.Acknowledge(number=number):
                self._forget(number)
            case control.Command() | control.Scale():
                self._command(message)
            case _:
                raise ProtocolError(f"a coordinator cannot use {type(message).__name__} of a service")

    def _forget(self, number: int) -> None:
        while self._waiting and self._waiting[0][0] <= number:
            self._waiting.popleft()

    def _send(self, number: int, report: Report) -> None:
        if self._follower is None:
            return
        with suppress(OSError):
            control.send(self._follower, control.Numbered(number, to_json(report)))
            self._hub.flushed(self._follower)
            return
        self._follower = None  # gone; it will come back and ask for what it has not got
