"""Layers: shape rule, parameters, forward and backward of each kind, side by side."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from raydient.spec import network as spec

from .activations import activation

Array = NDArray[np.floating]
Views = Mapping[str, Array]
"""A layer's parameters, or the gradients by them, inside a flat vector: by name within the layer."""
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ParameterRule:
    """A parameter before it exists: its name within the layer, its shape and how it begins."""

    name: str
    shape: Shape
    initializer: spec.Initializer
    fan_in: int
    fan_out: int


@dataclass(frozen=True, slots=True)
class Buffers:
    """The arrays of one layer in one program; the first axis is the row (the sample).

    Attributes:
        x: input, (rows, *input shape); forward and backward only read it.
        y: output, (rows, *output shape); forward writes it, backward only reads it.
        dy: derivative of the loss by y; backward may overwrite it.
        dx: derivative of the loss by x; backward writes it. None where nothing before this layer learns.
        scratch: like y, contents lost between calls; may share memory with dx.
    """

    x: Array
    y: Array
    dy: Array
    dx: Array | None
    scratch: Array


class Layer(ABC):
    """One layer of a network, with its place in it: its name and its input shape are known, its arrays are not its own.

    Attributes:
        kind: its word in the specification.
        name: unique in the network.
        input_shape, output_shape: of one sample, without the row axis.
        parameters: in the order they lie in the flat vector.
        rectified_units: units, places along the last axis of the output, if its activation rectifies; else 0.
        operations: additions and multiplications of the forward pass for one sample, activations not counted.
        output_is_view: y is x under another shape; forward has nothing to do.
        gradient_is_view: dx is dy under another shape, so the derivative passes through in place.
    """

    kind: ClassVar[str]
    output_is_view: ClassVar[bool] = False
    gradient_is_view: ClassVar[bool] = False

    def __init__(self, name: str, input_shape: Shape, settings: Any) -> None:
        """`settings` is what the specification holds under this layer's kind."""
        self.name = name
        self.input_shape = input_shape
        self.output_shape = input_shape
        self.parameters: tuple[ParameterRule, ...] = ()
        self.rectified_units = 0
        self.operations = 0

    @classmethod
    def shape_problem(cls, input_shape: Shape) -> str | None:
        """Why this kind of layer cannot take samples of this shape, and the mend; None if it can."""
        return None

    @abstractmethod
    def forward(self, buffers: Buffers, weights: Views) -> None:
        """Compute y from x."""

    @abstractmethod
    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        """From dy compute dx and the gradient by each parameter, overwriting it; x and y are as forward left them."""


class Dense(Layer):
    """y = f(x K + b), with f an activation: y, dy (rows, units); x, dx (rows, inputs); K (inputs, units); b (units).

    With dz = dy · f'(z) the chain rule gives dK = xᵀ dz, db = Σ_rows dz and dx = dz Kᵀ.
    """

    kind = "dense"

    def __init__(self, name: str, input_shape: Shape, settings: spec.Dense) -> None:
        super().__init__(name, input_shape, settings)
        (inputs,), units = input_shape, settings.units
        self.output_shape = (units,)
        self.parameters = (ParameterRule("kernel", (inputs, units), settings.kernel_initializer, inputs, units),)
        self.operations = 2 * inputs * units
        if settings.use_bias:
            self.parameters += (ParameterRule("bias", (units,), settings.bias_initializer, inputs, units),)
            self.operations += units
        self.use_bias = settings.use_bias
        self.activation = activation(settings.activation)
        self.rectified_units = units if self.activation.rectifies else 0

    @classmethod
    def shape_problem(cls, input_shape: Shape) -> str | None:
        return None if len(input_shape) == 1 else "takes one vector per sample: add `flatten` before it"

    def forward(self, buffers: Buffers, weights: Views) -> None:
        y = buffers.y
        np.matmul(buffers.x, weights["kernel"], out=y)
        if self.use_bias:
            np.add(y, weights["bias"], out=y)
        self.activation.inplace_forward(y, buffers.scratch)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        dz = buffers.dy
        self.activation.inplace_backward(buffers.y, dz, buffers.scratch)
        np.matmul(buffers.x.T, dz, out=gradients["kernel"])
        if self.use_bias:
            np.add.reduce(dz, axis=0, out=gradients["bias"])
        if buffers.dx is not None:
            np.matmul(dz, weights["kernel"].T, out=buffers.dx)


class Flatten(Layer):
    """One vector per sample: the same memory under another shape, both ways."""

    kind = "flatten"
    output_is_view = True
    gradient_is_view = True

    def __init__(self, name: str, input_shape: Shape, settings: spec.Flatten) -> None:
        super().__init__(name, input_shape, settings)
        self.output_shape = (prod(input_shape),)

    def forward(self, buffers: Buffers, weights: Views) -> None:
        """Nothing to do: y is x."""

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        """Nothing to do: dx is dy."""


class ActivationLayer(Layer):
    """y = f(x) for each value."""

    kind = "activation"
    gradient_is_view = True

    def __init__(self, name: str, input_shape: Shape, settings: spec.ActivationLayer) -> None:
        super().__init__(name, input_shape, settings)
        self.activation = activation(settings.function)
        self.rectified_units = self.output_shape[-1] if self.activation.rectifies else 0

    def forward(self, buffers: Buffers, weights: Views) -> None:
        np.copyto(buffers.y, buffers.x)
        self.activation.inplace_forward(buffers.y, buffers.scratch)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        self.activation.inplace_backward(buffers.y, buffers.dy, buffers.scratch)


LAYERS: dict[str, type[Layer]] = {layer.kind: layer for layer in (Dense, Flatten, ActivationLayer)}
