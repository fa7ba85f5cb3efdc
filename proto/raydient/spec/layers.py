"""The common fields of layers, and the basic layers; other families have their own modules. Names are Keras's."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator

from .base import Model
from .functions import Activation, Empty, Initializer, Regularizer

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A layer's name; parameters are called `{layer}.{parameter}`."""
INPUT = "input"
"""The name of the samples themselves among the inputs of a layer."""
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
"""Names of the layers whose outputs a layer takes, in order; a single name needs no list. Empty: the previous layer."""

Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
Axis = Annotated[int, Field(ge=0, le=7)]


class Placed(Model):
    """The fields of every layer: its name, and its inputs in the graph."""

    name: Name | None = None
    inputs: Inputs = ()


class Learned(Placed):
    """The fields of every layer with parameters: `trainable` is false for one whose parameters stay as they are."""

    trainable: bool = True


def _distinct_axes(axes: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(axes)) < len(axes):
        raise ValueError(f"{list(axes)} names an axis twice")
    return axes


class Dense(Learned):
    """A fully connected layer: activation(x @ kernel + bias)."""

    units: Annotated[int, Field(ge=1, le=1_048_576)]
    activation: Activation = Activation(identity=Empty())
    use_bias: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    kernel_regularizer: Regularizer = Regularizer()
    bias_regularizer: Regularizer = Regularizer()
    activity_regularizer: Regularizer = Regularizer()


class Flatten(Placed):
    """Reshape each sample to a vector."""


class Reshape(Placed):
    """Give each sample another shape, in C order (the last axis changes fastest)."""

    shape: Annotated[tuple[Size, ...], Field(min_length=1, max_length=8, strict=False)]


class Transpose(Placed):
    """Permute the axes of each sample; `axes` names each of them once, from 0."""

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


class ActivityRegularization(Placed):
    """Outputs unchanged, with a penalty on large ones y added to the loss: l1 · Σ |y| + l2 · Σ y², averaged over the
    samples of a batch.
    """

    l1: Annotated[float, Field(ge=0, le=1e30)] = 0.0
    l2: Annotated[float, Field(ge=0, le=1e30)] = 0.0


class Prelu(Learned):
    """x where x is positive, a learnt factor times x elsewhere (He et al. 2015).

    There is a factor for each value of a sample; along `shared_axes`, from 1, they are the same.
    """

    alpha_initializer: Initializer = Initializer(zeros=Empty())
    alpha_regularizer: Regularizer = Regularizer()
    shared_axes: Annotated[
        tuple[Annotated[int, Field(ge=1, le=8)], ...], Field(max_length=8, strict=False), AfterValidator(_distinct_axes)
    ] = ()


class Merge(Placed):
    """Combine two or more inputs of one shape, element by element."""


class Concatenate(Placed):
    """Concatenate two or more inputs along an axis of the sample; -1 is the last axis."""

    axis: Annotated[int, Field(ge=-8, le=7)] = -1


class Shared(Placed):
    """Apply an earlier layer, with the same parameters, to another input."""

    layer: Name
