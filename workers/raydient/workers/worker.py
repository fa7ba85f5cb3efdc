"""The loop of a worker: wait for an assignment, compute its leaves along the reduction tree, push the sums.

When its connection to a parameter server ends, the worker introduces itself to the coordinator again and waits for its
work in the next generation.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from raydient.spec.augmentation import Augmentation
from raydient.spec.job import JobSpec
from raydient.steps.encoded import is_leaf
from raydient.steps.local import LocalSteps
from raydient.steps.schedule import Round, RoundKind, Schedule
from raydient.steps.scores import Scores
from raydient.steps.sparse import Numbers
from raydient.steps.tree import Node, children, maximal_subtrees
from raydient.wire import control
from raydient.wire.channel import Assignment, Channel, ResidualsDue, WorkEnded, attach
from raydient.wire.frames import Header, ProtocolError
from raydient.wire.hub import Hub
from raydient.wire.launch import Launch, from_json
from raydient.wire.lifeline import hold
from raydient.wire.memory import Bundle
from raydient.wire.network import Network as WireNetwork

from .cores import keep_to_a_core
from .data import Augmenter, Budget, EpochOrder, FileSource, MemorySource, PartName, Samples, Source
from .dialling import dial
from .fetching import fetch
from .leaf_encoder import LeafEncoder
from .learner import Learner, LocalStep
from .network import Network, Program, Scaling, build, table_uses
from .network.layers import Views
from .probe import probe
from .residuals import Residuals
from .sums import PART, GradientSums

_log = logging.getLogger(__name__)


def main(text: str, host: str, node: str) -> None:
    """Compute for the job of a `Launch` (JSON) until its parameter server reports the end of the work.

    Raises ConnectionError if the connection to the coordinator ends.
    """
    launch = from_json(text)
    with hold(launch, node), closing(Hub(bytes.fromhex(launch.secret), 0)) as wire:
        work(launch, wire, node, host=host, settle=keep_to_a_core)


def work(
    launch: Launch,
    wire: WireNetwork,
    node: str,
    *,
    host: str = "",
    settle: Callable[[int, int], None] = lambda place, workers: None,
    part: int = PART,
) -> None:
    """Do what `main` does, without a lifeline.

    `settle` receives the worker's place and the number of workers of the job before the work begins; `part`: see
    `Worker`.
    """
    coordinator = wire.dial(launch.coordinator, node=node)
    coordinator.allocate = _allocate  # the dataset and residuals over TCP
    hello = control.Hello(control.Role.WORKER, launch.member, os.getpid(), probe=probe(), host=host)
    data: MemorySource | None = None

    def send(round_: int, residuals: control.Arrays) -> None:
        control.send(coordinator, control.Residuals(round_), Bundle.of(residuals) if residuals else None)

    try:
        while True:
            control.send(coordinator, hello)
            message, arrays = control.receive(coordinator)
            start: control.Arrays = {}
            if isinstance(message, control.Residuals):
                start = arrays
                message, arrays = control.receive(coordinator)
            if not isinstance(message, control.Work):
                raise ProtocolError(f"expected Work, got {type(message).__name__}")
            if message.manifest is not None:
                arrays = fetch(coordinator, message.manifest)
            if arrays or data is None:
                data = (FileSource if message.in_files else MemorySource).of(arrays)
            settle(message.place, message.workers)
            try:
                _compute(message, data, launch, wire, node, part=part, residuals=Residuals(start, send))
                return
            except (ConnectionError, TimeoutError) as error:
                _log.info("leaves generation %d: %s", message.generation, error)
            hello = replace(hello, left=message.generation)
    finally:
        coordinator.close()


def _allocate(header: Header) -> memoryview:
    """Return room for any payload of the coordinator: memory, or a file for a dataset that is larger."""
    return Budget().empty((header.length,), np.uint8).data


def _compute(
    work: control.Work,
    data: MemorySource,
    launch: Launch,
    wire: WireNetwork,
    node: str,
    *,
    part: int,
    residuals: Residuals,
) -> None:
    """Compute until there is no more work. ConnectionError, TimeoutError if a connection to a server ends."""
    spec = JobSpec.model_validate(work.specification)
    shapes = {name: tuple(shape) for name, shape in work.input_shapes.items()}
    # nothing is predicted, and the metrics of errors need no means
    scalings = {name: Scaling(np.zeros(len(unit)), np.array(unit)) for name, unit in work.label_units.items()}
    network = build(spec.network, shapes, scalings=scalings)
    channel = attach(dial(wire, work.data_planes, launch, node), launch.member, work.generation)
    try:
        Worker(
            network=network,
            schedule=work.schedule,
            seed=spec.training.seed,
            data=data,
            channel=channel,
            clock=wire.now,
            part=part,
            local_steps=spec.training.consistency.local_steps,
            residuals=residuals,
            augment=spec.dataset.augment,
        ).run()
    finally:
        channel.close()


class Worker:
    """Computes leaves. The first leaf of a shape allocates all memory that leaves of this shape need."""

    def __init__(
        self,
        *,
        network: Network,
        schedule: Schedule,
        seed: int,
        data: Source,
        channel: Channel,
        clock: Callable[[], float] = time.perf_counter,
        part: int = PART,
        local_steps: int = 1,
        residuals: Residuals | None = None,
        augment: Mapping[str, Augmentation] = MappingProxyType({}),
    ) -> None:
        """Allocate no memory for leaves yet.

        `part`: fewest values of a gradient that are sent by themselves; `local_steps`: batches of a round, of each of
        which a leaf makes a local step; `residuals`: those at which the work begins, for a codec that feeds back;
        `augment`: random changes of training samples, by input.
        """
        self._residuals = residuals or Residuals()
        self._learner = Learner(network, channel, seed, LocalSteps.of(schedule, local_steps))
        self._rate: float | None = None
        self._part = part
        self._network, self._schedule, self._seed, self._data = network, schedule, seed, data
        self._channel, self._clock = channel, clock
        self._augmenter = Augmenter(augment, seed)
        self._tables = table_uses(network)
        self._gradients: dict[int, Sequence[Views]] = {}
        self._programs: dict[int, Program] = {}
        self._sums = np.zeros((channel.terms.slots, channel.terms.sums))
        self._scores: list[Scores] = []  # one array for each leaf of the node being computed
        self._epoch = -1
        self._order = EpochOrder(seed, self._epoch, 0)
        self._round: Round | None = None
        self._free = list(range(channel.terms.slots))
        self._held: dict[int, list[int]] = {}  # slots that were pushed, by round
        self._data_seconds = self._forward_seconds = self._backward_seconds = 0.0
        self._push_seconds = self._wait_seconds = 0.0

    def run(self) -> None:
        """Compute assignments until there is no more work."""
        began = self._clock()
        with suppress(WorkEnded):
            while (work := self._channel.wait()) is not None:
                if isinstance(work, ResidualsDue):
                    self._residuals.send(work.round)
                    continue
                self.compute(work, self._clock() - began)
                began = self._clock()

    def compute(self, assignment: Assignment, waited_seconds: float) -> None:
        """Compute the leaves of an assignment and push the sums over the fewest nodes that hold them."""
        round_ = self._round
        if round_ is None or round_.number != assignment.round:
            if self._channel.length is not None:
                epochs, max_steps = self._channel.length
                self._schedule = replace(self._schedule, epochs=epochs, max_steps=max_steps)
            round_ = self._round = self._schedule.round(assignment.round)
        self._prepare(assignment)
        self._wait_seconds += waited_seconds
        self._rate = assignment.rate
        trains = round_.kind is RoundKind.TRAIN
        if trains and self._channel.pulled:
            start, stop = round_.leaf(assignment.first)[0], round_.leaf(assignment.last - 1)[1]
            self._pull("train", self._epoch_order(round_.epoch).rows(start, stop))
        if trains and self._data.reads_ahead:
            self._expect(round_, assignment.first, assignment.last)
        work = assignment.first, assignment.last, round_.leaves
        for node in self._channel.nodes(*work) if trains else maximal_subtrees(*work):
            if trains:
                slot = self._sum(round_, node, node)
                self._push(round_, node, slot, self._sums[slot])
                if self._channel.travels:
                    self._free.append(slot)
                else:
                    self._held.setdefault(round_.number, []).append(slot)
            else:
                self._push(round_, node, None, self._evaluate(round_, node))

    def _prepare(self, assignment: Assignment) -> None:
        """Use the weights of the assignment, and the slots whose gradients are needed no more."""
        self._learner.begin()
        oldest = assignment.round - assignment.kept
        for number in [number for number in self._held if number < oldest]:
            self._free += self._held.pop(number)

    def _pull(self, part: PartName, rows: NDArray[np.int64]) -> None:
        """Pull the rows of tables that samples use."""
        began = self._clock()
        self._channel.pull(self._used(rows, part))
        self._wait_seconds += self._clock() - began

    def _used(self, rows: NDArray[np.int64], part: PartName = "train") -> Mapping[int, Numbers]:
        """Return the rows of each table that samples use, by the table's offset."""
        shapes = self._data.schema.inputs
        xs = {name: np.empty((len(rows), *shapes[name]), "<f4") for use in self._tables for name in use.inputs}
        self._data.fill(part, rows, Samples(xs, {}))
        return {use.offset: use.numbers(xs) for use in self._tables}

    def _push(self, round_: Round, node: Node, slot: int | None, sums: NDArray[np.float64]) -> None:
        computed = self._data_seconds, self._forward_seconds, self._backward_seconds
        seconds = (*computed, self._push_seconds, self._wait_seconds)
        self._data_seconds = self._forward_seconds = self._backward_seconds = self._wait_seconds = 0.0
        began = self._clock()
        if self._channel.terms.scores:
            self._channel.score(round_.number, node, np.concatenate(self._scores))
            self._scores.clear()
        self._push_seconds = 0.0
        self._channel.push(round_.number, node, slot, sums, seconds)
        self._push_seconds += self._clock() - began  # travels with the next push

    def _sum(self, round_: Round, pushed: Node, node: Node, lefts: Sequence[int] = ()) -> int:
        """Compute the gradient and the metrics of a node; return the slot that holds the sums.

        Args:
            round_: the round.
            pushed: the node whose sum will be pushed; `node` is part of it.
            node: the node to compute.
            lefts: slots of the nodes to whose sums this node is added, one after the other from the last to the first:
                those of the left children whose right children end with this node.
        """
        if node[1] - node[0] > 1:
            left_node, right_node = children(node)
            return self._sum(round_, pushed, right_node, (*lefts, self._sum(round_, pushed, left_node)))
        slots = [self._free.pop(), *reversed(lefts)]
        self._train(round_, pushed, node[0], slots)
        for slot, total in pairwise(slots):
            self._sums[total] += self._sums[slot]
            self._free.append(slot)
        return slots[-1]

    def _train(self, round_: Round, pushed: Node, leaf: int, slots: Sequence[int]) -> None:
        """Compute the gradient of a leaf in the first slot, and add each slot to the next one."""
        gradient = self._channel.slot(slots[0])
        if slots[0] not in self._gradients:
            self._gradients[slots[0]] = self._network.bind_gradient(gradient)
        self._sums[slots[0]] = 0
        order = self._epoch_order(round_.epoch)

        def used(start: int, stop: int) -> Mapping[int, Numbers]:
            return self._used(order.rows(start, stop))

        for step in self._learner.steps(round_, leaf, gradient, self._rate, used=used):
            self._step(round_, pushed, step, slots)

    def _step(self, round_: Round, pushed: Node, step: LocalStep, slots: Sequence[int]) -> None:
        """Add a local step to the sum in the first slot; after the last step of the leaf, each slot to the next one."""
        slot = slots[0]
        gradient = self._channel.slot(slot)
        program = self._fill("train", self._epoch_order(round_.epoch).rows(step.start, step.stop), round_.epoch)
        began = self._clock()
        self._sums[slot] += program.forward(step.weights, step.pass_)
        self._keep_scores(program)
        counts = self._schedule.measures_health(round_)
        if counts:
            program.count_active(gradient.active)
        middle = self._clock()
        sums = GradientSums(
            self._channel,
            slots if step.is_last else slots[:1],
            counts=counts,
            push=(round_.number, pushed) if step.is_last and step.leaf + 1 == pushed[1] else None,
            before=step.before,
            clock=self._clock,
            part=self._part,
            encoder=self._encoder(round_, pushed, step.leaf) if step.is_last else None,
        )
        program.backward(step.weights, self._gradients[slot], step.scale, sums.final, share=step.share)
        sums.end()
        self._push_seconds += sums.push_seconds
        self._forward_seconds += middle - began
        self._backward_seconds += self._clock() - middle - sums.push_seconds

    def _encoder(self, round_: Round, pushed: Node, leaf: int) -> LeafEncoder | None:
        encoded = self._channel.encoded
        if encoded is None:
            return None
        decodes = not (self._channel.travels and is_leaf(pushed))
        fed_back, size = encoded.coding.codec.feeds_back, encoded.coding.size
        residual = self._residuals.of(leaf, size) if fed_back else None
        return LeafEncoder(encoded, self._seed, round_.step, leaf, decodes=decodes, residual=residual)

    def _evaluate(self, round_: Round, node: Node) -> NDArray[np.float64]:
        """Return the metrics of a node of held-out rows."""
        if node[1] - node[0] > 1:
            left, right = children(node)
            return self._evaluate(round_, left) + self._evaluate(round_, right)
        rows = np.arange(*round_.leaf(node[0]))
        if self._channel.pulled:
            self._pull("test", rows)
        self._data.expect("test", rows)
        program = self._fill("test", rows)
        began = self._clock()
        sums = program.forward(self._learner.weights).copy()
        self._keep_scores(program)
        self._forward_seconds += self._clock() - began
        return sums

    def _keep_scores(self, program: Program) -> None:
        if self._channel.terms.scores:
            self._scores.append(program.scores.copy())

    def _expect(self, round_: Round, first: int, last: int) -> None:
        """Prepare for the samples of some leaves in the next round of the epoch, which are probably this worker's."""
        rows = round_.stop - round_.start
        start, stop = round_.leaf(first)[0] + rows, min(round_.leaf(last - 1)[1] + rows, self._schedule.train_rows)
        if start < stop:
            self._data.expect("train", self._epoch_order(round_.epoch).rows(start, stop))

    def _fill(self, part: PartName, rows: NDArray[np.int64], epoch: int | None = None) -> Program:
        """Return the program for this number of rows, with these rows as its inputs and labels.

        In an epoch of training they are augmented.
        """
        began = self._clock()
        program = self._programs.get(len(rows))
        if program is None:
            weighted = self._data.schema.is_weighted
            program = self._programs[len(rows)] = Program(self._network, len(rows), weighted=weighted)
            for name, center in program.centers.items():
                # equal in all workers, because each has the whole training part
                center[:] = self._data.label_mean(name)
        self._data.fill(part, rows, Samples(program.xs, program.ys, program.sample_weights))
        if epoch is not None:
            self._augmenter.apply(program.xs, rows, epoch)
        self._data_seconds += self._clock() - began
        return program

    def _epoch_order(self, epoch: int) -> EpochOrder:
        if epoch != self._epoch:
            self._epoch, self._order = epoch, EpochOrder(self._seed, epoch, self._schedule.train_rows)
        return self._order
