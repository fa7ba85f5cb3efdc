"""Attention. Names are Keras's."""

from typing import Annotated

from pydantic import Field

from .functions import Empty, Initializer, Regularizer
from .layers import Learned


class MultiHeadAttention(Learned):
    """Scaled dot-product attention in several heads, and a projection of their outputs (Vaswani et al. 2017).

    One input, (length, features), attends to itself: self-attention. Of two inputs the first attends to the second.
    """

    num_heads: Annotated[int, Field(ge=1, le=1024)]
    key_dim: Annotated[int, Field(ge=1, le=65_536)]
    causal: bool = False
    use_bias: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    kernel_regularizer: Regularizer = Regularizer()
