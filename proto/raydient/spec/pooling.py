"""Pooling over sequences and images, channels last: each channel by itself. Names are Keras's."""

from .functions import Empty
from .layers import Placed
from .windows import Padding, Size, Sizes


class Pooling1d(Placed):
    """What is made of each window over a sequence (length, channels); without strides they lie side by side."""

    pool_size: Size = 2
    strides: Size | None = None
    padding: Padding = Padding(valid=Empty())


class Pooling2d(Placed):
    """What is made of each window over an image (height, width, channels); without strides they lie side by side."""

    pool_size: Sizes = (2,)
    strides: Sizes | None = None
    padding: Padding = Padding(valid=Empty())


class GlobalPooling(Placed):
    """What is made of a whole sequence or image: one value per channel."""
