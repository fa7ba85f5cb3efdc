"""One shard at work: its arrays, the gradients of the workers, and the answers to the conductor."""

import os
from bisect import bisect_left
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from raydient.spec.consistency import Consistency
from raydient.spec.training import Training
from raydient.steps.arrays import AnyArray, Vector
from raydient.steps.encoded import Coding
from raydient.steps.gradient import Gradient, GradientLayout
from raydient.steps.ranges import pieces
from raydient.steps.tree import Node
from raydient.wire import control
from raydient.wire.connection import Connection
from raydient.wire.frames import ProtocolError
from raydient.wire.network import Network
from raydient.wire.terms import Terms

from .blocks import Blocks
from .consistency import slots_of
from .health import PieceMeter, measured_pieces
from .requests import Answer, Apply, Follow, Request, RollBack, Show, Update
from .rule import UpdateRule
from .shard import Shard
from .snapshots import AVERAGE, BEST, WEIGHTS, exchange, marked, restore, vectors
from .sources import Received, Source
from .update import Updater
from .weights import Weights


def terms_of(serve: control.Serve) -> Terms:
    """Return the terms of the exchange with the workers of a job."""
    schedule, units = serve.schedule, sum(units for _, units in serve.layers)
    consistency = Training.model_validate(serve.training).consistency
    return Terms(
        gradient=GradientLayout.of(serve.layout, units),
        slots=slots_of(schedule, consistency),
        sums=serve.sums,
        scores=len(serve.ranks),
        rows=max(schedule.batch_size, schedule.test_rows),
        ranges=tuple((start, stop) for start, stop in serve.ranges),
        coding=Coding.of(serve.codec, serve.layout, units),
        pulls=not consistency.is_stale,
    )


class ShardServer:
    """Serves one shard. One thread, except for the second half of large updates.

    Attributes:
        arrays: weights and optimizer state of the range, by name, weights first.
        shown: the weights that workers read; the average of the weights during an evaluation of it.
        version: number of `shown`, equal in all shards between two rounds: the updates of the snapshot, and one for
            each change since.
        sources: gradients of the workers, by worker.
    """

    def __init__(
        self,
        network: Network,
        serve: control.Serve,
        rule: UpdateRule,
        terms: Terms,
        *,
        weights: Vector,
        arrays: Mapping[str, AnyArray],
    ) -> None:
        """Set the weights of the range, `weights`, to those of a snapshot's `arrays`."""
        self.shown, self.version = weights, serve.step
        self.sources: dict[int, Source] = {}
        self._network = network
        self._feeds: dict[int, tuple[Connection, Received]] = {}  # by worker, while it is connected
        self._gone: dict[int, int] = {}  # workers that left, and in how many rounds their gradients may still count
        self._round = -1  # of the last request
        threads = min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="update")
        start, stop = serve.ranges[serve.shard]
        self._layout, self._tables = serve.layout.within(start, stop), terms.of_shard(serve.shard).gradient.tables
        training = Training.model_validate(serve.training)
        self.arrays = restore(arrays, weights, self._layout, vectors(training))
        leaves = min(serve.schedule.microbatches, serve.schedule.batch_size)
        bounds, depth = _within(pieces(serve.layout), start, stop), leaves.bit_length()
        self._blocks = Blocks(bounds, depth, threads, self._executor)
        self._meter = PieceMeter(_within(measured_pieces(serve.layout), start, stop))
        self._shard: Shard | None
        self.retrain(rule, training.consistency)

    def retrain(self, rule: UpdateRule, consistency: Consistency) -> None:
        """Use a rule from the next round on; its optimizer has the state of the one before."""
        self._consistency = consistency
        state = [self.arrays[name] for name in rule.optimizer.state]
        weights = Weights(
            self.arrays[WEIGHTS],
            state,
            rule.for_size(len(self.arrays[WEIGHTS])),
            self._layout.parameters,
            self.arrays.get(AVERAGE),
        )
        self._shard = None  # frees its memory first
        updater = Updater(weights, self._blocks, tables=self._tables, updated=self._pass_on)
        self._shard = Shard(
            self._layout,
            updater,
            self._meter,
            self._gradient,
            keep=self._keep,
            show=self._show,
            mark=self._mark,
            roll_back=self._roll_back,
        )

    def close(self) -> None:
        """End the threads and release the memory. Harmless when repeated."""
        self._executor.shutdown()
        self.sources.clear()
        self._shard = None  # it refers to this object, so the memory would wait for the garbage collector

    def attach(self, worker: int, source: Source, connection: Connection | None = None) -> None:
        """Add a worker; `connection` is set if its weights travel."""
        self.sources[worker] = source
        if connection is not None and isinstance(source, Received):
            self._feeds[worker] = connection, source

    def forget(self, worker: int) -> None:
        """Remove a worker. Its gradients stay for the next round that is updated, because they may count in it.

        Where several rounds are open, they stay for as many as there can be.
        """
        self._feeds.pop(worker, None)
        if worker in self.sources:
            limit = self._consistency.limit
            self._gone[worker] = 1 + (len(self.sources) if limit is None else limit)

    def answer(self, request: Request) -> Answer:
        """Carry out a request of the conductor."""
        if request.round.number != self._round:
            for worker in [worker for worker, rounds in self._gone.items() if not rounds]:
                del self.sources[worker], self._gone[worker]
            self._gone = {worker: rounds - 1 for worker, rounds in self._gone.items()}
            self._round = request.round.number
        assert self._shard is not None, "closed"
        answer = self._shard.answer(request)
        if isinstance(request, Update | Apply | Follow | Show | RollBack):
            self.version += 1
        return answer

    def _gradient(self, node: Node, contribution: tuple[int, int, int]) -> Gradient:
        worker, slot, round_ = contribution
        if worker not in self.sources:
            raise ProtocolError(f"a gradient of worker {worker}, which has not attached")
        return self.sources[worker].gradient(round_, node, slot)

    def _keep(self) -> None:
        evaluated = AVERAGE if AVERAGE in self.arrays else WEIGHTS
        np.copyto(self.arrays[BEST], self.arrays[evaluated])

    def _mark(self) -> None:
        for name, values in self.arrays.items():
            if marked(name) in self.arrays:
                np.copyto(self.arrays[marked(name)], values)

    def _roll_back(self) -> None:
        for name, values in self.arrays.items():
            if marked(name) in self.arrays:
                np.copyto(values, self.arrays[marked(name)])

    def _show(self, average: bool) -> None:
        """Exchange the weights and their average, so that the workers read the other one. `arrays` keeps their names.

        Every request but `Keep` comes while the workers read the weights.
        """
        weights, averages = self.arrays[WEIGHTS], self.arrays[AVERAGE]
        if (self.shown is averages) != average:
            exchange(weights, averages)
            self.arrays[WEIGHTS], self.arrays[AVERAGE] = averages, weights

    def _pass_on(self, stop: int) -> None:
        """Send updated weights to the workers, while the rest is still being updated."""
        for connection, source in list(self._feeds.values()):
            with self._network.sending(connection):
                source.send_weights(self._round, self.version + 1, stop)


def _within(bounds: list[int], start: int, stop: int) -> list[int]:
    """Return the bounds from `start` to `stop`, counted from `start`."""
    return [bound - start for bound in bounds[bisect_left(bounds, start) : bisect_left(bounds, stop) + 1]]
