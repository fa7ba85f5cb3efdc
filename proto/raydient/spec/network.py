"""The network of a job: a graph of layers, and the losses at its ends."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from .attention import MultiHeadAttention, PositionEmbedding, SinePositionEncoding
from .base import Model, OneOf
from .convolution import Conv1d, Conv1dTranspose, Conv2d, Conv2dTranspose
from .dataset import LABEL
from .layers import (
    INPUT,
    ActivationLayer,
    ActivityRegularization,
    Concatenate,
    Dense,
    Flatten,
    Merge,
    Name,
    Prelu,
    Reshape,
    Shared,
    Transpose,
)
from .losses import Loss
from .metrics import Metrics
from .normalization import BatchNormalization, GroupNormalization, LayerNormalization, RmsNormalization
from .pooling import GlobalPooling, Pooling1d, Pooling2d, UpSampling1d, UpSampling2d
from .recurrent import Bidirectional, Embedding, Gru, Lstm
from .regularization import Dropout


class Layer(OneOf):
    """One layer. The default name is its kind and its number within the kind: `dense_1`, `dense_2`."""

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
    dropout: Dropout | None = None
    layer_normalization: LayerNormalization | None = None
    embedding: Embedding | None = None
    lstm: Lstm | None = None
    gru: Gru | None = None
    conv1d: Conv1d | None = None
    conv2d: Conv2d | None = None
    max_pooling1d: Pooling1d | None = None
    max_pooling2d: Pooling2d | None = None
    average_pooling1d: Pooling1d | None = None
    average_pooling2d: Pooling2d | None = None
    global_average_pooling1d: GlobalPooling | None = None
    global_average_pooling2d: GlobalPooling | None = None
    batch_normalization: BatchNormalization | None = None
    multi_head_attention: MultiHeadAttention | None = None
    position_embedding: PositionEmbedding | None = None
    sine_position_encoding: SinePositionEncoding | None = None
    bidirectional: Bidirectional | None = None
    global_max_pooling1d: GlobalPooling | None = None
    global_max_pooling2d: GlobalPooling | None = None
    up_sampling1d: UpSampling1d | None = None
    up_sampling2d: UpSampling2d | None = None
    group_normalization: GroupNormalization | None = None
    rms_normalization: RmsNormalization | None = None
    prelu: Prelu | None = None
    conv1d_transpose: Conv1dTranspose | None = None
    conv2d_transpose: Conv2dTranspose | None = None
    activity_regularization: ActivityRegularization | None = None


class Output(Model):
    """One of several outputs: a layer's output, compared with a label by a loss.

    Training minimizes the sum of all losses, each times its weight. `metrics` are measured besides.
    """

    layer: Name
    label: Name
    loss: Loss
    weight: Annotated[float, Field(gt=0, le=1e30)] = 1.0
    metrics: Metrics = ()


class Network(Model):
    """Layers, and the loss at their end. A layer without `inputs` takes the output of the previous layer.

    A network of several outputs names them in `outputs`, which replaces `loss` and `metrics`.
    """

    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=1000, strict=False)]
    loss: Loss | None = None
    outputs: Annotated[tuple[Output, ...], Field(max_length=64, strict=False)] = ()
    metrics: Metrics = ()

    @property
    def named_outputs(self) -> tuple[Output, ...]:
        """The outputs; without `outputs` the last layer is the only one."""
        if self.loss is None:
            return self.outputs
        return (Output(layer=layer_names(self.layers)[-1], label=LABEL, loss=self.loss, metrics=self.metrics),)

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

    @field_validator("metrics")
    @classmethod
    def _metrics_are_those_of_an_output(cls, metrics: Metrics, info: ValidationInfo) -> Metrics:
        if metrics and info.data.get("outputs"):
            raise ValueError(
                "go with `loss`: beside `outputs` give them in each of those, `network.outputs[0].metrics`"
            )
        return metrics

    @field_validator("outputs")
    @classmethod
    def _a_layer_is_one_output(cls, outputs: tuple[Output, ...]) -> tuple[Output, ...]:
        layers = [output.layer for output in outputs]
        for layer, count in Counter(layers).items():
            if count > 1:
                raise ValueError(f"{layer} is an output {count} times: it has one loss")
        return outputs


def layer_names(layers: Sequence[Layer]) -> tuple[str, ...]:
    """The name of each layer: its own, or its kind and its place among its kind, from 1."""
    seen: Counter[str] = Counter()
    names = []
    for layer in layers:
        seen[layer.kind] += 1
        names.append(layer.value.name or f"{layer.kind}_{seen[layer.kind]}")
    return tuple(names)
