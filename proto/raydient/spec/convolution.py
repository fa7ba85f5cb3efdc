"""Convolutions over sequences and images, channels last. Names are Keras's."""

from typing import Annotated

from pydantic import Field

from .base import OneOf
from .functions import Activation, Empty, Initializer, Regularizer
from .layers import Learned
from .windows import Padding, Size, Sizes

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
    """Zeros around the larger image, over which the kernel slides. valid: none. same: as many as make it as large as
    the smaller one times the stride.
    """

    valid: Empty | None = None
    same: Empty | None = None


class Conv1dTranspose(Learned):
    """A transposed convolution over sequences (length, channels): longer by about the factor `strides`."""

    filters: Filters
    kernel_size: Size
    strides: Size = 1
    padding: TransposedPadding = TransposedPadding(valid=Empty())
    activation: Activation = Activation(identity=Empty())
    use_bias: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    kernel_regularizer: Regularizer = Regularizer()
    bias_regularizer: Regularizer = Regularizer()
    activity_regularizer: Regularizer = Regularizer()


class Conv2dTranspose(Learned):
    """A transposed convolution over images (height, width, channels): larger by about the factors `strides`."""

    filters: Filters
    kernel_size: Sizes
    strides: Sizes = (1,)
    padding: TransposedPadding = TransposedPadding(valid=Empty())
    activation: Activation = Activation(identity=Empty())
    use_bias: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    kernel_regularizer: Regularizer = Regularizer()
    bias_regularizer: Regularizer = Regularizer()
    activity_regularizer: Regularizer = Regularizer()
