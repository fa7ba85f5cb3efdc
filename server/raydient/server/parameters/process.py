"""The process around a parameter server: sockets in, `ParameterServer` called, actions carried out."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from raydient.steps.gradient import GradientLayout
from raydient.steps.schedule import RoundKind
from raydient.steps.scores import EPOCH_SCORES, as_bytes, from_bytes
from raydient.wire import control
from raydient.wire.connection import Connection, Frame, unlimited
from raydient.wire.endpoint import Endpoint
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.hub import Hub
from raydient.wire.launch import Launch, from_json
from raydient.wire.lifeline import hold
from raydient.wire.memory import Bundle
from raydient.wire.network import Closed, Network
from raydient.wire.terms import Terms

from .deadlines import LOOK_SECONDS, Deadlines
from .health import LayerMeter
from .links import Link, open_link, passing_on, refuse
from .meters import Meters
from .optimizers import build_optimizer
from .server import Action, Assign, Boundary, Diverged, EpochEnd, ParameterServer, PlanInForce, Position
from .update import Updater

STATUS_SECONDS = 0.2
"""Shortest interval between reports of progress to the coordinator: fast enough for a person, at negligible cost."""
EPOCHS_AT_ONCE = 200
"""Number of epochs that are reported singly, each with a status; further short epochs are reported in batches."""
EPOCHS_WAITING = 256
"""Maximum number of epochs that wait while the coordinator does not read; no round begins until it has read."""
CONTROL_LIMIT = 1 << 20
"""Bytes of a control message without arrays."""


def main(text: str, host: str, node: str) -> None:
    """Serve the job of a `Launch` (JSON) until its coordinator has ended."""
    launch = from_json(text)
    with hold(launch, node), closing(Hub(bytes.fromhex(launch.secret), CONTROL_LIMIT)) as network:
        ParameterServerProcess(launch, network, host, node).run()


class ParameterServerProcess:
    """A parameter server on its network. One thread, except for the second half of large updates."""

    def __init__(self, launch: Launch, network: Network, host: str, node: str = "") -> None:
        self._launch, self._host, self._node = launch, host, node
        self._network, self._clock = network, network.now
        self._coordinator = network.dial(launch.coordinator, node=node)
        self._links: dict[Connection, Link] = {}
        self._next_status = self._next_look = 0.0
        self._epochs: list[control.EpochSums] = []  # complete and not reported yet
        self._epoch_began = self._epochs_told = 0.0  # times
        self._allowance: float = EPOCHS_AT_ONCE  # messages about epochs that may be sent at once
        self._deadlines = Deadlines()
        self._running = True
        self._threads = min(
            2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="update")

    def run(self) -> None:
        try:
            endpoint = self._network.listen(self._host, node=self._node)
            serve, arrays = self._introduce(endpoint)
            self._prepare(serve, arrays)
            self._network.adopt(self._coordinator)
            while self._running:
                for connection, frame in self._network.poll(STATUS_SECONDS if self._epochs else LOOK_SECONDS):
                    self._handle(connection, frame)
                self._look()
                self._offer_epochs()
                self._carry_out(self._server.hold(len(self._epochs) >= EPOCHS_WAITING))
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

    def _prepare(self, serve: control.Message, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        if not isinstance(serve, control.Serve):
            raise ProtocolError(f"expected Serve, got {type(serve).__name__}")
        layout = serve.layout
        optimizer = build_optimizer(serve.optimizer, serve.settings)
        names = ("weights", *optimizer.state)
        self._bundle = Bundle.allocate(dict.fromkeys(names, ("<f4", (layout.size,))))
        for name in names:
            if name in arrays:
                self._bundle.arrays[name][:] = arrays[name]
        weights, *state = self._bundle.arrays.values()
        slots = min(serve.schedule.microbatches, serve.schedule.batch_size)
        gradient = GradientLayout.of(layout, sum(count for _, count in serve.layers))
        rows = max(serve.schedule.batch_size, serve.schedule.test_rows)
        self._terms = Terms(gradient, slots, serve.sums, len(serve.ranks), rows)
        position = Position(serve.round, serve.step, np.array(serve.epoch_sums or [0.0] * (1 + serve.sums)))
        if serve.ranks and EPOCH_SCORES in arrays:
            position.epoch_scores.append(from_bytes(arrays[EPOCH_SCORES], len(serve.ranks)))
        updater = Updater(
            weights,
            state,
            depth=slots.bit_length(),
            threads=self._threads,
            executor=self._executor,
            parameters=layout.parameters,
            tables=gradient.tables,
            updated=passing_on(self._network, self._links, position),
        )
        self._server = ParameterServer(
            layout=layout,
            schedule=serve.schedule,
            optimizer=optimizer,
            position=position,
            updater=updater,
            meter=LayerMeter(layout, serve.layers),
            ranks=serve.ranks,
        )
        self._meters = Meters(self._clock)

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
                self._carry_out(self._server.plan(number, workers, shares))
            case control.TakeSnapshot():
                self._carry_out(self._server.snapshot())
            case control.Pause(at_once=at_once):
                self._carry_out(self._server.pause(at_once=at_once))
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
            self._server.attached(header.first)
            self._tell(control.Attached(header.first))

    def _detach(self, connection: Connection) -> None:
        link = self._links.pop(connection, None)
        if link is not None:
            self._carry_out(self._server.detached(link.worker))

    def _push(self, link: Link, frame: Frame) -> None:
        header = frame.header
        if header.kind is Kind.SCORES:
            link.keep_scores(frame)
            return
        if header.kind is not Kind.PUSH:
            raise ProtocolError(f"a worker that is attached cannot send a {header.kind.name} frame")
        sums, seconds = link.note(frame)
        opened, node = self._server.current, (header.first, header.last)
        gradient = scores = None
        if opened is not None and opened.number == header.round:
            gradient = link.gradient(frame) if opened.kind is RoundKind.TRAIN else None
            scores = link.scores(header, opened.rows(node))
        step, began = self._server.position.step, self._clock()
        refusal, actions = self._server.push(header.round, node, gradient, sums, scores)
        if refusal:
            with self._network.sending(link.connection):
                refuse(link, header, refusal)
            return
        self._meters.pushed(
            seconds.tolist(), len(frame.payload) if gradient is None else self._terms.bytes_of(gradient)
        )
        self._deadlines.pushed(link.worker, began)
        if self._server.current is not opened:
            self._deadlines.completed(began)
        if self._server.position.step != step:
            self._meters.stepped(self._clock() - began)
        self._carry_out(actions)

    def _look(self) -> None:
        """Report overdue workers to the coordinator, once a second until it dismisses them."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        if overdue := self._deadlines.overdue(self._server.owing, now):
            assert self._server.current is not None
            self._tell(control.Overdue(self._server.current.number, overdue))

    def _offer_epochs(self) -> None:
        """Report epochs to the coordinator, if that is due and it has read the previous messages."""
        now = self._clock()
        earned = (now - self._epochs_told) / STATUS_SECONDS
        due = len(self._epochs) >= EPOCHS_WAITING or self._allowance + earned >= 1
        if self._epochs and due and not self._coordinator.pending:
            self._allowance = min(EPOCHS_AT_ONCE, self._allowance + earned) - 1
            self._epochs_told = now
            self._status(always=True)
            self._tell_epochs()

    # ---- actions

    def _carry_out(self, actions: Sequence[Action]) -> None:
        assigned: list[Assign] = []
        for action in actions:
            match action:
                case Assign():
                    assigned.append(action)
                case EpochEnd(epoch=epoch, step=step, train=train, test=test):
                    now, began = self._clock(), self._epoch_began
                    self._epochs.append(control.EpochSums(epoch, step, now - began, train, test))
                    self._epoch_began = now
                    self._offer_epochs()
                case Boundary(final=final):
                    self._status(always=True)
                    self._tell_epochs()
                    self._snapshot(final)
                case Diverged(kind=kind, step=step, loss=loss, parameter=parameter, finite=finite):
                    self._status(always=True)  # with the layers' health
                    self._tell_epochs()
                    self._tell(control.NonFinite(kind, step, loss, parameter, finite))
                case PlanInForce(number=number):
                    self._tell(control.PlanInForce(number))
        # After the messages to the coordinator, which are thus sent before the machine gets busy.
        links = {link.worker: link for link in self._links.values()}
        # Remote workers first: their weights travel longest, and sending them takes this thread a while.
        assigned.sort(key=lambda assign: links[assign.worker].connection.is_local)
        opened, now = self._server.current, self._clock()
        for assign in assigned:
            assert opened is not None
            self._deadlines.assigned(assign.worker, opened, assign.last - assign.first, now)
            link = links[assign.worker]
            with self._network.sending(link.connection):
                link.assign(assign, self._server.position.step)
            self._meters.pulled(self._terms.weights_bytes)
        if assigned:
            if not self._epoch_began:
                self._epoch_began = now
            self._status()

    def _snapshot(self, final: bool) -> None:
        position = self._server.position
        message = control.Snapshot(position.round, position.step, position.epoch_sums.tolist(), final)
        arrays = dict(self._bundle.arrays)
        if self._terms.scores:
            pieces = position.epoch_scores
            arrays[EPOCH_SCORES] = np.concatenate([np.empty(0, np.uint8), *map(as_bytes, pieces)])
        copy = Bundle.of(arrays)
        self._network.send(self._coordinator, message, copy)
        if final:
            for link in self._links.values():
                with self._network.sending(link.connection):
                    link.connection.send(Header(Kind.STOP, self._launch.generation))

    def _status(self, *, always: bool = False) -> None:
        now, server = self._clock(), self._server
        loss = server.last_loss
        if loss is None or not (always or (now >= self._next_status and not self._coordinator.pending)):
            return  # before the first step there is no status
        self._next_status = now + STATUS_SECONDS
        measurements = self._meters.read(loss, server.optimizer.learning_rate, server.health)
        self._tell(control.Status(server.position.round, server.position.step, measurements))

    def _tell_epochs(self) -> None:
        if self._epochs:
            epochs, self._epochs = self._epochs, []
            self._tell(control.EpochsDone(epochs))

    def _tell(self, message: control.Message) -> None:
        self._network.send(self._coordinator, message)
