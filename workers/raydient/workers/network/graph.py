"""From a specification to a network: names, shapes and parameter layout, with nothing allocated."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from raydient.spec import network as spec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.wire.layout import Layout
from raydient.workers.streams import Purpose, stream

from .initializers import INITIALIZERS
from .layers import LAYERS, Layer, Shape, Views
from .losses import LOSSES

MAXIMUM_PARAMETERS = 2**31 - 1
"""8 GiB of weights: more is a slip of the pen rather than a network for this service."""


class Network:
    """Layers in the order they are applied, and the loss at their end. Immutable; made by `build`.

    Attributes:
        spec: what it was built from.
        layers: named, with known shapes.
        layout: of all parameters in the flat vector, named `{layer}.{parameter}`.
        input_shape, output_shape: of one sample, without the row axis.
        label_shape, label_dtype: of one sample's label, as the loss wants it.
        metric_names: what the loss sums over rows, `loss` first.
    """

    def __init__(self, specification: spec.Network, input_shape: Shape, layers: Sequence[Layer]) -> None:
        self.spec = specification
        self.layers = tuple(layers)
        self.layout = Layout.of((f"{layer.name}.{p.name}", p.shape) for layer in layers for p in layer.parameters)
        self.input_shape = input_shape
        self.output_shape = self.layers[-1].output_shape
        self.loss = LOSSES[specification.loss.kind]
        self.label_shape = self.loss.label_shape(self.output_shape)
        self.label_dtype = np.dtype(self.loss.label_dtype)
        self.metric_names = self.loss.metric_names

    def bind(self, vector: NDArray[np.floating]) -> tuple[Views, ...]:
        """For each layer the views of its parameters inside `vector` (layout.size,), by name within the layer.

        For weights and gradients alike. Views, never copies: bind once and change the vector in place.
        """
        views = self.layout.views(vector)
        return tuple({p.name: views[f"{layer.name}.{p.name}"] for p in layer.parameters} for layer in self.layers)

    def initialize(self, seed: int, vector: NDArray[np.float32]) -> None:
        """Fill `vector` (layout.size,) with initial weights, in place.

        Each parameter has a random stream of its own, keyed by (seed, name): another layer changes none of the others.
        """
        for layer, views in zip(self.layers, self.bind(vector), strict=True):
            for p in layer.parameters:
                generator = stream(Purpose.PARAMETER, seed, f"{layer.name}.{p.name}")
                fill = INITIALIZERS[p.initializer.kind]
                fill(views[p.name], generator, p.fan_in, p.fan_out, p.initializer.value)


def build(network: spec.Network, input_shape: Shape) -> Network:
    """The network that a specification describes, for samples of `input_shape` (without the row axis).

    Raises:
        InvalidSpec: with every rule broken: shapes that do not fit, nothing to train.
    """
    errors: list[FieldError] = []
    layers: list[Layer] = []
    shape, source = input_shape, "the data gives"
    names = spec.layer_names(network.layers)
    for index, (choice, name) in enumerate(zip(network.layers, names, strict=True)):
        kind = LAYERS[choice.kind]
        if problem := kind.shape_problem(shape):
            message = f"{source} samples of shape {_text(shape)}, {name} {problem}"
            errors.append(FieldError(_path(index, choice), message))
            shape = (prod(shape),)  # as if mended, to find what else is wrong
        layers.append(kind(name, shape, choice.value))
        shape, source = layers[-1].output_shape, f"{name} gives"
    if problem := LOSSES[network.loss.kind].shape_problem(shape):
        message = f"{source} samples of shape {_text(shape)}, {network.loss.kind} {problem}"
        errors.append(FieldError("network.loss", message))
    if not any(layer.parameters for layer in layers):
        errors.append(FieldError("network.layers", "no layer has parameters, nothing to train: add `dense`"))
    count = sum(prod(p.shape) for layer in layers for p in layer.parameters)
    if count > MAXIMUM_PARAMETERS:
        message = f"{count:,} parameters are more than the {MAXIMUM_PARAMETERS:,} that a network may have"
        errors.append(FieldError("network.layers", message))
    if errors:
        raise InvalidSpec(errors)
    return Network(network, input_shape, layers)


def _path(index: int, layer: spec.Layer) -> str:
    return f"network.layers[{index}].{layer.kind}"


def _text(shape: Shape) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
