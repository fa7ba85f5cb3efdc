"""The parameter server with the conductor: frames become events of the conductor, and its actions are carried out."""

from collections.abc import Sequence
from math import inf

from raydient.steps.schedule import RoundKind
from raydient.wire import control
from raydient.wire.connection import Connection, Frame
from raydient.wire.frames import Header, Kind, ProtocolError, UnexpectedPeerError
from raydient.wire.memory import Segment
from raydient.wire.network import Closed, Network

from .actions import Action, Amended, Assign, Boundary, Diverged, EpochEnd, PlanInForce
from .arrivals import Arrivals
from .building import build_conductor
from .consistency import FixedLeaves, policy_of
from .deadlines import LOOK_SECONDS, deadlines_of
from .encoding import answer_in, arrival_in
from .links import Link, Push
from .meters import Meters
from .peers import Peers
from .reporting import STATUS_SECONDS, Reporting
from .requests import Answer, Reduce, Request, Update
from .serving import ShardServer, terms_of
from .snapshots import take


class ConductorShell:
    """The conductor and the first shard on their network; see `shell.ServerRole`."""

    def __init__(
        self, network: Network, *, coordinator: Connection, serve: control.Serve, arrays: control.Arrays
    ) -> None:
        self._network, self._coordinator, self._generation = network, coordinator, serve.generation
        self._terms = terms_of(serve)
        slots = self._terms.slots
        fixed = self._fixed = FixedLeaves(serve.schedule.round(0).leaves) if self._terms.feeds_back else None
        self._conductor, settings = build_conductor(
            serve, arrays, lambda consistency, watched: fixed or policy_of(consistency, slots, watched)
        )
        self._memory = Segment.create(self._terms.weights_bytes)
        start, stop = serve.ranges[0]
        weights = self._terms.weights_in(self._memory)[start:stop]
        self._server = ShardServer(network, serve, settings.rule, self._terms, weights=weights, arrays=arrays)
        self._peers = Peers(network, self._terms, self._memory, serve.generation)
        self._arrivals: Arrivals[Push] = Arrivals(self._terms.shards - 1)
        self._links: dict[Connection, Link] = {}
        self._meters = Meters(network.now)
        self._deadlines, self._rule = deadlines_of(settings.training.consistency), settings.rule
        self._reporting = Reporting(network, coordinator, self._conductor, self._meters)
        self._is_timed, self._looked = settings.limit_seconds < inf, network.now()
        self._next_look = 0.0
        self._update_began = 0.0
        self._hold()

    @property
    def timeout_seconds(self) -> float:
        return STATUS_SECONDS if self._reporting.waiting else LOOK_SECONDS

    def close(self) -> None:
        self._server.close()

    def look(self) -> None:
        """Report overdue workers, once a second until the coordinator dismisses them, and epochs that are due."""
        now = self._network.now()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            if overdue := self._deadlines.overdue(self._conductor.owing, now):
                assert self._conductor.current is not None
                self._report(control.Overdue(self._conductor.current.number, overdue))
        if self._is_timed:
            self._carry_out(self._conductor.spend(now - self._looked if self._conductor.owing else 0.0))
            self._looked = now
        self._reporting.offer_epochs()
        self._hold()

    def _hold(self) -> None:
        """Begin no round while epochs wait to be reported, or before all shards are ready."""
        self._carry_out(self._conductor.hold(self._reporting.full or not self._peers.complete))

    # ---- events

    def obey(self, message: control.Message) -> None:
        match message:
            case control.Plan(number=number, workers=workers, shares=shares):
                self._carry_out(self._conductor.plan(number, workers, shares))
            case control.Amend(amendment=amendment):
                self._carry_out(self._conductor.amend(amendment))
            case control.TakeSnapshot():
                self._carry_out(self._conductor.snapshot())
            case control.Pause(at_once=at_once):
                self._carry_out(self._conductor.pause(at_once=at_once))
            case control.Stop():
                self._stop_workers()
            case control.Dismiss(worker=worker):
                self._dismiss(worker)
            case _:
                raise ProtocolError(f"a parameter server cannot obey {type(message).__name__}")

    def handle(self, connection: Connection, frame: Frame | Closed) -> None:
        if connection in self._peers:
            if isinstance(frame, Closed):
                raise ConnectionError(f"shard {self._peers[connection]} is gone")
            self._hear(connection, frame)
        elif isinstance(frame, Closed):
            self._detach(connection)
        else:
            link = self._links.get(connection)
            try:
                if link is not None:
                    self._take(link, frame)
                elif frame.header.kind is Kind.CONTROL:
                    self._join(connection, control.decode(frame).message)
                else:
                    self._attach(connection, frame.header)
            except ProtocolError as error:
                self._network.refusals.count(error)
                self._drop(connection)

    # ---- shards

    def _join(self, connection: Connection, message: control.Message) -> None:
        if not isinstance(message, control.Join):
            raise ProtocolError(f"expected Join, got {type(message).__name__}")
        self._peers.join(connection, message, self._links.values())
        if not connection.is_local:  # no worker can share memory with all shards
            for attached in [c for c, link in self._links.items() if link.slots is not None]:
                self._drop(attached)

    def _hear(self, connection: Connection, frame: Frame) -> None:
        header, shard = frame.header, self._peers[connection]
        if header.kind is Kind.ANSWER:
            self._answered(shard, answer_in(frame))
        elif header.kind is Kind.ARRIVED:
            worker, size = arrival_in(frame)
            push = self._arrivals.arrived(shard, worker, header.round, (header.first, header.last))
            self._meters.pushed_bytes(size)
            if push is not None:
                self._count(push)
        else:
            self._follow(connection, control.decode(frame).message)

    def _follow(self, connection: Connection, message: control.Message) -> None:
        match message:
            case control.Ready():
                self._peers.ready(connection)
            case control.Forget(worker=worker):
                self._dismiss(worker)
            case _:
                raise ProtocolError(f"a shard cannot send {type(message).__name__}")

    def _request(self, request: Request) -> None:
        if isinstance(request, Update | Reduce):
            self._update_began = self._network.now()
        self._peers.request(request)
        self._answered(0, self._server.answer(request))

    def _answered(self, shard: int, answer: Answer) -> None:
        step = self._conductor.position.step
        try:
            actions = self._conductor.answered(shard, answer)
        except ValueError as error:
            raise ProtocolError(str(error)) from None
        if self._conductor.position.step != step:
            self._meters.stepped(self._network.now() - self._update_began)
        self._carry_out(actions)

    # ---- workers

    def _attach(self, connection: Connection, header: Header) -> None:
        if header.kind is not Kind.ATTACH:
            raise ProtocolError(f"a connection that has not attached cannot send a {header.kind.name} frame")
        if header.generation != self._generation:
            raise UnexpectedPeerError("only workers of this generation may attach")
        if any(link.worker == header.first for link in self._links.values()):
            raise UnexpectedPeerError(f"worker {header.first} is attached already")
        if connection.is_local and not self._peers.share_memory:
            raise ProtocolError("a worker cannot share memory with shards of other nodes")
        with self._network.sending(connection):
            weights = self._memory if connection.is_local else self._server.shown
            link = Link(connection, header.first, weights, self._terms, self._generation)
            self._links[connection] = link
            if self._conductor.position.amendments:
                link.set_length(self._conductor.schedule)
            self._server.attach(link.worker, link.source, None if connection.is_local else connection)
            self._peers.attached(link)
            self._conductor.attached(link.worker)
            self._report(control.Attached(link.worker))

    def _dismiss(self, worker: int) -> None:
        for connection in [c for c, link in self._links.items() if link.worker == worker]:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._network.drop(connection)
        self._detach(connection)

    def _detach(self, connection: Connection) -> None:
        link = self._links.pop(connection, None)
        if link is not None:
            self._server.forget(link.worker)
            self._peers.forget(link.worker)
            self._arrivals.forget(link.worker)
            self._meters.forget(link.worker)
            self._carry_out(self._conductor.detached(link.worker))

    def _take(self, link: Link, frame: Frame) -> None:
        """Take a push, whose gradient may still travel to other shards, a frame before it, or a request for rows."""
        header = frame.header
        if header.kind is Kind.GRADIENT:
            link.keep_part(frame)
            return
        if header.kind is Kind.SCORES:
            link.keep_scores(frame)
            return
        if header.kind is Kind.PULL:
            answer, rows = link.rows(frame, self._server.version)
            with self._network.sending(link.connection):
                link.connection.send(answer, *rows)
            return
        if header.kind is not Kind.PUSH:
            raise ProtocolError(f"a worker that is attached cannot send a {header.kind.name} frame")
        note = link.note(frame)
        self._meters.pulled(int(note.pulled[0]))
        self._meters.saved(int(note.saved[0]))
        opened, node = self._conductor.open_round(header.round), (header.first, header.last)
        size, scores = len(frame.payload), None
        trains = opened is not None and opened.kind is RoundKind.TRAIN
        if trains:
            size = link.take_gradient(frame)
        if opened is not None:
            scores = link.scores(header, opened.rows(node))
        push = Push(link, header, note.sums, scores, note.seconds.tolist(), size)
        waits = trains and link.slots is None
        arrived = self._arrivals.pushed(link.worker, header.round, node, push) if waits else push
        if arrived is not None:
            self._count(arrived)

    def _count(self, push: Push) -> None:
        """Add a push, which every shard has, to the round."""
        link, header = push.link, push.header
        opened, now = self._conductor.open_round(header.round), self._network.now()
        contribution = link.worker, header.slot, header.round
        refusal, actions = self._conductor.push(
            header.round, (header.first, header.last), contribution, push.sums, push.scores
        )
        if refusal:
            with self._network.sending(link.connection):
                link.refuse(header, refusal)
            return
        self._meters.pushed(push.seconds, push.size_bytes)
        if opened is not None and self._conductor.schedule.is_whole_step(opened):
            forward, backward, *_ = push.seconds
            self._meters.computed(link.worker, header.last - header.first, forward + backward)
        self._deadlines.pushed(link.worker, now)
        if self._conductor.open_round(header.round) is None or any(isinstance(action, Request) for action in actions):
            self._deadlines.completed(now)
        self._carry_out(actions)

    # ---- actions

    def _carry_out(self, actions: Sequence[Action]) -> None:
        assigned: list[Assign] = []
        for action in actions:
            match action:
                case Assign():
                    assigned.append(action)
                case EpochEnd():
                    self._reporting.end_epoch(action)
                case Boundary():
                    self._reporting.report_all()
                    self._send_snapshot(action)
                case Diverged():
                    self._reporting.diverge(action)
                case Amended():
                    self._amend(action)
                case PlanInForce(number=number):
                    self._report(control.PlanInForce(number))
                case _:
                    self._request(action)
        # The messages to the coordinator come first: workers make the machine busy.
        self._assign(assigned)

    def _amend(self, amended: Amended) -> None:
        """Report the amendment before all that depends on it, and have shards and workers follow it."""
        self._report(control.Amended(amended.amendment))
        settings, watched = amended.settings, self._conductor.position.watched
        self._rule = settings.rule
        self._server.retrain(settings.rule, settings.training.consistency)
        self._peers.retrain(control.Retrain(settings.training.canonical(), settings.schedule, watched))
        for link in self._links.values():
            with self._network.sending(link.connection):
                link.set_length(settings.schedule)
        self._is_timed, self._looked = settings.limit_seconds < inf, self._network.now()
        self._deadlines = deadlines_of(settings.training.consistency, self._deadlines)

    def _assign(self, assigned: list[Assign]) -> None:
        links = {link.worker: link for link in self._links.values()}
        # Remote workers come first: their weights travel longest, and sending them takes this thread a while.
        assigned.sort(key=lambda assign: links[assign.worker].connection.is_local)
        now = self._network.now()
        for assign in assigned:
            opened = self._conductor.open_round(assign.round)
            assert opened is not None, "an assignment of a round that is not open"
            self._deadlines.assigned(assign.worker, opened, assign.last - assign.first, now)
            self._arrivals.assigned(assign.worker, assign.round)
            link = links[assign.worker]
            if link.slots is None:
                self._peers.feed(assign)
            with self._network.sending(link.connection):
                rate = self._rule.local_rate(opened)
                link.assign(assign, self._server.version, copies=self._conductor.is_stale, rate=rate)
            if link.slots is not None:
                self._meters.pulled(self._terms.weights_bytes)
        if assigned:
            self._reporting.begin_round()

    def _send_snapshot(self, boundary: Boundary) -> None:
        position, holders = self._conductor.position, self._fixed.holders if self._fixed is not None else ()
        message, copy = take(position, self._server.arrays, boundary, ranked=self._terms.scores > 0, holders=holders)
        self._network.send(self._coordinator, message, copy)
        self._peers.take_parts(position.round, position.step)
        for link in [link for link in self._links.values() if link.worker in holders]:
            with self._network.sending(link.connection):
                link.request_residuals(position.round)
        self._deadlines.interrupted(holders)

    def _stop_workers(self) -> None:
        for link in self._links.values():
            with self._network.sending(link.connection):
                link.connection.send(Header(Kind.STOP, self._generation))

    def _report(self, message: control.Message) -> None:
        self._network.send(self._coordinator, message)
