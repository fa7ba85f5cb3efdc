"""Sequences: embedding and the recurrent layers. Names are Keras's."""

from typing import Annotated

from pydantic import Field

from .functions import Empty, Initializer, Orthogonal, RandomUniform, Regularizer
from .layers import Learned

Units = Annotated[int, Field(ge=1, le=1_048_576)]


class Embedding(Learned):
    """Replace each whole number from 0 to below `input_dim` by a learned vector."""

    input_dim: Annotated[int, Field(ge=1, le=16_777_216)]  # float32 represents every whole number up to 2^24
    output_dim: Units
    embeddings_initializer: Initializer = Initializer(random_uniform=RandomUniform())
    embeddings_regularizer: Regularizer = Regularizer()


class Lstm(Learned):
    """Long short-term memory over a sequence of vectors."""

    units: Units
    return_sequences: bool = False
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    recurrent_initializer: Initializer = Initializer(orthogonal=Orthogonal())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    unit_forget_bias: bool = True
    kernel_regularizer: Regularizer = Regularizer()
    recurrent_regularizer: Regularizer = Regularizer()


class Gru(Learned):
    """A gated recurrent unit over a sequence of vectors."""

    units: Units
    return_sequences: bool = False
    reset_after: bool = True
    kernel_initializer: Initializer = Initializer(glorot_uniform=Empty())
    recurrent_initializer: Initializer = Initializer(orthogonal=Orthogonal())
    bias_initializer: Initializer = Initializer(zeros=Empty())
    kernel_regularizer: Regularizer = Regularizer()
    recurrent_regularizer: Regularizer = Regularizer()
