"""The network of a job: layers, activations, initializers, losses. Names are Keras's, in snake case."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from .base import Model, OneOf

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A layer's name; parameters are called `{layer}.{parameter}`."""
INPUT = "input"
"""What a layer calls the samples themselves among its inputs."""
MAXIMUM_INPUTS = 64
Inputs = Annotated[
    tuple[Name, ...],
    Field(max_length=MAXIMUM_INPUTS, strict=False),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": NAME_PATTERN},
                {"type": "array", "items": {"type": "string", "pattern": NAME_PATTERN}, "maxItems": MAXIMUM_INPUTS},
            ],
        }
    ),
]
"""Names of the layers whose outputs a layer takes, in order; one name may stand alone. Empty: the layer before it."""


Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
Axis = Annotated[int, Field(ge=0, le=7)]


class Empty(Model):
    """An option without settings."""


class Constant(Model):
    """Every value the same."""

    value: float = 0.0


class Initializer(OneOf):
    """How a parameter begins. Glorot: Glorot and Bengio (2010); He: He et al. (2015)."""

    glorot_uniform: Empty | None = None
    glorot_normal: Empty | None = None
    he_uniform: Empty | None = None
    he_normal: Empty | None = None
    zeros: Empty | None = None
    ones: Empty | None = None
    constant: Constant | None = None


class LeakyRelu(Model):
    """x where x is positive, `negative_slope` times x elsewhere."""

    negative_slope: Annotated[float, Field(ge=0, lt=1)] = 0.3


class Activation(OneOf):
    """A function applied to each value."""

    identity: Empty | None = None
    sigmoid: Empty | None = None
    tanh: Empty | None = None
    relu: Empty | None = None
    leaky_relu: LeakyRelu | None = None


class Placed(Model):
    """What every layer has: its name, and where it stands in the graph."""

    name: Name | None = None
    inputs: Inputs = ()


class Dense(Placed):
    """A fully connected layer: activation(x @ kernel + bias)."""

    units: Annotated[int, Field(ge=1, le=1_048_576)]
    activation: Activation = Activation(identity=Empty())
    use_bias: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    bias_initializer: Initializer = Initializer(zeros=Empty())


class Flatten(Placed):
    """One vector per sample, whatever its shape was."""


class Reshape(Placed):
    """The values of a sample in another shape, the last axis running fastest."""

    shape: Annotated[tuple[Size, ...], Field(min_length=1, max_length=8, strict=False)]


class Transpose(Placed):
    """The axes of a sample in another order: `axes` names each once, from 0."""

    axes: Annotated[tuple[Axis, ...], Field(min_length=1, max_length=8, strict=False)]

    @field_validator("axes")
    @classmethod
    def _each_once(cls, axes: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(axes) != list(range(len(axes))):
            raise ValueError(f"{list(axes)} does not name each of the axes 0 to {len(axes) - 1} once")
        return axes


class ActivationLayer(Placed):
    """An activation as a layer of its own."""

    function: Activation


class Merge(Placed):
    """Two inputs or more, of one shape, made one value by value."""


class Concatenate(Placed):
    """Two inputs or more, one behind the other along an axis of the sample; -1 is the last."""

    axis: Annotated[int, Field(ge=-8, le=7)] = -1


class Shared(Placed):
    """An earlier layer once more, with the same parameters, applied to another input."""

    layer: Name


class Layer(OneOf):
    """One layer. Without a name it is called by its kind and its place among its kind: `dense_1`, `dense_2`."""

    dense: Dense | None = None
    flatten: Flatten | None = None
    reshape: Reshape | None = None
    transpose: Transpose | None = None
    activation: ActivationLayer | None = None
    add: Merge | None = None
    multiply: Merge | None = None
    concatenate: Concatenate | None = None
    dot: Merge | None = None
    shared: Shared | None = None


class Loss(OneOf):
    """What training makes small.

    `sum_squared_error` sums over a sample's outputs, `mean_squared_error` averages over them; `softmax_cross_entropy`
    takes one output per class and class indices as labels, `binary_cross_entropy` one output (a logit) and labels 0
    and 1. Each is then averaged over the samples of a batch.
    """

    sum_squared_error: Empty | None = None
    mean_squared_error: Empty | None = None
    softmax_cross_entropy: Empty | None = None
    binary_cross_entropy: Empty | None = None


class Network(Model):
    """Layers, and the loss at their end. Without `inputs` each takes what the one before it gives."""

    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=1000, strict=False)]
    loss: Loss

    @field_validator("layers")
    @classmethod
    def _names_are_distinct(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        first: dict[str, int] = {}
        for index, name in enumerate(layer_names(layers)):
            if first.setdefault(name, index) != index:
                raise ValueError(f'layers {first[name]} and {index} are both called "{name}": give one another name')
            if name == INPUT:
                raise ValueError(f'layer {index} is called "{INPUT}", as the samples are: give it another name')
        return layers


def layer_names(layers: Sequence[Layer]) -> tuple[str, ...]:
    """The name of each layer: its own, or its kind and its place among its kind, from 1."""
    seen: Counter[str] = Counter()
    names = []
    for layer in layers:
        seen[layer.kind] += 1
        names.append(layer.value.name or f"{layer.kind}_{seen[layer.kind]}")
    return tuple(names)
