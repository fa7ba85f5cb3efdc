"""Mutated frames for every reader of the data plane and of control messages.

By hand, with a number of frames and a seed: `python -m tests.wire.frame_fuzz 1000000 7`.
"""

import random
import resource
import socket
import sys
from collections import Counter
from contextlib import suppress

import numpy as np

from raydient.server.parameters.actions import Assign
from raydient.server.parameters.links import Link
from raydient.steps.encoded import Coding
from raydient.steps.gradient import GradientLayout, Table
from raydient.wire import control
from raydient.wire.channel import WorkEnded, attach
from raydient.wire.connection import Connection, Frame, limited_to
from raydient.wire.frames import HEADER, Header, Kind
from raydient.wire.memory import Bundle
from raydient.wire.terms import Terms

from .test_control import EXAMPLES

LIMIT = 4096
DENSE = Terms(GradientLayout(6), slots=3, sums=2, scores=1, rows=4)
CODED = Terms(GradientLayout(300, 2), slots=3, sums=2, coding=Coding("int8", 300, 2, ((10, 20), (250, 260))))
TABLES = Terms(GradientLayout(24, 2, (Table(4, 5, 4),)), slots=3, sums=2)
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)
TEXTS = (b"-1", b"0", b"null", b"[]", b"{}", b'""', b"1e9", b"99999999999", b"9" * 30, b"NaN", b"true", b'"\\ud800"')


class Script:
    """A socket that delivers prepared bytes, then the end of the stream, and accepts whatever is sent."""

    def __init__(self, data, family=socket.AF_INET):
        self.family = family
        self.sent = bytearray()
        self._rest = memoryview(data)

    def recv_into(self, view):
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def recvmsg_into(self, views, space, flags):
        return self.recv_into(views[0]), [], 0, None

    def sendmsg(self, parts, ancillary=(), flags=0):
        for part in parts:
            self.sent += part
        return sum(len(part) for part in parts)

    def close(self):
        self._rest = memoryview(b"")


