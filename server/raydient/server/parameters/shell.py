"""The process of a parameter server: frames become events of the conductor, and its actions are carried out."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from raydient.steps.arrays import AnyArray
from raydient.steps.gradient import GradientLayout
from raydient.steps.schedule import RoundKind
from raydient.wire import control
from raydient.wire.connection import Connection, Frame, unlimited
from raydient.wire.endpoint import Endpoint
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.hub import Hub
from raydient.wire.launch import Launch, from_json
from raydient.wire.lifeline import hold
from raydient.wire.network import Closed, Network
from raydient.wire.terms import Terms

from .blocks import Blocks
from .conductor import Action, Assign, Boundary, Conductor, Diverged, EpochEnd, PlanInForce
from .deadlines import LOOK_SECONDS, Deadlines
from .health import LayerMeter
from .links import Link, open_link, passing_on, refuse
from .meters import Meters
from .optimizers import build_rule
from .reporting import STATUS_SECONDS, Reporting
from .shard import Shard
from .snapshots import restore, take
from .update import Updater
from .weights import Weights

CONTROL_LIMIT = 1 << 20
"""Bytes of a control message without arrays."""


def main(text: str, host: str, node: str) -> None:
    """Serve the job of a `Launch` (JSON) until its coordinator has ended."""
    launch = from_json(text)
    with hold(launch, node), closing(Hub(bytes.fromhex(launch.secret), CONTROL_LIMIT)) as network:
        ParameterServerShell(launch, network, host, node).run()


class ParameterServerShell:
    """A parameter server on its network. One thread, except for the second half of large updates."""

    def __init__(self, launch: Launch, network: Network, host: str, node: str = "") -> None:
        self._launch, self._host, self._node = launch, host, node
        self._network = network
        self._coordinator = network.dial(launch.coordinator, node=node)
        self._links: dict[Connection, Link] = {}
        self._next_look = 0.0
        self._deadlines = Deadlines()
        self._running = True
        self._threads = min(
            2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="update")

    def run(self) -> None:
        """Serve until the connection to the coordinator ends. Raises ProtocolError if the coordinator breaks it."""
        try:
            endpoint = self._network.listen(self._host, node=self._node)
            serve, arrays = self._introduce(endpoint)
            self._prepare(serve, arrays)
            self._network.adopt(self._coordinator)
            while self._running:
                timeout_seconds = STATUS_SECONDS if self._reporting.waiting else LOOK_SECONDS
                for connection, frame in self._network.poll(timeout_seconds):
                    self._handle(connection, frame)
                self._look()
                self._reporting.offer_epochs()
                self._carry_out(self._conductor.hold(self._reporting.full))
        finally:
            self._coordinator.close()
            self._executor.shutdown()

    def _introduce(self, endpoint: Endpoint) -> control.Received:
        hello = control.Hello(
            control.Role.PARAMETER_SERVER, self._launch.member, self._launch.generation, os.getpid(), endpoint
        )
        self._coordinator.allocate = unlimited  # the answer carries the weights
        control.send(self._coordinator, hello)
        return control.receive(self._coordinator)

    def _prepare(self, serve: control.Message, arrays: Mapping[str, AnyArray]) -> None:
        if not isinstance(serve, control.Serve):
            raise ProtocolError(f"expected Serve, got {type(serve).__name__}")
        rule = build_rule(serve.optimizer, serve.settings)
        self._bundle, position = restore(serve, arrays, rule.optimizer.state)
        self._terms = _terms(serve)
        weights, *state = self._bundle.arrays.values()
        updater = Updater(
            Weights(weights, state, rule, serve.layout.parameters),
            Blocks(serve.layout.size, self._terms.slots.bit_length(), self._threads, self._executor),
            tables=self._terms.gradient.tables,
            updated=passing_on(self._network, self._links, position),
        )
        shard = Shard(serve.layout, updater, LayerMeter(serve.layout, serve.layers))
        self._conductor = Conductor(serve.schedule, position, shard, serve.ranks)
        self._meters = Meters(self._network.now)
        self._reporting = Reporting(self._network, self._coordinator, self._conductor, self._meters)

    # ---- events

    def _handle(self, connection: Connection, frame: Frame | Closed) -> None:
        if connection is self._coordinator:
            if isinstance(frame, Closed):
                self._running = False  # without a coordinator there is no job
            else:
                self._obey(control.decode(frame).message)
        elif isinstance(frame, Closed):
            self._detach(connection)
        else:
            link = self._links.get(connection)
            try:
                if link is None:
                    self._attach(connection, frame)
                else:
                    self._push(link, frame)
            except ProtocolError:
                self._network.drop(connection)
                self._detach(connection)

    def _obey(self, message: control.Message) -> None:
        match message:
            case control.Plan(number=number, workers=workers, shares=shares):
                self._carry_out(self._conductor.plan(number, workers, shares))
            case control.TakeSnapshot():
                self._carry_out(self._conductor.snapshot())
            case control.Pause(at_once=at_once):
                self._carry_out(self._conductor.pause(at_once=at_once))
            case control.Dismiss(worker=worker):
                for connection in [c for c, link in self._links.items() if link.worker == worker]:
                    self._network.drop(connection)
                    self._detach(connection)
            case _:
                raise ProtocolError(f"a parameter server cannot obey {type(message).__name__}")

    def _attach(self, connection: Connection, frame: Frame) -> None:
        header = frame.header
        if header.kind is not Kind.ATTACH or header.generation != self._launch.generation:
            raise ProtocolError("only workers of this generation may attach")
        if any(link.worker == header.first for link in self._links.values()):
            raise ProtocolError(f"worker {header.first} is attached already")
        with self._network.sending(connection):
            self._links[connection] = open_link(
                connection, header.first, self._bundle.segment, self._terms, self._launch.generation
            )
            self._conductor.attached(header.first)
            self._report(control.Attached(header.first))

    def _detach(self, connection: Connection) -> None:
        link = self._links.pop(connection, None)
        if link is not None:
            self._carry_out(self._conductor.detached(link.worker))

    def _push(self, link: Link, frame: Frame) -> None:
        header = frame.header
        if header.kind is Kind.SCORES:
            link.keep_scores(frame)
            return
        if header.kind is not Kind.PUSH:
            raise ProtocolError(f"a worker that is attached cannot send a {header.kind.name} frame")
        sums, seconds = link.note(frame)
        opened, node = self._conductor.current, (header.first, header.last)
        gradient = scores = None
        if opened is not None and opened.number == header.round:
            gradient = link.gradient(frame) if opened.kind is RoundKind.TRAIN else None
            scores = link.scores(header, opened.rows(node))
        step, began = self._conductor.position.step, self._network.now()
        refusal, actions = self._conductor.push(header.round, node, gradient, sums, scores)
        if refusal:
            with self._network.sending(link.connection):
                refuse(link, header, refusal)
            return
        self._meters.pushed(
            seconds.tolist(), len(frame.payload) if gradient is None else self._terms.bytes_of(gradient)
        )
        self._deadlines.pushed(link.worker, began)
        if self._conductor.current is not opened:
            self._deadlines.completed(began)
        if self._conductor.position.step != step:
            self._meters.stepped(self._network.now() - began)
        self._carry_out(actions)

    def _look(self) -> None:
        """Report overdue workers to the coordinator, once a second until it dismisses them."""
        now = self._network.now()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        if overdue := self._deadlines.overdue(self._conductor.owing, now):
            assert self._conductor.current is not None
            self._report(control.Overdue(self._conductor.current.number, overdue))

    # ---- actions

    def _carry_out(self, actions: Sequence[Action]) -> None:
        assigned: list[Assign] = []
        for action in actions:
            match action:
                case Assign():
                    assigned.append(action)
                case EpochEnd():
                    self._reporting.end_epoch(action)
                case Boundary(final=final):
                    self._reporting.report_all()
                    self._send_snapshot(final)
                case Diverged(kind=kind, step=step, loss=loss, parameter=parameter, finite=finite):
                    self._reporting.report_all()  # with the layers' health
                    self._report(control.NonFinite(kind, step, loss, parameter, finite))
                case PlanInForce(number=number):
                    self._report(control.PlanInForce(number))
        # The messages to the coordinator come first: workers make the machine busy.
        links = {link.worker: link for link in self._links.values()}
        # Remote workers come first: their weights travel longest, and sending them takes this thread a while.
        assigned.sort(key=lambda assign: links[assign.worker].connection.is_local)
        opened, now = self._conductor.current, self._network.now()
        for assign in assigned:
            assert opened is not None
            self._deadlines.assigned(assign.worker, opened, assign.last - assign.first, now)
            link = links[assign.worker]
            with self._network.sending(link.connection):
                link.assign(assign, self._conductor.position.step)
            self._meters.pulled(self._terms.weights_bytes)
        if assigned:
            self._reporting.begin_round()

    def _send_snapshot(self, final: bool) -> None:
        message, copy = take(self._conductor.position, self._bundle, final=final, ranked=self._terms.scores > 0)
        self._network.send(self._coordinator, message, copy)
        if final:
            for link in self._links.values():
                with self._network.sending(link.connection):
                    link.connection.send(Header(Kind.STOP, self._launch.generation))

    def _report(self, message: control.Message) -> None:
        self._network.send(self._coordinator, message)


def _terms(serve: control.Serve) -> Terms:
    """Return the terms for the workers of a job."""
    schedule = serve.schedule
    return Terms(
        gradient=GradientLayout.of(serve.layout, units=sum(units for _, units in serve.layers)),
        slots=min(schedule.microbatches, schedule.batch_size),
        sums=serve.sums,
        scores=len(serve.ranks),
        rows=max(schedule.batch_size, schedule.test_rows),
    )
