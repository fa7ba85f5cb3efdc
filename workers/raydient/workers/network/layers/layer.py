"""The base class of layers: a shape rule, parameters, and forward and backward side by side."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from raydient.spec import functions as spec
from raydient.steps.arrays import AnyArray, Floats
from raydient.steps.gradient import Part
from raydient.steps.layout import Kind, Learned
from raydient.workers.network.onnx_graph import OnnxGraph
from raydient.workers.streams import Purpose, stream

Shape = tuple[int, ...]
Memory = Mapping[str, tuple[Shape, DTypeLike | None]]
"""Arrays that a layer needs, by name: shape, including the row axis, and type; None is the type of the program."""


@dataclass(frozen=True, slots=True)
class ParameterRule:
    """The name, shape, initial values and kind of a layer's parameter.

    Attributes:
        name: name within the layer.
        shape: shape of the parameter.
        initializer, fan_in, fan_out: determine the initial values.
        ones: range of indices along the last axis whose initial values are 1 instead.
        kind: the rule by which an update changes it. Moving averages come after the parameters that are learned.
        sparse: True for a table, (rows, width), whose gradient is zero except in a few rows. The layer writes these
            rows with `Part.write`.
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
    """The kind of a parameter that is learned, with a penalty on large values."""
    return Learned(penalty.l1, penalty.l2)


class Views(dict[str, AnyArray]):
    """Views of a flat vector: the parameters of a layer, or the gradients by them, by name within the layer.

    Attributes:
        parts: the same arrays as dense or row-sparse parts, whose methods clear, write and add rows.
    """

    def __init__(self, parts: Mapping[str, Part]) -> None:
        super().__init__({name: part.values for name, part in parts.items()})
        self.parts = parts

    def add(self, other: "Views") -> None:
        """Add the gradients of another node that shares the parameters."""
        for name, part in self.parts.items():
            part.add(other.parts[name])


@dataclass(frozen=True, slots=True)
class Pass:
    """The purpose of a forward pass, and the keys of its random numbers.

    The random numbers of a training pass depend on seed, step, microbatch and local step, not on the worker that
    computes them.
    """

    training: bool = False
    seed: int = 0
    step: int = 0
    microbatch: int = 0
    local_step: int = 0

    def generator(self, layer: str) -> np.random.Generator:
        """A generator of the random numbers of one layer in this pass."""
        later = f"{self.local_step}/" if self.local_step else ""
        return stream(Purpose.LAYER, self.seed, f"{self.step}/{self.microbatch}/{later}{layer}")


INFERENCE = Pass()
"""The pass of evaluation and prediction: no random numbers, statistics of training."""


@dataclass(frozen=True, slots=True)
class Buffers:
    """The arrays of one layer in one program; the first axis is the row (the sample).

    Attributes:
        xs: inputs, each (rows, *input shape); forward and backward only read them.
        y: output, (rows, *output shape); forward writes it, backward only reads it.
        dy: derivative of the loss by y; backward may overwrite it.
        dxs: derivative of the loss by each of xs; backward writes it. None if no layer before it learns.
        scratch: an array like y, contents lost between calls; may share memory with the first of dxs.
        saved: the arrays of `Layer.saved`, which keep values from forward to backward.
        work: the arrays of `Layer.work`, contents lost between calls; layers share their memory.
    """

    xs: tuple[Floats, ...]
    y: Floats
    dy: Floats
    dxs: tuple[Floats | None, ...]
    scratch: Floats
    saved: Mapping[str, AnyArray] = field(default_factory=dict)
    work: Mapping[str, AnyArray] = field(default_factory=dict)

    @property
    def x(self) -> Floats:
        """The input of a layer with one input."""
        return self.xs[0]

    @property
    def dx(self) -> Floats | None:
        """The derivative by the input of a layer with one input."""
        return self.dxs[0]


class Layer(ABC):
    """One layer of a network. It has a name and shapes but no arrays: programs own these and pass them in.

    Attributes:
        kind: name of the kind in the specification.
        inputs: minimum and maximum number of inputs; a maximum of None is any number.
        name: name of the layer, unique in the network.
        input_shapes, output_shape: shapes of one sample, without the row axis.
        parameters: the parameters, in the order of the flat vector.
        rectified_units: length of the last axis of the output if the activation rectifies, else 0.
        least_rows: minimum number of rows of a microbatch in training.
        operations: additions and multiplications of the forward pass for one sample, without activations.
        output_is_view: True if y is x under another shape, so that forward does nothing. For layers of one input.
        gradient_is_view: True if dx is dy under another shape: backward works in place. For layers of one input.
        rearranges: True if each value of y is a value of x.
        takes_mask: True if a last input of shape (length) may be a mask of the sequence (length, features) before it:
            places where it is 0 are left out.
        masked_by: the inputs whose masks hold for y too, because each place of y belongs to the same place of these.
        index_limit: for a layer whose inputs are indices from the data, the number that they must be below; else None.
        mask_padding: True if the places at which the input is 0 are padding, so that the input is a mask of y.
        penalty: l1 and l2 of the penalty on the output, see `ActivityPenalties`.
    """

    kind: ClassVar[str]
    inputs: ClassVar[tuple[int, int | None]] = (1, 1)
    output_is_view: ClassVar[bool] = False
    gradient_is_view: ClassVar[bool] = False
    rearranges: ClassVar[bool] = False
    takes_mask: ClassVar[bool] = False
    masked_by: ClassVar[slice] = slice(0)

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: Any) -> None:
        """`settings` are those of the layer in the specification."""
        self.name = name
        self.input_shapes = tuple(input_shapes)
        self.output_shape: Shape = self.input_shapes[0]
        self.parameters: tuple[ParameterRule, ...] = ()
        self.rectified_units = 0
        self.least_rows = 1
        self.operations = 0
        self.index_limit: int | None = None
        self.mask_padding = False
        penalty = getattr(settings, "activity_regularizer", spec.Regularizer())
        self.penalty: tuple[float, float] = penalty.l1, penalty.l2

    @property
    def input_shape(self) -> Shape:
        """The shape of the first input."""
        return self.input_shapes[0]

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Any) -> str | None:
        """The reason why this kind of layer cannot take samples of these shapes, with a remedy, or None.

        The text is a predicate whose subject is the layer; `build` puts the shapes and their sources before it.
        """
        return None

    def saved(self, rows: int) -> Memory:
        """Arrays that keep values from forward to backward, besides x and y."""
        return {}

    def work(self, rows: int) -> Memory:
        """Arrays that the layer needs within a call."""
        return {}

    @abstractmethod
    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        """Compute y from the inputs."""

    @abstractmethod
    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        """Compute dxs and the gradient by each parameter from dy; xs, y and `saved` are unchanged since `forward`.

        For a moving average, the statistic of the microbatch takes the place of the gradient.
        """

    @abstractmethod
    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        """Add operators that compute the forward pass of inference for any number of rows.

        Args:
            graph: the graph, with the parameters of the layer by their names within it.
            xs: names of the inputs.

        Returns:
            The name of the output.
        """


def blocks(rows: int, size: int) -> Iterator[slice]:
    """Split `rows` rows into slices of at most `size`."""
    return (slice(first, min(first + size, rows)) for first in range(0, rows, size))


def shape_text(shape: Shape) -> str:
    """A shape as text for messages."""
    return "(" + ", ".join(map(str, shape)) + ")"
