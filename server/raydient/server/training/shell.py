"""A run of one job: `Coordinator` with a network, files and processes around it. One thread."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import assert_never

from raydient.steps.amendments import Amendment
from raydient.steps.order import ARRIVALS
from raydient.wire import control
from raydient.wire.connection import Connection, Frame
from raydient.wire.frames import ProtocolError
from raydient.wire.memory import Bundle
from raydient.wire.network import Closed

from .actions import Action, Ask, Discard, Dismiss, Kill, Leave, Ping, Save, Serve, SetPlan, Start, Tell, Work
from .amendments import Amendments
from .assembly import Assembly, Whole
from .coordinator import Coordinator
from .endings import describe
from .history import HISTORY_FILE
from .member_messages import order_message, residuals_message, serve_message, work_message
from .members import Members
from .preparation import Prepared
from .progress import ProgressReports
from .reports import Amended, CheckpointTaken, EpochEnded, Finished, Notice, Outcome, Progress, Report, WentBack
from .residual_coordinator import ResidualCoordinator
from .saving import Saving
from .shared_data import SharedData
from .storage import StartingPoint, Storage

TICK_SECONDS = 0.05
"""Interval between checks of the processes; a connection that ends is noticed at once."""
MESSAGE_LIMIT = 1 << 40
"""Bytes of a message; members have proven the secret, and a snapshot is as large as the model."""

_log = logging.getLogger(__name__)


class CoordinatorShell:
    """Runs a job to its end."""

    def __init__(
        self,
        prepared: Prepared,
        size: control.Scale,
        members: Members,
        storage: Storage,
        *,
        tell: Callable[[Report], None],
        amendments: Iterable[Amendment] = (),
        orders: list[control.RunOrder] | None = None,
        stranger: Callable[[Connection, control.Message], None] | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            prepared: data, network and schedule of the job.
            size: number of workers to start, and the number below which training is suspended after a grace period.
            members: starts the members.
            storage: the job's folder.
            tell: receives the reports, in order; an epoch is in the record before it is reported.
            amendments: those that the service has accepted.
            orders: commands, scalings and amendments, carried out in order; others may append to it.
            stranger: receives the messages of connections that are not members; it may add to `orders`.
        """
        self._prepared, self._size, self._members, self._storage = prepared, size, members, storage
        self._tell, self._orders, self._stranger = tell, orders if orders is not None else [], stranger
        self._network, self._clock = members.network, members.network.now
        checkpoints = prepared.spec.checkpoints
        self._reports = ProgressReports(
            prepared.schedule,
            prepared.network.finish,
            self._clock,
            last_epoch=storage.history.last,
            rates=prepared.spec.training.has_schedule,
        )
        residuals = prepared.spec.exchange.codec.feeds_back
        self._coordinator = (ResidualCoordinator if residuals else Coordinator)(
            size,
            servers=len(prepared.ranges),
            reports=self._reports,
            saving=Saving(checkpoints.interval_seconds, checkpoints.keep, self._clock),
            clock=self._clock,
            warnings=[str(warning) for warning in prepared.warnings],
        )
        self._amendments = Amendments(amendments)
        self._servers: Sequence[int] = ()  # the parameter servers, in the order of their places
        self._residuals: tuple[control.Residuals, Bundle] | None = None  # at the beginning of the generation
        self._assembly = Assembly(prepared.division)
        self._snapshot: tuple[control.Snapshot, control.Arrays] | None = None  # the last one, until it is on disk
        self._in_force: list[Amendment] = []
        self._data = SharedData(prepared.dataset)

    def run(self) -> None:
        """Run the job; returns when the run has ended and every process of it has ended."""
        history = self._storage.history
        step, refusal = self._storage.refusal()
        if refusal:
            self._tell(Finished(Outcome.FAILED, step, reason="OTHER_NUMERICS", message=refusal))
            return
        try:
            self._storage.remove_leftovers()
            # Reserve room for the minimum as a whole; further workers start wherever there is room.
            self._members.reserve(self._size.minimum, self._prepared.spec.resources.placement)
            if history.damaged:
                text = f"{history.damaged} lines of {HISTORY_FILE} were damaged; their epochs are missing there"
                self._tell(Notice("HISTORY_DAMAGED", text))
            self._carry_out(self._coordinator.begin())
            while not self._coordinator.ended:
                quiet = True
                for connection, frame in self._network.poll(0 if self._members.parting else TICK_SECONDS):
                    quiet = False
                    self._handle(connection, frame)
                # Messages that a process sent before its end are handled first.
                for member, why in self._members.lost(quiet=quiet):
                    self._carry_out(self._coordinator.lost(member, why))
                while self._orders:
                    self._obey(self._orders.pop(0))
                self._carry_out(self._coordinator.tick(self._members.unplaced))
        finally:
            self._members.close()

    # ---- events

    def _handle(self, connection: Connection, frame: Frame | Closed) -> None:
        if isinstance(frame, Closed):
            self._members.disconnected(connection)
            return
        try:
            message, arrays = control.decode(frame)
            if isinstance(message, control.Hello):
                self._members.introduce(connection, message)
                self._admit(message)
            elif isinstance(message, control.Alive | control.Pong):
                self._coordinator.answered(self._members.lifeline(connection, message))
            elif connection in self._members:
                member = self._members.member(connection)
                if isinstance(message, control.FetchShard):  # also of a worker that has to leave its part
                    self._members.send(member, *self._data.shard(message.number))
                elif self._coordinator.hears(member):
                    self._hear(member, message, arrays)
            elif self._stranger is not None:
                self._stranger(connection, message)
        except ProtocolError as error:
            _log.warning("a connection is dropped: %s", error)
            self._network.refusals.count(error)
            self._network.drop(connection)
            self._members.disconnected(connection)

    def _admit(self, hello: control.Hello) -> None:
        """Give a member that has introduced itself its part, unless its machine may not take part."""
        if hello.left is not None:
            self._carry_out(self._coordinator.returned(hello.member, hello.left))
            return
        name = f"{hello.role.value.replace('_', ' ')} {hello.member}"
        admitted, notices = self._storage.numerics.admit(name, hello.probe, hello.host)
        for notice in notices:
            self._tell(notice)
        self._carry_out(self._coordinator.hello(hello.member, refused=not admitted))
        if not admitted:
            self._members.refuse(hello.member)

    def _hear(self, member: int, message: control.Message, arrays: control.Arrays) -> None:
        match message:
            case control.Attached(worker=worker):
                self._carry_out(self._coordinator.attached(worker))
            case control.PlanInForce(number=number):
                self._carry_out(self._coordinator.plan_in_force(number))
            case control.Status():
                self._reports.refused(None, self._network.refusals.counts)
                self._carry_out(self._coordinator.status(message))
            case control.EpochsDone():
                self._carry_out(self._coordinator.epochs(message))
            case control.Snapshot() | control.SnapshotPart():
                shard = self._servers.index(member) if member in self._servers else None
                if shard == 0:
                    self._storage.order.add(message.step, arrays[ARRIVALS].tobytes() if ARRIVALS in arrays else b"")
                    arrays = {name: values for name, values in arrays.items() if name != ARRIVALS}
                self._take(self._assembly.add(shard, message, arrays))
            case control.Residuals():
                self._take(self._assembly.add_residuals(member, message, arrays))
            case control.NonFinite():
                self._carry_out(self._coordinator.diverged(message))
            case control.Refused(counts=counts):
                self._reports.refused(member, counts)
            case control.Amended(amendment=amendment):
                self._amended(amendment)
            case control.Overdue():
                self._carry_out(self._coordinator.overdue(message))
            case _:
                raise ProtocolError(f"a coordinator cannot use {type(message).__name__}")

    def _take(self, whole: Whole | None) -> None:
        """Handle a snapshot that is complete."""
        if whole is not None:
            self._snapshot = whole
            not_finite = self._storage.not_finite(whole[1])
            actions = self._coordinator.snapshot(whole[0].step, not_finite, final=whole[0].final)
            self._carry_out(actions)

    def _amended(self, amendment: Amendment) -> None:
        """Note an amendment that is in force, and report it once."""
        if self._amendments.decided(amendment):
            self._tell(Amended(amendment))
        self._in_force = [*self._in_force, amendment]
        self._reports.schedule = self._prepared.amended(self._in_force).schedule

    def _obey(self, order: control.RunOrder) -> None:
        match order:
            case control.Amend(amendment=amendment):
                if self._amendments.accept(amendment):
                    for conductor in self._servers[:1]:
                        self._members.send(conductor, order)
            case control.Scale(workers=workers, minimum=minimum):
                self._carry_out(self._coordinator.scale(workers, minimum))
            case control.Command(order=control.Order.CANCEL):
                self._carry_out(self._coordinator.cancel())
            case control.Command(order=control.Order.PAUSE):
                self._carry_out(self._coordinator.pause())

    # ---- actions

    def _carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Start():
                    self._members.start(action)
                case Kill(member=member):
                    self._members.kill(member)
                case Serve():
                    self._serve(action)
                case Work():
                    self._work(action)
                case SetPlan() | Ask() | Dismiss() | Leave():
                    for server in [action.member] if isinstance(action, Leave) else self._servers[:1]:
                        self._members.send(server, order_message(action))
                case Save():
                    self._save()
                case Ping(member=member):
                    self._members.ping(member)
                case Discard(step=step):
                    self._storage.discard(step)
                case Tell(report=report):
                    self._report(report)
                case _:
                    assert_never(action)

    def _report(self, report: Report) -> None:
        if isinstance(report, EpochEnded):
            self._storage.history.append(report)
        if isinstance(report, Progress):
            self._storage.gradient_health = report.measurements.gradient_health or self._storage.gradient_health
        if isinstance(report, Finished) and report.outcome is Outcome.SUCCEEDED and self._storage.numerics.mixed:
            report = replace(report, reason="NUMERICS_MIXED", message=self._storage.numerics.mixture)
        self._tell(report)

    def _serve(self, action: Serve) -> None:
        members = self._servers = action.members
        point = self._storage.read()
        self._residuals, residuals = residuals_message(self._prepared, point)
        self._assembly = Assembly(self._prepared.division, residuals)
        self._in_force = list(point.amendments)
        for amendment in point.amendments:  # the service may not have the last ones
            if self._amendments.decided(amendment):
                self._tell(Amended(amendment))
        if self._amendments.ever_stale(self._prepared.spec.training.consistency):
            self._go_back(point.epoch)
        prepared, waiting = self._prepared.amended(point.amendments), self._waiting(point)
        self._reports.schedule = prepared.schedule
        for notice in point.damage:
            self._tell(notice)
        self._carry_out(self._coordinator.served(point.step, point.steps, damaged=bool(point.damage)))
        for notice in point.changes:
            self._tell(notice)
        for shard, member in enumerate(members):
            conductor = self._members.data_planes[members[0]] if shard else None
            more = () if shard else waiting
            message, arrays = serve_message(
                prepared, point, action.generation, shard=shard, conductor=conductor, waiting=more
            )
            self._members.send(member, message, arrays)

    def _go_back(self, epoch: int) -> None:
        """Remove the epochs after this one from the record: they are computed again, and the new results count."""
        history = self._storage.history
        history.go_on_from(epoch)
        self._reports.go_on_from(history.last)
        self._tell(WentBack(history.newest()))

    def _waiting(self, point: StartingPoint) -> list[Amendment]:
        """Return the amendments that are not in force at a point, none of them before the epochs of the record."""
        newest = self._storage.history.newest()
        return self._amendments.waiting(point.amendments, newest.step if newest is not None else 0)

    def _work(self, action: Work) -> None:
        data_planes = [self._members.data_planes[server] for server in self._servers]
        manifest, arrays = None, None
        if not action.has_data:
            manifest, arrays = self._data.for_worker(is_local=self._members.is_local(action.member))
        work = work_message(self._prepared, data_planes, action, manifest)
        if self._residuals is not None:
            self._members.send(action.member, *self._residuals)
        self._members.send(action.member, work, arrays)

    def _save(self) -> None:
        assert self._snapshot is not None
        (snapshot, arrays), began = self._snapshot, self._clock()
        try:
            written = self._storage.write(snapshot, arrays)
        except (OSError, MemoryError) as error:
            why = getattr(error, "strerror", None) or str(error) or "not enough memory"
            if not snapshot.final:
                self._snapshot = None
            over = snapshot.ending is not None
            failed = self._coordinator.save_failed(snapshot.step, why, final=snapshot.final, complete=over)
            self._carry_out(failed)
            return
        self._snapshot = None
        for notice in written.notices:
            self._tell(notice)
        taken = CheckpointTaken(snapshot.step, self._clock() - began, written.size_bytes)
        ending = describe(snapshot, self._prepared.amended(snapshot.amendments).spec.training)
        saved = self._coordinator.saved(taken, final=snapshot.final, digest=written.digest, ending=ending)
        self._carry_out(saved)
