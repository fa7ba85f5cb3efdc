"""Convolutions over sequences and images, channels last. Names are Keras's."""

from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from .base import OneOf
from .functions import Activation, Empty, Initializer, Regularizer
from .layers import Learned
from .windows import ExplicitPadding, Padding, Size, Sizes, Width, Widths, pair

Filters = Annotated[int, Field(ge=1, le=1_048_576)]
Groups = Annotated[int, Field(ge=1, le=1_048_576)]


class Conv1d(Learned):
    """A convolution over sequences (length, channels): activation(x * kernel + bias)."""

    filters: Filters
    kernel_size: Size
    strides: Size = 1
    padding: Padding = Padding(valid=Empty())
    dilation_rate: Size = 1
    groups: Groups = 1
    activation: Activation = Activation(identity=Empty())
    use_bias: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    kernel_regularizer: Regularizer = Regularizer()
    bias_regularizer: Regularizer = Regularizer()
    activity_regularizer: Regularizer = Regularizer()


class Conv2d(Learned):
    """A convolution over images (height, width, channels): activation(x * kernel + bias)."""

    filters: Filters
    kernel_size: Sizes
    strides: Sizes = (1,)
    padding: Padding = Padding(valid=Empty())
    dilation_rate: Sizes = (1,)
    groups: Groups = 1
    activation: Activation = Activation(identity=Empty())
    use_bias: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    kernel_regularizer: Regularizer = Regularizer()
    bias_regularizer: Regularizer = Regularizer()
    activity_regularizer: Regularizer = Regularizer()


class TransposedPadding(OneOf):
    """Places around the output that the kernel reaches, too. valid: none. same: as many as make the output as large as
    the input times the stride.
    """

    valid: Empty | None = None
    same: Empty | None = None
    explicit: ExplicitPadding | None = None


def _below_strides(padding: Any, info: ValidationInfo) -> Any:
    if padding is not None and "strides" in info.data:
        for further, stride in zip(pair(padding), pair(info.data["strides"]), strict=True):
            if further >= stride:
                raise ValueError(f"{further} is not below the stride, {stride}: use at most {stride - 1}")
    return padding


class Conv1dTranspose(Learned):
    """A transposed convolution over sequences (length, channels): longer by about the factor `strides`."""

    filters: Filters
    kernel_size: Size
    strides: Size = 1
    padding: TransposedPadding = TransposedPadding(valid=Empty())
    output_padding: Width | None = None
    dilation_rate: Size = 1
    groups: Groups = 1
    activation: Activation = Activation(identity=Empty())
    use_bias: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    kernel_regularizer: Regularizer = Regularizer()
    bias_regularizer: Regularizer = Regularizer()
    activity_regularizer: Regularizer = Regularizer()

    _output_padding_is_below_strides = field_validator("output_padding")(_below_strides)


class Conv2dTranspose(Learned):
    """A transposed convolution over images (height, width, channels): larger by about the factors `strides`."""

    filters: Filters
    kernel_size: Sizes
    strides: Sizes = (1,)
    padding: TransposedPadding = TransposedPadding(valid=Empty())
    output_padding: Widths | None = None
    dilation_rate: Sizes = (1,)
    groups: Groups = 1
    activation: Activation = Activation(identity=Empty())
    use_bias: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    kernel_regularizer: Regularizer = Regularizer()
    bias_regularizer: Regularizer = Regularizer()
    activity_regularizer: Regularizer = Regularizer()

    _output_padding_is_below_strides = field_validator("output_padding")(_below_strides)
