"""What every kind of layer is: a shape rule, parameters, and forward and backward side by side."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from raydient.spec import functions as spec
from raydient.steps.gradient import Part
from raydient.steps.layout import Kind, Learned
from raydient.workers.network.onnx_graph import OnnxGraph
from raydient.workers.streams import Purpose, stream

Array = NDArray[np.floating]
Shape = tuple[int, ...]
Memory = Mapping[str, tuple[Shape, DTypeLike | None]]
"""Arrays that a layer asks for, by name: their shapes, the row axis included, and types; None is the program's own."""


@dataclass(frozen=True, slots=True)
class ParameterRule:
    """A parameter before it exists: its name within the layer, its shape and how it begins.

    Attributes:
        ones: from which place along the last axis to below which one it begins at 1 instead.
        kind: how an update changes it. A layer has its moving averages behind what it learns.
        sparse: a table, (rows, width), whose gradient is zero except in a few rows. The layer writes these rows with
            `Part.write`.
    """

    name: str
    shape: Shape
    initializer: spec.Initializer
    fan_in: int
    fan_out: int
    ones: tuple[int, int] = (0, 0)
    kind: Kind = Learned()  # noqa: RUF009  (it is immutable)
    sparse: bool = False


def learned(penalty: spec.Regularizer) -> Learned:
    """The kind of a parameter that is learned with this penalty on large values."""
    return Learned(penalty.l1, penalty.l2)


class Views(dict[str, NDArray[Any]]):
    """A layer's parameters, or the gradients by them, inside a flat vector: arrays by name within the layer.

    Attributes:
        parts: the gradients again, dense or row-sparse: what clears, writes or adds rows goes through these.
    """

    def __init__(self, parts: Mapping[str, Part]) -> None:
        super().__init__({name: part.values for name, part in parts.items()})
        self.parts = parts

    def add(self, other: "Views") -> None:
        """Add the gradients by the same parameters of another use of the layer."""
        for name, part in self.parts.items():
            part.add(other.parts[name])


@dataclass(frozen=True, slots=True)
class Pass:
    """What a forward pass is for. Random numbers of a training pass are keyed by all of it, so that they are the same
    whoever computes the microbatch.
    """

    training: bool = False
    seed: int = 0
    step: int = 0
    microbatch: int = 0

    def generator(self, layer: str) -> np.random.Generator:
        """The random numbers of one layer in this pass."""
        return stream(Purpose.LAYER, self.seed, f"{self.step}/{self.microbatch}/{layer}")


INFERENCE = Pass()
"""Evaluation and prediction: nothing is random, statistics are those of training."""


@dataclass(frozen=True, slots=True)
class Buffers:
    """The arrays of one layer in one program; the first axis is the row (the sample).

    Attributes:
        xs: inputs, each (rows, *input shape); forward and backward only read them.
        y: output, (rows, *output shape); forward writes it, backward only reads it.
        dy: derivative of the loss by y; backward may overwrite it.
        dxs: derivative of the loss by each of xs; backward writes it. None where nothing before it learns.
        scratch: like y, contents lost between calls; may share memory with the first of dxs.
        saved: what the layer's `saved` asks for: forward leaves there what backward needs.
        work: what its `work` asks for: contents lost between calls, shared with other layers.
    """

    xs: tuple[Array, ...]
    y: Array
    dy: Array
    dxs: tuple[Array | None, ...]
    scratch: Array
    saved: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    work: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def x(self) -> Array:
        """The input of a layer that has one."""
        return self.xs[0]

    @property
    def dx(self) -> Array | None:
        """The derivative by it."""
        return self.dxs[0]


class Layer(ABC):
    """One layer of a network, with its place in it: its name and its input shapes are known, its arrays are not its
    own.

    Attributes:
        kind: its word in the specification.
        inputs: how many it takes, at least and at most; None: any number.
        name: unique in the network.
        input_shapes, output_shape: of one sample, without the row axis.
        parameters: in the order they lie in the flat vector.
        rectified_units: units, places along the last axis of the output, if its activation rectifies; else 0.
        least_rows: of a microbatch in training.
        operations: additions and multiplications of the forward pass for one sample, activations not counted.
        output_is_view: y is x under another shape; forward has nothing to do. For layers of one input.
        gradient_is_view: dx is dy under another shape, so the derivative passes through in place. Likewise.
        rearranges: each value of y is one of x, in another place.
        index_limit: where its input is whole numbers out of the data, from 0 to below this one; else None.
    """

    kind: ClassVar[str]
    inputs: ClassVar[tuple[int, int | None]] = (1, 1)
    output_is_view: ClassVar[bool] = False
    gradient_is_view: ClassVar[bool] = False
    rearranges: ClassVar[bool] = False

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: Any) -> None:
        """`settings` is what the specification holds under this layer's kind."""
        self.name = name
        self.input_shapes = tuple(input_shapes)
        self.output_shape: Shape = self.input_shapes[0]
        self.parameters: tuple[ParameterRule, ...] = ()
        self.rectified_units = 0
        self.least_rows = 1
        self.operations = 0
        self.index_limit: int | None = None

    @property
    def input_shape(self) -> Shape:
        """The shape of the first input."""
        return self.input_shapes[0]

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Any) -> str | None:
        """Why this kind of layer cannot take samples of these shapes, and the mend; None if it can.

        A sentence whose subject is the layer; `build` puts the shapes and their sources before it.
        """
        return None

    def saved(self, rows: int) -> Memory:
        """Arrays of its own that keep between forward and backward what backward needs beside x and y."""
        return {}

    def work(self, rows: int) -> Memory:
        """Arrays that it needs within a call."""
        return {}

    @abstractmethod
    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        """Compute y from the inputs."""

    @abstractmethod
    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        """From dy compute dxs and the gradient by each parameter, overwriting them; xs and y are as forward left
        them. In the place of a moving average's gradient it leaves this microbatch's statistic.
        """

    @abstractmethod
    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        """Add to `graph` operators that compute for any number of rows what `forward` does without training.

        Args:
            graph: knows this layer's parameters by their names within it.
            xs: names of the inputs.

        Returns:
            The name of the output.
        """


def blocks(rows: int, size: int) -> Iterator[slice]:
    """So many rows, at most `size` at a time."""
    return (slice(first, min(first + size, rows)) for first in range(0, rows, size))


def shape_text(shape: Shape) -> str:
    """A shape for people."""
    return "(" + ", ".join(map(str, shape)) + ")"
