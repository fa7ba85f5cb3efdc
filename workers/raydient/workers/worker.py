"""The worker's loop: wait for an assignment, compute its leaves along the reduction tree, push the sums."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from raydient.spec.job import JobSpec
from raydient.steps.schedule import Round, RoundKind, Schedule
from raydient.steps.scores import Scores
from raydient.steps.tree import Node, children, maximal_subtrees
from raydient.wire import control
from raydient.wire.channel import Assignment, Channel, attach
from raydient.wire.connection import unlimited
from raydient.wire.frames import ProtocolError
from raydient.wire.hub import Hub
from raydient.wire.launch import Launch, from_json
from raydient.wire.lifeline import hold
from raydient.wire.network import Network as WireNetwork

from .data import MemorySource, PartName, Samples, Source, epoch_order
from .network import Network, Pass, Program, build
from .network.layers import Views


def main(text: str, host: str, node: str) -> None:
    """Compute for one job until its parameter server says that there is no more work.

    Raises ConnectionError when the parameter server or the coordinator is gone.
    """
    launch = from_json(text)
    with hold(launch, node), closing(Hub(bytes.fromhex(launch.secret), 0)) as wire:
        work(launch, wire, node)


def work(launch: Launch, wire: WireNetwork, node: str) -> None:
    """Do what `main` does, without a lifeline."""
    coordinator = wire.dial(launch.coordinator, node=node)
    coordinator.allocate = unlimited  # the dataset over TCP
    control.send(coordinator, control.Hello(control.Role.WORKER, launch.member, launch.generation, os.getpid()))
    message, arrays = control.receive(coordinator)
    if not isinstance(message, control.Work):
        raise ProtocolError(f"expected Work, got {type(message).__name__}")
    spec = JobSpec.model_validate(message.specification)
    _keep_to_a_core(message.place, message.workers)
    network = build(spec.network, {name: tuple(shape) for name, shape in message.input_shapes.items()})
    data_plane = wire.dial(message.data_plane, launch.transport, node)
    channel = attach(data_plane, launch.member, launch.generation)
    try:
        Worker(
            network=network,
            schedule=message.schedule,
            seed=spec.training.seed,
            data=MemorySource.of(arrays),
            channel=channel,
            clock=wire.now,
        ).run()
    finally:
        channel.close()
        coordinator.close()


def _keep_to_a_core(place: int, workers: int) -> None:
    """Stay on one core, with warm caches, where there are as many as workers: each has one then.

    All wait for the slowest in every step, and the one that was moved to another core is the slowest. SCHED_BATCH: a
    worker that is woken lets the parameter server, which shares its core, wake the others first.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) == workers > place:
            os.sched_setaffinity(0, {cores[place]})
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class Worker:
    """Computes leaves. Everything that a round needs is allocated the first time its shape comes up."""

    def __init__(
        self,
        *,
        network: Network,
        schedule: Schedule,
        seed: int,
        data: Source,
        channel: Channel,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._network, self._schedule, self._seed, self._data = network, schedule, seed, data
        self._channel, self._clock = channel, clock
        self._weights = network.bind(channel.weights)
        self._gradients: dict[int, Sequence[Views]] = {}
        self._programs: dict[int, Program] = {}
        self._sums = np.zeros((channel.terms.slots, channel.terms.sums))
        self._scores: list[Scores] = []  # of the node being computed, leaf by leaf
        self._epoch = -1
        self._order: NDArray[np.int64] = np.empty(0, np.int64)
        self._round: Round | None = None
        self._free: list[int] = []
        self._forward_seconds = self._backward_seconds = self._push_seconds = 0.0

    def run(self) -> None:
        """Until there is no more work."""
        began = self._clock()
        while (assignment := self._channel.wait()) is not None:
            waited = self._clock() - began
            self.compute(assignment, waited)
            began = self._clock()

    def compute(self, assignment: Assignment, waited_seconds: float) -> None:
        """Compute the leaves of an assignment and push the sums over the nodes that they make up."""
        this = self._round
        if this is None or this.number != assignment.round:
            this = self._round = self._schedule.round(assignment.round)
            self._free = list(range(self._channel.terms.slots))
        for node in maximal_subtrees(assignment.first, assignment.last, this.leaves):
            if this.kind is RoundKind.TRAIN:
                slot = self._sum(this, node)
                self._push(this, node, slot, self._sums[slot], waited_seconds)
            else:
                self._push(this, node, None, self._evaluate(this, node), waited_seconds)
            waited_seconds = 0.0

    def _push(
        self, this: Round, node: Node, slot: int | None, sums: NDArray[np.float64], waited_seconds: float
    ) -> None:
        seconds = (self._forward_seconds, self._backward_seconds, self._push_seconds, waited_seconds)
        self._forward_seconds = self._backward_seconds = 0.0
        began = self._clock()
        if self._channel.terms.scores:
            self._channel.score(this.number, node, np.concatenate(self._scores))
            self._scores.clear()
        self._channel.push(this.number, node, slot, sums, seconds)
        self._push_seconds = self._clock() - began  # of this push, told with the next

    def _sum(self, this: Round, node: Node) -> int:
        """The gradient and the metrics of a node, in the slot that is returned."""
        if node[1] - node[0] == 1:
            slot = self._free.pop()
            self._train(this, node[0], slot)
            return slot
        left_node, right_node = children(node)
        left, right = self._sum(this, left_node), self._sum(this, right_node)
        began = self._clock()
        counts = self._schedule.measures_health(this)
        self._channel.slot(left).add(self._channel.slot(right), counts=counts)
        self._sums[left] += self._sums[right]
        self._free.append(right)
        self._backward_seconds += self._clock() - began
        return left

    def _train(self, this: Round, leaf: int, slot: int) -> None:
        gradient = self._channel.slot(slot)
        if slot not in self._gradients:
            self._gradients[slot] = self._network.bind_gradient(gradient)
        began = self._clock()
        start, stop = this.leaf(leaf)
        program = self._fill("train", self._epoch_order(this.epoch)[start:stop])
        self._sums[slot] = program.forward(self._weights, Pass(True, self._seed, this.step, leaf))
        self._keep_scores(program)
        if self._schedule.measures_health(this):
            program.count_active(gradient.active)
        middle = self._clock()
        program.backward(self._weights, self._gradients[slot], 1.0 / (this.stop - this.start))
        self._forward_seconds += middle - began
        self._backward_seconds += self._clock() - middle

    def _evaluate(self, this: Round, node: Node) -> NDArray[np.float64]:
        """The metrics of a node of held-out rows."""
        if node[1] - node[0] > 1:
            left, right = children(node)
            return self._evaluate(this, left) + self._evaluate(this, right)
        began = self._clock()
        program = self._fill("test", np.arange(*this.leaf(node[0])))
        sums = program.forward(self._weights).copy()
        self._keep_scores(program)
        self._forward_seconds += self._clock() - began
        return sums

    def _keep_scores(self, program: Program) -> None:
        if self._channel.terms.scores:
            self._scores.append(program.scores.copy())

    def _fill(self, part: PartName, rows: NDArray[np.int64]) -> Program:
        """The program for so many rows, with these rows as its inputs and labels."""
        program = self._programs.get(len(rows))
        if program is None:
            weighted = self._data.schema.is_weighted
            program = self._programs[len(rows)] = Program(self._network, len(rows), weighted=weighted)
            for name, center in program.centers.items():
                # the same for every worker, because each has all of the training part
                center[:] = self._data.label_mean(name)
        self._data.fill(part, rows, Samples(program.xs, program.ys, program.sample_weights))
        return program

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self._epoch:
            self._epoch, self._order = epoch, epoch_order(self._seed, epoch, self._schedule.train_rows)
        return self._order
