"""Attention. Names are Keras's."""

from typing import Annotated

from pydantic import Field

from .functions import Empty, Initializer, Regularizer
from .layers import Learned, Placed


class MultiHeadAttention(Learned):
    """Scaled dot-product attention in several heads, and a projection of their outputs (Vaswani et al. 2017).

    One input, (length, features), attends to itself: self-attention. Of two inputs the first attends to the second. A
    last input, (length), is a mask: places of the attended sequence where it is 0 are hidden. `dropout` is the
    probability of a weight to be 0 in training.
    """

    num_heads: Annotated[int, Field(ge=1, le=1024)]
    key_dim: Annotated[int, Field(ge=1, le=65_536)]
    causal: bool = False
    use_bias: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    kernel_regularizer: Regularizer = Regularizer()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    bias_regularizer: Regularizer = Regularizer()


class PositionEmbedding(Learned):
    """Add a learnt vector to each place of a sequence, (length, features)."""

    embeddings_initializer: Initializer = Initializer(glorot_uniform=Empty())
    embeddings_regularizer: Regularizer = Regularizer()


class SinePositionEncoding(Placed):
    """Add sines and cosines of each place to a sequence, (length, features) (Vaswani et al. 2017)."""

    max_wavelength: Annotated[float, Field(ge=1, le=1e30)] = 10000.0
