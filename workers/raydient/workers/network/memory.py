"""The arrays of a program: outputs, and slabs of memory that derivatives share, planned before anything is allocated.

The planner simulates the backward pass. A derivative occupies a free slab from the moment the first layer writes it
until its own layer is done. So a chain of layers needs two slabs, whatever its length, and a graph needs one for each
derivative that is in use at the same time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import CACHE_LINE, AnyArray, Floats, aligned_zeros
from raydient.steps.layout import Frozen

from .ends import input_number, is_input
from .graph import Network
from .layers import Buffers, Memory, Shape


@dataclass(frozen=True, slots=True)
class Plan:
    """The arrays of a program. Places are indices of `Network.nodes`.

    Attributes:
        outputs: output of each node.
        buffers: arrays of each node.
        backward_order: places of the nodes of the backward pass.
        joins: for each node the pairs (total, part), where part is added to total after the node's backward pass.
        gradients: derivative of the loss by each output of the network.
        scratches: arrays like `gradients` for the losses to use before the backward pass. They share memory.
    """

    outputs: tuple[Floats, ...]
    buffers: tuple[Buffers, ...]
    backward_order: tuple[int, ...]
    joins: tuple[tuple[tuple[Floats, Floats], ...], ...]
    gradients: tuple[Floats, ...]
    scratches: tuple[Floats, ...]


def plan(network: Network, inputs: Sequence[Floats]) -> Plan:
    """Allocate the arrays of a program of `network` whose samples are `inputs`, each (rows, *input shape)."""
    x = inputs[0]  # all inputs have the same number of rows and type
    outputs = _outputs(network, inputs)
    planner = _Planner(network, len(x))
    planner.simulate()
    slabs = [aligned_zeros((size,), x.dtype) for size in planner.sizes]
    work = _shared_work(network, x)

    def array(part: "_Part") -> Floats:
        return slabs[part.slab][: len(x) * prod(part.shape)].reshape(len(x), *part.shape)

    buffers = []
    for place, node in enumerate(network.nodes):
        y, turn = outputs[place], planner.turns.get(place)
        xs = tuple(_value(source, inputs, outputs) for source in node.sources)
        kept = node.layer.saved(len(x))
        saved = {name: aligned_zeros(shape, dtype or x.dtype) for name, (shape, dtype) in kept.items()}
        scratch = array(turn.scratch if turn else _Part(planner.largest, node.layer.output_shape))
        dy = array(turn.dy) if turn else y[:0]
        dxs = tuple(None if part is None else array(part) for part in turn.dxs) if turn else (None,) * len(xs)
        buffers.append(Buffers(xs, y, dy, dxs, scratch, saved, work[place]))
    turns = [planner.turns.get(place) for place in range(len(network.nodes))]
    return Plan(
        outputs=outputs,
        buffers=tuple(buffers),
        backward_order=tuple(planner.turns),
        joins=tuple(tuple((array(a), array(b)) for a, b in (turn.joins if turn else ())) for turn in turns),
        gradients=tuple(map(array, planner.firsts)),
        scratches=tuple(map(array, planner.scratches)),
    )


def program_bytes(network: Network, rows: int) -> int:
    """Number of bytes of the arrays of a float32 program of `rows` samples. Allocates nothing."""
    x = np.dtype(np.float32)
    planner = _Planner(network, rows)
    planner.simulate()
    outputs = [layer.output_shape for layer in network.layers if not layer.output_is_view]
    values = sum(rows * prod(shape) for shape in (*network.input_shapes.values(), *outputs)) + sum(planner.sizes)
    saved = sum(_bytes(layer.saved(rows), x) for layer in network.layers)
    work = max((_bytes(layer.work(rows), x) for layer in network.layers), default=0)
    return x.itemsize * values + saved + work


def _value(source: int, inputs: Sequence[Floats], outputs: Sequence[Floats]) -> Floats:
    return inputs[input_number(source)] if is_input(source) else outputs[source]


def _outputs(network: Network, inputs: Sequence[Floats]) -> tuple[Floats, ...]:
    outputs: list[Floats] = []
    for node in network.nodes:
        x = _value(node.sources[0], inputs, outputs)
        shape = (len(x), *node.layer.output_shape)
        outputs.append(x.reshape(shape) if node.layer.output_is_view else aligned_zeros(shape, x.dtype))
    return tuple(outputs)


def _shared_work(network: Network, x: Floats) -> list[dict[str, AnyArray]]:
    """The `work` arrays of the layers. They share one slab, whose size is the largest that a layer needs."""
    wanted = [layer.work(len(x)) for layer in network.layers]
    slab = aligned_zeros((max((_bytes(memory, x.dtype) for memory in wanted), default=0),), np.uint8)
    return [_carve(slab, memory, x.dtype) for memory in wanted]


def _aligned(size: int) -> int:
    return -(-size // CACHE_LINE) * CACHE_LINE


def _bytes(memory: Memory, dtype: np.dtype[Any]) -> int:
    return sum(_aligned(prod(shape) * np.dtype(kind or dtype).itemsize) for shape, kind in memory.values())


def _carve(slab: NDArray[np.uint8], memory: Memory, dtype: np.dtype[Any]) -> dict[str, AnyArray]:
    arrays, start = {}, 0
    for name, (shape, kind) in memory.items():
        size = prod(shape) * np.dtype(kind or dtype).itemsize
        arrays[name] = slab[start : start + size].view(kind or dtype).reshape(shape)
        start += _aligned(size)
    return arrays


@dataclass(frozen=True, slots=True)
class _Part:
    """The first values of a slab, as an array (rows, *shape)."""

    slab: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class _Turn:
    """The derivatives of one node during its turn in the backward pass."""

    dy: _Part
    scratch: _Part
    dxs: tuple[_Part | None, ...]
    joins: tuple[tuple[_Part, _Part], ...]


class _Planner:
    """Simulates the backward pass and records the slab of each derivative.

    Attributes:
        turns: the turns of the nodes of the backward pass, in its order.
        sizes: number of values of each slab.
        largest: index of the largest slab.
        firsts, scratches: see `Plan.gradients` and `Plan.scratches`.
    """

    def __init__(self, network: Network, rows: int) -> None:
        self._network, self._rows = network, rows
        self.turns: dict[int, _Turn] = {}
        self.sizes: list[int] = []
        self.largest = 0
        self._free: list[int] = []
        self._derivatives: dict[int, _Part] = {}  # by node, once the first layer has written it
        self.firsts = [self._take(output.shape) for output in network.outputs]
        spare = self._take(())
        self.scratches = [self._take(output.shape, spare.slab) for output in network.outputs]
        self._free.append(spare.slab)

    def simulate(self) -> None:
        learns = self._learning()
        self._derivatives = {o.place: part for o, part in zip(self._network.outputs, self.firsts, strict=True)}
        for place in reversed(range(len(self._network.nodes))):
            if learns[place]:
                self.turns[place] = self._turn(place, learns)
        # Layers without a turn need scratch in the forward pass, when every slab is free.
        self.largest = max(range(len(self.sizes)), key=self.sizes.__getitem__)
        for layer in self._network.layers:
            self._take(layer.output_shape, self.largest)

    def _learning(self) -> list[bool]:
        """For each node, True if it or a node before it has parameters that are not frozen, so that it needs dy."""
        learns: list[bool] = []
        for node in self._network.nodes:
            learns.append(
                any(not isinstance(p.kind, Frozen) for p in node.layer.parameters)
                or any(not is_input(s) and learns[s] for s in node.sources)
            )
        return learns

    def _turn(self, place: int, learns: list[bool]) -> _Turn:
        node = self._network.nodes[place]
        dy = self._derivatives.pop(place)
        scratch = self._take(node.layer.output_shape)
        spare, passed_on = [scratch.slab], False
        dxs: list[_Part | None] = []
        joins: list[tuple[_Part, _Part]] = []
        used: list[int] = []  # by parts, which are added when the layer has written all of them
        for source, shape in zip(node.sources, node.layer.input_shapes, strict=True):
            if is_input(source) or not learns[source]:
                dxs.append(None)
                continue
            total = self._derivatives.get(source)
            if node.layer.gradient_is_view:
                part, passed_on = _Part(dy.slab, shape), total is None
            else:
                part = self._take(shape, spare.pop() if spare else None)
            dxs.append(part)
            if total is None:
                self._derivatives[source] = part
            else:
                joins.append((total, part))
                used.append(part.slab)
        self._free += spare + [slab for slab in used if slab != dy.slab]
        if not passed_on:
            self._free.append(dy.slab)
        return _Turn(dy, scratch, tuple(dxs), tuple(joins))

    def _take(self, shape: Shape, slab: int | None = None) -> _Part:
        """Reserve `slab`, or the smallest free slab that is large enough.

        If no free slab is large enough, the largest one grows; if none is free, a new one is added.
        """
        size = self._rows * prod(shape)
        if slab is None and self._free:
            slab = min(self._free, key=lambda free: (self.sizes[free] < size, abs(self.sizes[free] - size)))
            self._free.remove(slab)
        elif slab is None:
            slab = len(self.sizes)
            self.sizes.append(0)
        self.sizes[slab] = max(self.sizes[slab], size)
        return _Part(slab, shape)