class Fuzzer:
    """Mutates valid frames by a seed and gives them to the readers.

    A reader accepts the frames or raises ConnectionError: a ProtocolError, or the end of the stream.
    Any other exception ends the run.

    Attributes:
        outcomes: number of frames that each reader accepted and refused, by (name of the reader, outcome).
        largest: largest payload that a reader has allocated, in bytes, by name of the reader.
    """

    def __init__(self, seed):
        self._chance = random.Random(seed)
        self.outcomes = Counter()
        self.largest = Counter()
        self._messages = [_control_frame(message) for message in EXAMPLES]
        arrays = {"a": np.arange(6, dtype="<f4"), "b": np.ones((2, 3), "<i8")}
        self._messages += [_control_frame(EXAMPLES[0], arrays)] * 8
        data_plane = self._terms, self._dense, self._coded, self._tables, self._channel, self._rows
        self._readers = (self._connection, self._message, *data_plane)

    def run(self, frames):
        for _ in range(frames):
            read = self._chance.choice(self._readers)
            name = read.__name__.lstrip("_")
            try:
                read()
                self.outcomes[name, "accepted"] += 1
            except ConnectionError:
                self.outcomes[name, "refused"] += 1

    def mutate(self, data):
        """Return damaged bytes: bits, extremes, numbers in texts, cut, doubled or foreign pieces."""
        data = bytearray(data)
        for _ in range(self._chance.choice([1, 1, 1, 2, 5])):
            place = self._chance.randrange(len(data)) if data else 0
            match self._chance.randrange(7):
                case 0 | 1 if data:
                    data[place] ^= 1 << self._chance.randrange(8)
                case 2 if data:
                    data[place] = self._chance.choice(EXTREMES)
                case 3:
                    del data[place:]
                case 4:
                    data[place:place] = data[place : place + self._chance.randrange(64)]
                case 5:
                    data[place : place + self._chance.choice([1, 4, 8])] = self._chance.randbytes(8)
                case 6:
                    digits = [i for i, byte in enumerate(data) if 48 <= byte < 58]
                    if digits:
                        place = self._chance.choice(digits)
                        data[place : place + 1] = self._chance.choice(TEXTS)
        return bytes(data)

    def _watched(self, connection, name, bound):
        """Record every allocation of a connection, and assert that none exceeds the bound."""
        inner = connection.allocate

        def allocate(header):
            buffer = inner(header)
            assert len(buffer) == header.length <= bound, (name, header)
            self.largest[name] = max(self.largest[name], len(buffer))
            return buffer

        connection.allocate = allocate

    # ---- readers

    def _connection(self):
        frames = [Header(kind, 5, 1, 0, 1, 0, 16).pack() + bytes(16) for kind in self._chance.sample(list(Kind), 3)]
        family = self._chance.choice([socket.AF_INET, socket.AF_UNIX])
        connection = Connection(Script(self.mutate(b"".join(frames)), family), limited_to(LIMIT))
        self._watched(connection, "connection", LIMIT)
        while True:
            connection.receive()

    def _message(self):
        data = self._chance.choice(self._messages)
        head, payload = data[: HEADER.size], data[HEADER.size :]
        if self._chance.random() < 0.1:
            head = self.mutate(head)[: HEADER.size].ljust(HEADER.size, b"\0")  # a connection reads whole headers
        header = Header.unpack(head)
        payload = self.mutate(payload)
        arrays = control.decode(Frame(header, payload)).arrays
        held = sum(array.nbytes for array in arrays.values())
        assert held <= len(arrays) * len(payload), (held, payload)
        self.largest["message"] = max(self.largest["message"], held)

    def _terms(self):
        terms = Terms.unpack(self.mutate(self._chance.choice([DENSE, CODED, TABLES]).pack()))
        assert min(terms.gradient.size, terms.slots, terms.sums, terms.scores, terms.rows) >= 0

    def _dense(self):
        self._link("dense", DENSE)

    def _coded(self):
        self._link("coded", CODED)

    def _tables(self):
        self._link("tables", TABLES)

    def _link(self, name, terms):
        weights = np.zeros(terms.gradient.size, "<f4")
        gradient = terms.gradient.zeros()
        for table in gradient.tables.values():
            table.write(np.array([1, 3]), np.ones((2, 4), "<f4"))
        packed = b"".join(part.tobytes() for part in gradient.pack())
        if terms.coding is not None:
            packed = bytes(terms.coding.packed_bytes)
        stream = b""
        for leaf in range(self._chance.choice([1, 2])):
            work = (5, 1, leaf, leaf + 1)
            if terms.scores:
                scores = bytes(terms.score_bytes)
                stream += Header(Kind.SCORES, *work, length=len(scores)).pack() + scores
            if terms.gradient.tables:
                asked = np.array([2, 1, 3], "<i4").tobytes()
                stream += Header(Kind.PULL, 5, 0, length=len(asked)).pack() + asked
            cut = self._chance.randrange(1, len(packed)) if not terms.gradient.tables else 0
            for part in filter(None, (packed[cut:], packed[:cut])):
                stream += Header(Kind.GRADIENT, *work, length=len(part)).pack() + part
            stream += Header(Kind.PUSH, *work, length=terms.note_bytes).pack() + bytes(terms.note_bytes)
        connection = Connection(Script(self.mutate(stream)), limited_to(0))
        link = Link(connection, 3, weights, terms, 5)
        only = terms.of_shard(0)
        bound = max(only.room_bytes, only.most_pull_bytes, terms.score_bytes, terms.note_bytes)
        self._watched(connection, name, bound)
        link.assign(Assign(3, 1, 0, 2), 0)
        while True:
            frame = connection.receive()
            if frame.header.kind is Kind.SCORES:
                link.keep_scores(frame)
            elif frame.header.kind is Kind.PULL:
                _, rows = link.rows(frame, 0)
                assert sum(part.nbytes for part in rows) <= weights.nbytes
                self.outcomes[name, "pulls answered"] += 1
            elif frame.header.kind is Kind.GRADIENT:
                link.keep_part(frame)
            elif frame.header.kind is Kind.PUSH:
                link.note(frame)
                link.scores(frame.header, rows=terms.rows)
                link.take_gradient(frame)
                link.source.gradient(frame.header.round, frame.header.work[1:], frame.header.slot)
                self.outcomes[name, "pushes taken"] += 1

    def _channel(self):
        text, weights = DENSE.pack(), bytes(4 * DENSE.gradient.size)
        rest = Header(Kind.WEIGHTS, 5, length=len(weights)).pack() + weights + Header(Kind.ASSIGN, 5, 0, 0, 2).pack()
        stream = Header(Kind.ATTACHED, 5, length=len(text)).pack() + text + self.mutate(rest)
        connection = Connection(Script(stream), limited_to(0))
        channel = attach([connection], 3, 5)
        self._watched(connection, "channel", 1 << 16)
        while channel.wait() is not None:
            pass

    def _rows(self):
        text, weights = TABLES.pack(), bytes(TABLES.of_shard(0).weights_bytes)
        rest = Header(Kind.WEIGHTS, 5, length=len(weights)).pack() + weights
        for leaf in range(2):
            rest += (
                Header(Kind.ASSIGN, 5, 0, leaf, leaf + 1).pack() + Header(Kind.ROWS, 5, length=32).pack() + bytes(32)
            )
        stream = Header(Kind.ATTACHED, 5, length=len(text)).pack() + text + self.mutate(rest)
        connection = Connection(Script(stream), limited_to(0))
        channel = attach([connection], 3, 5)
        self._watched(connection, "rows", 1 << 16)
        with suppress(WorkEnded):
            while channel.wait() is not None:
                channel.pull({4: np.array([1, 3], np.int32)})
                self.outcomes["rows", "rows taken"] += 1


def _control_frame(message, arrays=None):
    """Return the bytes of a control frame over TCP."""
    script = Script(b"")
    control.send(Connection(script, limited_to(0)), message, Bundle.of(arrays) if arrays else None)
    return bytes(script.sent)


if __name__ == "__main__":
    count, seed = int(sys.argv[1]), sys.argv[2]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fuzzer = Fuzzer(seed)
    fuzzer.run(count)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    outcomes, largest = dict(fuzzer.outcomes), dict(fuzzer.largest)
    sys.stdout.write(f"{count} frames: {outcomes}, largest payloads {largest}, {grown} KiB more memory\n")
