"""Pooling and repetition over sequences and images, channels last: each channel by itself. Names are Keras's."""

from .functions import Empty
from .layers import Placed
from .windows import Padding, Size, Sizes


class Pooling1d(Placed):
    """Reduce each window over a sequence (length, channels) to one value; the default stride is the window's size."""

    pool_size: Size = 2
    strides: Size | None = None
    padding: Padding = Padding(valid=Empty())


class Pooling2d(Placed):
    """Reduce each window over an image (height, width, channels) to one value; the default strides are its size."""

    pool_size: Sizes = (2,)
    strides: Sizes | None = None
    padding: Padding = Padding(valid=Empty())


class UpSampling1d(Placed):
    """Repeat each step of a sequence (length, channels)."""

    size: Size = 2


class UpSampling2d(Placed):
    """Repeat each pixel of an image (height, width, channels)."""

    size: Sizes = (2,)


class GlobalPooling(Placed):
    """Reduce a whole sequence or image to one value per channel."""
