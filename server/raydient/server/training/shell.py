"""A run of one job: `Coordinator` with a network, files and processes around it. One thread."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

from raydient.server.clusters.cluster import Cluster, Process
from raydient.server.parameters.optimizers import build_optimizer
from raydient.spec.advice import network_warnings
from raydient.spec.errors import WARNING
from raydient.wire import control, launch
from raydient.wire.connection import Connection, Frame
from raydient.wire.endpoint import Endpoint, Transport
from raydient.wire.frames import ProtocolError
from raydient.wire.memory import Bundle
from raydient.wire.network import Closed, Network

from .actions import (
    Action,
    AskSnapshot,
    Discard,
    Dismiss,
    Kill,
    Pause,
    Ping,
    SaveAgain,
    Serve,
    SetPlan,
    Start,
    Tell,
    Work,
)
from .coordinator import Coordinator
from .history import HISTORY_FILE, History
from .member_messages import order_message, serve_message, work_message
from .preparation import Prepared
from .reports import EpochEnded, Notice, Report
from .storage import Storage

TICK_SECONDS = 0.05
"""Interval between checks of the processes; a connection that ends is noticed at once."""
PARTING_SECONDS = 1.0
"""Time that a process may take to end after its connection has ended."""
MESSAGE_LIMIT = 1 << 40
"""Bytes of a message; members have proven the secret, and a snapshot is as large as the model."""

_log = logging.getLogger(__name__)


class CoordinatorShell:
    """Runs a job to its end."""

    def __init__(
        self,
        prepared: Prepared,
        *,
        job: str,
        workers: int,
        minimum: int,
        directory: Path,
        cluster: Cluster,
        network: Network,
        endpoint: Endpoint,
        secret: bytes,
        history: History,
        tell: Callable[[Report], None],
        transport: Transport = Transport.AUTO,
        stranger: Callable[[Connection, control.Message], None] | None = None,
        orders: list[control.Command | control.Scale] | None = None,
        before_writing: Callable[[], None] = lambda: None,
    ) -> None:
        """Start nothing yet.

        Args:
            prepared: data, network and schedule of the job.
            job: the job's id.
            workers: number of workers to start.
            minimum: least number of workers with which the job goes on for long.
            directory: the job's folder.
            cluster: starts the processes.
            network: the members' connections; it listens already.
            endpoint: address of `network`.
            secret: the run's secret, which members prove.
            history: record of the epochs; an epoch is added before it is reported.
            tell: receives the reports, in order.
            transport: of weights and gradients.
            stranger: receives messages of connections that are not members; it may add to `orders`.
            orders: commands and scalings, carried out in order.
            before_writing: called before a checkpoint or a model is written; may raise.
        """
        self._network, self._endpoint = network, endpoint
        self._prepared, self._job, self._directory, self._cluster = prepared, job, directory, cluster
        self._minimum = minimum
        self._secret, self._transport, self._stranger = secret, transport, stranger
        self._history, self._tell, self._before_writing = history, tell, before_writing
        self._orders, self._clock = orders if orders is not None else [], network.now
        spec = prepared.spec
        optimizer = spec.training.optimizer
        state = build_optimizer(optimizer.kind, optimizer.value.model_dump()).state
        self._storage = Storage(prepared, directory, job, state)
        self.coordinator = Coordinator(
            schedule=prepared.schedule,
            workers=workers,
            minimum=minimum,
            finish=prepared.network.finish,
            checkpoint_seconds=spec.checkpoints.interval_seconds,
            keep=spec.checkpoints.keep,
            clock=network.now,
            last_epoch=history.last,
        )
        self._processes: dict[int, Process] = {}
        self._members: dict[Connection, int] = {}
        self._lifelines: dict[Connection, int] = {}
        self._pings = 0
        self._server = -1  # the parameter server's number
        self._data_plane: Endpoint | None = None
        self._parting: dict[int, float] = {}  # members without a connection, and until when they may end by themselves
        self._ended: dict[int, float] = {}  # members whose process has ended, and when that was noticed
        self._warned = False
        self._held: tuple[control.Snapshot, control.Arrays] | None = None  # a final snapshot that is not on disk
        self._data = Bundle.of(prepared.dataset.arrays())

    def run(self) -> None:
        """Run the job; returns when the run has ended and every process of it has ended."""
        try:
            self._storage.remove_leftovers()
            # Reserve room for the minimum as a whole; further workers start wherever there is room.
            self._cluster.reserve(self._job, self._minimum, self._prepared.spec.resources.placement)
            if self._history.damaged:
                text = f"{self._history.damaged} lines of {HISTORY_FILE} were damaged; their epochs are missing there"
                self._tell(Notice("HISTORY_DAMAGED", text))
            self.carry_out(self.coordinator.begin())
            while not self.coordinator.ended:
                quiet = True
                for connection, frame in self._network.poll(0 if self._ended else TICK_SECONDS):
                    quiet = False
                    self._handle(connection, frame)
                self._watch_processes(quiet)
                self._obey()
                unplaced = [member for member, process in self._processes.items() if process.waiting()]
                self.carry_out(self.coordinator.tick(unplaced))
        finally:
            self.close()

    def close(self) -> None:
        """End every process of the run. Harmless when repeated."""
        for process in self._processes.values():
            process.kill()
        self._processes.clear()
        self._cluster.release()

    # ---- events

    def _handle(self, connection: Connection, frame: Frame | Closed) -> None:
        member = self._members.get(connection)
        if isinstance(frame, Closed):
            self._disconnected(connection)
            return
        try:
            message, arrays = control.decode(frame)
            if isinstance(message, control.Hello):
                self._hello(connection, message)
            elif isinstance(message, control.Alive | control.Pong):
                self._answered(connection, message)
            elif member is not None:
                if not self.coordinator.ended:  # messages that were already in flight are irrelevant
                    self._hear(member, message, arrays)
            elif self._stranger is not None:
                self._stranger(connection, message)
        except ProtocolError as error:
            _log.warning("a connection is dropped: %s", error)
            self._network.drop(connection)
            self._disconnected(connection)

    def _hello(self, connection: Connection, hello: control.Hello) -> None:
        if hello.member not in self._processes:
            raise ProtocolError(f"member {hello.member} of generation {hello.generation} is not expected")
        self._members[connection] = hello.member
        if hello.role is control.Role.PARAMETER_SERVER:
            self._data_plane = hello.data_plane
        self.carry_out(self.coordinator.hello(hello.member))

    def _answered(self, connection: Connection, message: control.Alive | control.Pong) -> None:
        if isinstance(message, control.Alive) and message.member in self._processes:
            self._lifelines[connection] = message.member
        if connection not in self._lifelines:
            raise ProtocolError("a lifeline of no member")
        self.coordinator.answered(self._lifelines[connection])

    def _hear(self, member: int, message: control.Message, arrays: control.Arrays) -> None:
        match message:
            case control.Attached(worker=worker):
                self.carry_out(self.coordinator.attached(worker))
            case control.PlanInForce(number=number):
                self.carry_out(self.coordinator.plan_in_force(number))
            case control.Status():
                self.carry_out(self.coordinator.status(message))
            case control.EpochsDone():
                self.carry_out(self.coordinator.epochs(message))
            case control.Snapshot():
                self._save(message, arrays)
            case control.NonFinite():
                self.carry_out(self.coordinator.diverged(message))
            case control.Overdue():
                self.carry_out(self.coordinator.overdue(message))
            case _:
                raise ProtocolError(f"a coordinator cannot use {type(message).__name__}")

    def _obey(self) -> None:
        while self._orders:
            match self._orders.pop(0):
                case control.Scale(workers=workers, minimum=minimum):
                    self.carry_out(self.coordinator.scale(workers, minimum))
                case control.Command(order=control.Order.CANCEL):
                    self.carry_out(self.coordinator.cancel())
                case control.Command(order=control.Order.PAUSE):
                    self.carry_out(self.coordinator.pause())

    def _disconnected(self, connection: Connection) -> None:
        # The process is about to end, and its exit status says more about the reason than the connection.
        self._lifelines.pop(connection, None)
        member = self._members.pop(connection, None)
        if member is not None:
            self._parting[member] = self._clock() + PARTING_SECONDS

    def _watch_processes(self, quiet: bool) -> None:
        """Check every process. `quiet` says that the last poll found no message."""
        now = self._clock()
        self._ended = {member: when for member, when in self._ended.items() if member in self._processes}
        for member, process in list(self._processes.items()):
            how = process.ended()
            # Messages that the process sent before it ended (for example that all work is done) are handled first:
            # its end is reported only after a poll without messages.
            read_on = how is not None and not (quiet and member in self._ended)
            if read_on and now <= self._ended.setdefault(member, now) + PARTING_SECONDS:
                continue
            if how is None and self._parting.get(member, now) < now:
                process.kill()
                how = "its connection ended, it did not"
            if how is not None and self._processes.pop(member, None) is not None:
                self._parting.pop(member, None)
                self.carry_out(self.coordinator.lost(member, how))

    def _save(self, snapshot: control.Snapshot, arrays: control.Arrays) -> None:
        self._before_writing()
        began, coordinator = self._clock(), self.coordinator
        if name := self._storage.not_finite(arrays["weights"]):
            # A finite gradient times the learning rate may overflow; the loss would show that only one step later.
            self.carry_out(coordinator.fail("NON_FINITE", f"{name} is not finite after step {snapshot.step}"))
            return
        try:
            self._history.sync()  # before the checkpoint, because its epochs are never computed again
            written = self._storage.write(snapshot, arrays)
        except (OSError, MemoryError) as error:
            why = getattr(error, "strerror", None) or str(error) or "not enough memory"
            self._held = (snapshot, arrays) if snapshot.final else None
            complete = self._storage.is_complete(snapshot)
            self.carry_out(coordinator.save_failed(snapshot.step, why, final=snapshot.final, complete=complete))
            return
        for notice in written.notices:
            self._tell(notice)
        self.carry_out(coordinator.saved(snapshot.step, self._clock() - began, written.size_bytes))
        if snapshot.final:
            self.carry_out(coordinator.completed(snapshot.step, written.digest))

    # ---- actions

    def carry_out(self, actions: Sequence[Action]) -> None:
        """Carry out the coordinator's actions, in order."""
        for action in actions:
            match action:
                case Start():
                    self._start(action)
                case Kill(member=member):
                    self._kill(member)
                case Serve(member=member):
                    self._serve(member)
                case Work():
                    self._work(action)
                case SetPlan() | AskSnapshot() | Pause() | Dismiss():
                    self._send(self._server, order_message(action))
                case SaveAgain():
                    assert self._held is not None
                    self._save(*self._held)
                case Ping(member=member):
                    self._ping(member)
                case Discard(step=step):
                    self._storage.discard(step)
                case Tell(report=report):
                    self._report(report)
                case _:
                    assert_never(action)

    def _report(self, report: Report) -> None:
        if isinstance(report, EpochEnded):
            self._history.append(report)
        self._tell(report)

    def _start(self, start: Start) -> None:
        settings = launch.Launch(
            job=self._job,
            member=start.member,
            generation=start.generation,
            coordinator=self._endpoint,
            secret=self._secret.hex(),
            transport=self._transport,
        )
        log = self._directory / "logs" / f"{start.role.value}-{start.member}.log"
        self._processes[start.member] = self._cluster.start(start.role, launch.to_json(settings), log)
        if start.role is control.Role.PARAMETER_SERVER:
            self._server = start.member

    def _work(self, action: Work) -> None:
        assert self._data_plane is not None
        work = work_message(self._prepared, self._data_plane, action)
        self._send(action.member, work, self._data)

    def _kill(self, member: int) -> None:
        process = self._processes.pop(member, None)
        if process is not None:
            process.kill()
        for table in (self._members, self._lifelines):
            for connection in [c for c, m in table.items() if m == member]:
                del table[connection]
                self._network.drop(connection)

    def _ping(self, member: int) -> None:
        self._pings += 1
        for connection in [c for c, m in self._lifelines.items() if m == member]:
            self._network.send(connection, control.Ping(self._pings))

    def _serve(self, member: int) -> None:
        point = self._storage.read(expected=self.coordinator.has_checkpoint)
        for notice in point.notices:
            self._tell(notice)
        self.coordinator.resumed(point.steps)
        if point.step == 0:
            self._warn()
        self._send(member, serve_message(self._prepared, point), Bundle.of(dict(point.arrays)))

    def _warn(self) -> None:
        """Report the specification's warnings, once, in a run that begins at step 0."""
        warnings = [] if self._warned else network_warnings(self._prepared.spec.network)
        self._warned = True
        for warning in warnings:
            self._tell(Notice(WARNING, str(warning)))

    def _send(self, member: int, message: control.Message, bundle: Bundle | None = None) -> None:
        connection = next((c for c, m in self._members.items() if m == member), None)
        if connection is not None:  # else the member is lost; the coordinator learns of that from its process
            self._network.send(connection, message, bundle)
