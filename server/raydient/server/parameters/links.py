"""The parameter server's end of the data plane: links that receive gradients from workers and send weights to them."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from raydient.steps.gradient import Gradient
from raydient.steps.scores import Scores
from raydient.steps.sparse import GradientError
from raydient.wire.connection import Connection, Frame, limited_to
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.memory import Segment
from raydient.wire.network import Network
from raydient.wire.terms import Terms

from .conductor import Assign
from .position import Position


class Link(Protocol):
    """The connection to one attached worker."""

    worker: int
    connection: Connection

    def assign(self, assign: Assign, step: int) -> None:
        """Send the assignment, and the weights after `step` updates if the worker does not have them. Never blocks."""

    def weights(self, round_: int, step: int, stop: int) -> None:
        """Send the first `stop` weights, which are those after `step` updates, if they have to travel. Never blocks.

        Called at the end of `round_` with growing `stop`, up to the number of weights.
        """

    def gradient(self, frame: Frame) -> Gradient:
        """Return the gradient of a push, which does not change before the worker's next round.

        Raises ProtocolError if no worker can have computed it.
        """

    def note(self, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sums and the seconds by phase of a push."""

    def keep_scores(self, frame: Frame) -> None:
        """Keep the scores for the push that follows."""

    def scores(self, push: Header, rows: int) -> Scores | None:
        """Return the scores that preceded a push, one for each of the node's `rows`; None if no metric ranks rows."""


def open_link(connection: Connection, worker: int, weights: Segment, terms: Terms, generation: int) -> Link:
    """Attach a worker: send it the terms, and with shared memory the descriptors."""
    kind = SharedMemoryLink if connection.is_local else TcpLink
    return kind(connection, worker, weights, terms, generation)


def passing_on(network: Network, links: Mapping[Connection, Link], position: Position) -> Callable[[int], None]:
    """Return a callback for `Updater` that sends updated weights while the rest is still being updated."""

    def updated(stop: int) -> None:
        for link in links.values():
            if not link.connection.is_local:
                with network.sending(link.connection):
                    link.weights(position.round, position.step + 1, stop)

    return updated


class _Link(ABC):
    """The part of a link that does not depend on the path of the gradient."""

    def __init__(self, connection: Connection, worker: int, weights: Segment, terms: Terms, generation: int) -> None:
        self.connection, self.worker = connection, worker
        self._terms, self._generation = terms, generation
        self._weights = terms.weights_in(weights)
        self._scores: Frame | None = None
        self._allocate_scores, self._allocate_note = limited_to(terms.score_bytes), limited_to(terms.note_bytes)
        connection.allocate = self._allocate

    def _allocate(self, header: Header) -> bytearray | memoryview:
        return self._allocate_scores(header) if header.kind is Kind.SCORES else self._allocate_note(header)

    def keep_scores(self, frame: Frame) -> None:
        self._scores = frame

    def scores(self, push: Header, rows: int) -> Scores | None:
        if not self._terms.scores:
            return None
        kept, self._scores = self._scores, None
        if kept is None or kept.header.work != push.work:
            raise ProtocolError("a push without its scores")
        return self._terms.scores_in(kept.payload, rows)

    def note(self, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._terms.note_in(frame.payload)

    def gradient(self, frame: Frame) -> Gradient:
        try:
            return self._gradient(frame)
        except GradientError as error:
            raise ProtocolError(str(error)) from error

    @abstractmethod
    def _gradient(self, frame: Frame) -> Gradient:
        """Return the gradient of a push. GradientError if no worker can have computed it."""

    def _send_assign(self, assign: Assign) -> None:
        self.connection.send(Header(Kind.ASSIGN, self._generation, assign.round, assign.first, assign.last))


class SharedMemoryLink(_Link):
    """The worker maps the weights and the server maps the worker's slots: nothing is copied."""

    def __init__(self, connection: Connection, worker: int, weights: Segment, terms: Terms, generation: int) -> None:
        super().__init__(connection, worker, weights, terms, generation)
        segment = Segment.create(terms.slots_bytes)
        self._slots = terms.slots_in(segment)
        descriptors = [weights.descriptor, segment.descriptor]
        connection.send(Header(Kind.ATTACHED, generation), terms.pack(), descriptors=descriptors)

    def assign(self, assign: Assign, step: int) -> None:
        self._send_assign(assign)

    def weights(self, round_: int, step: int, stop: int) -> None:
        """Do nothing: the worker has mapped the weights."""

    def _gradient(self, frame: Frame) -> Gradient:
        if frame.header.slot >= self._terms.slots:
            raise ProtocolError(f"slot {frame.header.slot} of {self._terms.slots}")
        slot = self._slots[frame.header.slot]
        slot.check()
        return slot


class TcpLink(_Link):
    """Gradients are received into buffers that each round uses again; weights are sent from the server's own array.

    Without tables the received buffer is the gradient. With tables each push is unpacked into a slot, which the next
    round uses again by changing the rows in use.
    """

    def __init__(self, connection: Connection, worker: int, weights: Segment, terms: Terms, generation: int) -> None:
        super().__init__(connection, worker, weights, terms, generation)
        self._step = -1  # updates that the weights sent last have
        self._sent = 0  # number of these weights that were sent
        self._round = -1
        self._free: list[memoryview] = []
        self._used: list[memoryview] = []
        self._slots: list[Gradient] = []
        self._filled = 0  # slots filled in this round
        connection.send(Header(Kind.ATTACHED, generation), terms.pack())

    def _allocate(self, header: Header) -> bytearray | memoryview:
        if header.kind is Kind.SCORES or not self._terms.brings_gradient(header.length):
            return super()._allocate(header)
        if len(self._used) == self._terms.slots:
            raise ProtocolError("more gradients than the round has leaves")
        buffer = self._free.pop() if self._free else np.empty(self._terms.push_bytes, np.uint8).data
        self._used.append(buffer)
        return buffer[: header.length]

    def assign(self, assign: Assign, step: int) -> None:
        if assign.round != self._round:
            self._round = assign.round
            self._free += self._used
            self._used, self._filled = [], 0
        if step != self._step:
            self._send_weights(step, len(self._weights))
        self._send_assign(assign)

    def weights(self, round_: int, step: int, stop: int) -> None:
        if round_ == self._round:  # the worker takes part in this round and needs the weights for the next
            self._send_weights(step, stop)

    def _send_weights(self, step: int, stop: int) -> None:
        if step != self._step:
            self._step, self._sent = step, 0
            self.connection.begin(Header(Kind.WEIGHTS, self._generation), self._weights.nbytes)
        self.connection.more(self._weights[self._sent : stop].data)
        self._sent = stop

    def _gradient(self, frame: Frame) -> Gradient:
        packed, layout = self._terms.gradient_in(frame.payload), self._terms.gradient
        if not layout.tables:
            return Gradient(layout, packed)
        if self._filled == len(self._slots):
            self._slots.append(layout.zeros())
        slot = self._slots[self._filled]
        self._filled += 1
        slot.unpack(packed)
        return slot


def refuse(link: Link, header: Header, reason: str) -> None:
    """Answer a push that does not count, with the reason."""
    text = json.dumps({"reason": reason}).encode()
    answer = Header(Kind.REFUSED, header.generation, header.round, header.first, header.last)
    link.connection.send(answer, text)
