"""The parameter server of a further shard: frames become requests to the shard, and its answers go to the conductor."""

from typing import NamedTuple

from raydient.spec.training import Training
from raydient.steps.arrays import Vector, aligned_zeros
from raydient.wire import control
from raydient.wire.connection import Connection, Frame, limited_to
from raydient.wire.frames import Header, Kind, ProtocolError, UnexpectedPeerError
from raydient.wire.memory import Bundle
from raydient.wire.network import Closed, Network

from .encoding import request_in, send_answer, send_arrival
from .links import SLOTS
from .rule import build_rule
from .serving import ShardServer, terms_of
from .snapshots import WEIGHTS, values_in
from .sources import Received, SharedSlots

IDLE_SECONDS = 1.0
JOINED_LIMIT = 1 << 10
"""Bytes of the conductor's answer to `Join`, without the memory."""


class _Worker(NamedTuple):
    """A worker that is attached over TCP."""

    number: int
    received: Received


class ShardShell:
    """A shard on its network; see `shell.ServerRole`. It cannot go on without its conductor."""

    timeout_seconds = IDLE_SECONDS

    def __init__(
        self,
        network: Network,
        *,
        coordinator: Connection,
        conductor: Connection,
        serve: control.Serve,
        arrays: control.Arrays,
    ) -> None:
        """Join the conductor, which must answer. Raises ConnectionError if it does not accept this shard."""
        self._network, self._coordinator, self._conductor = network, coordinator, conductor
        self._generation, self._schedule, self._number = serve.generation, serve.schedule, serve.shard
        self._workers: dict[Connection, _Worker] = {}
        self._terms = terms_of(serve)
        conductor.allocate = limited_to(JOINED_LIMIT)
        control.send(conductor, control.Join(serve.shard, serve.generation))
        joined, memory = control.receive(conductor)
        if not isinstance(joined, control.Joined):
            raise ProtocolError(f"expected Joined, got {type(joined).__name__}")
        rule = build_rule(Training.model_validate(serve.training), serve.schedule, serve.watched)
        self._server = ShardServer(network, serve, rule, self._terms, weights=self._weights(memory), arrays=arrays)
        network.adopt(conductor)
        network.send(conductor, control.Ready())

    def _weights(self, memory: control.Arrays) -> Vector:
        mine = self._terms.of_shard(self._number)
        if WEIGHTS not in memory:
            return aligned_zeros((mine.gradient.size,), "<f4")
        return values_in(memory, WEIGHTS, self._terms.gradient.size)[mine.start : mine.stop]

    def close(self) -> None:
        self._server.close()
        self._network.drop(self._conductor)

    def look(self) -> None:
        """Do nothing: a shard acts on requests alone."""

    def obey(self, message: control.Message) -> None:
        raise ProtocolError(f"a shard cannot obey {type(message).__name__}")

    def handle(self, connection: Connection, frame: Frame | Closed) -> None:
        if connection is self._conductor:
            if isinstance(frame, Closed):
                raise ConnectionError("the conductor is gone")
            self._follow(frame)
        elif isinstance(frame, Closed):
            self._lose(connection)
        else:
            try:
                self._take(connection, frame)
            except ProtocolError as error:
                self._network.refusals.count(error)
                self._network.drop(connection)
                self._lose(connection)

    # ---- the conductor

    def _follow(self, frame: Frame) -> None:
        header = frame.header
        if header.kind is Kind.REQUEST:
            answer = self._server.answer(request_in(frame, self._schedule))
            with self._network.sending(self._conductor):
                send_answer(self._conductor, answer, self._generation)
        elif header.kind is Kind.FEED:
            self._feed(header)
        else:
            self._obey_conductor(*control.decode(frame))

    def _obey_conductor(self, message: control.Message, arrays: control.Arrays) -> None:
        match message:
            case control.Slots(worker=worker):
                slots = self._terms.slots_of(values_in(arrays, SLOTS, self._terms.slots_bytes // 4))
                self._server.attach(worker, SharedSlots(self._terms.of_shard(self._number), slots))
            case control.Forget(worker=worker):
                for connection in self._connections(worker):
                    self._drop(connection)
                self._server.forget(worker)
            case control.Retrain(training=training, schedule=schedule, watched=watched):
                self._schedule, amended = schedule, Training.model_validate(training)
                self._server.retrain(build_rule(amended, schedule, watched), amended.consistency)
            case control.TakePart(round=round_, step=step):
                part = control.SnapshotPart(self._number, round_, step)
                self._network.send(self._coordinator, part, Bundle.of(self._server.arrays))
            case _:
                raise ProtocolError(f"a shard cannot use {type(message).__name__}")

    def _feed(self, header: Header) -> None:
        for connection in self._connections(header.first):
            with self._network.sending(connection):
                self._workers[connection].received.begin(header.round, self._server.version, kept=header.last)

    # ---- workers

    def _take(self, connection: Connection, frame: Frame) -> None:
        header = frame.header
        if header.generation != self._generation:
            raise UnexpectedPeerError("only workers of this generation may attach")
        worker = self._workers.get(connection)
        if worker is None:
            self._attach(connection, header)
            return
        if header.kind is Kind.PULL:
            answer, rows = worker.received.rows(frame, self._server.version)
            with self._network.sending(connection):
                connection.send(answer, *rows)
            return
        if header.kind is not Kind.GRADIENT:
            raise ProtocolError(f"a worker cannot send a {header.kind.name} frame to a shard")
        size = worker.received.keep(frame)
        if not size:
            return  # parts of the gradient are to come
        with self._network.sending(self._conductor):
            send_arrival(self._conductor, header, worker.number, size)

    def _attach(self, connection: Connection, header: Header) -> None:
        worker = header.first
        if header.kind is not Kind.ATTACH:
            raise ProtocolError(f"a connection that has not attached cannot send a {header.kind.name} frame")
        if self._connections(worker):
            raise UnexpectedPeerError(f"worker {worker} is attached already")
        received = Received(connection, self._server.shown, self._terms, self._number, self._generation)
        self._workers[connection] = _Worker(worker, received)
        connection.allocate = received.allocate_only
        self._server.attach(worker, received, connection)
        with self._network.sending(connection):
            connection.send(Header(Kind.ATTACHED, self._generation))

    def _connections(self, worker: int) -> list[Connection]:
        """Return the connection of a worker, or nothing if it is not attached."""
        return [connection for connection, attached in self._workers.items() if attached.number == worker]

    def _lose(self, connection: Connection) -> None:
        """Forget a worker whose connection has ended, as the conductor must: a gradient may be lost with it."""
        worker = self._workers.get(connection)
        self._forget(connection)
        if worker is not None:
            self._network.send(self._conductor, control.Forget(worker.number))

    def _drop(self, connection: Connection) -> None:
        self._network.drop(connection)
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        worker = self._workers.pop(connection, None)
        if worker is not None:
            self._server.forget(worker.number)
