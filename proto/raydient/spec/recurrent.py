"""Sequences: embedding and the recurrent layers. Names are Keras's."""

from typing import Annotated

from pydantic import Field, field_validator

from .base import OneOf
from .functions import Empty, Initializer, Orthogonal, RandomUniform, Regularizer
from .layers import Learned

Units = Annotated[int, Field(ge=1, le=1_048_576)]
Rate = Annotated[float, Field(ge=0, lt=1)]
"""Probability of a value to be 0 in training."""


class Embedding(Learned):
    """Replace each whole number from 0 to below `input_dim` by a learned vector.

    With `mask_padding` the number 0 is padding, which layers over the sequence leave out.
    """

    input_dim: Annotated[int, Field(ge=1, le=16_777_216)]  # float32 represents every whole number up to 2^24
    output_dim: Units
    mask_padding: bool = False
    embeddings_initializer: Initializer = Initializer(random_uniform=RandomUniform())
    embeddings_regularizer: Regularizer = Regularizer()
    activity_regularizer: Regularizer = Regularizer()


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
    recurrent_dropout: Rate = 0.0
    bias_regularizer: Regularizer = Regularizer()
    activity_regularizer: Regularizer = Regularizer()


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
    recurrent_dropout: Rate = 0.0
    bias_regularizer: Regularizer = Regularizer()
    activity_regularizer: Regularizer = Regularizer()


class RecurrentLayer(OneOf):
    """A recurrent layer that is a part of another.

    The other has its name, its inputs, `trainable` and `activity_regularizer`.
    """

    lstm: Lstm | None = None
    gru: Gru | None = None


class MergeMode(OneOf):
    """The combination of two outputs: side by side, or value by value the sum, the product or the mean."""

    concat: Empty | None = None
    sum: Empty | None = None
    mul: Empty | None = None
    ave: Empty | None = None


class Bidirectional(Learned):
    """Two layers over a sequence, one from the first step to the last and one from the last to the first (Schuster and
    Paliwal 1997).
    """

    layer: RecurrentLayer
    merge_mode: MergeMode = MergeMode(concat=Empty())
    activity_regularizer: Regularizer = Regularizer()

    @field_validator("layer")
    @classmethod
    def _without_fields_of_a_layer(cls, layer: RecurrentLayer) -> RecurrentLayer:
        for name, field in cls.model_fields.items():
            default = field.get_default(call_default_factory=True)  # as the canonical form of a job has it
            if getattr(layer.value, name, default) != default:
                raise ValueError(f"`{name}` belongs to bidirectional: write it beside `layer`")
        return layer
