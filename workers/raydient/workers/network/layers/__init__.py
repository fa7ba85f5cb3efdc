"""The table of layers. A new kind of layer joins it and inherits every test."""

from .activation import ActivationLayer
from .activity_regularization import ActivityRegularization
from .attention import MultiHeadAttention
from .batch_normalization import BatchNormalization
from .bidirectional import Bidirectional
from .convolution import Conv1d, Conv1dTranspose, Conv2d, Conv2dTranspose
from .dense import Dense
from .dropout import Dropout
from .embedding import Embedding
from .global_pooling import GlobalAveragePooling1d, GlobalAveragePooling2d, GlobalMaxPooling1d, GlobalMaxPooling2d
from .group_normalization import GroupNormalization
from .gru import Gru
from .layer import INFERENCE, Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views, shape_text
from .layer_normalization import LayerNormalization
from .lstm import Lstm
from .merging import Add, Concatenate, Dot, Multiply
from .pooling import AveragePooling1d, AveragePooling2d, MaxPooling1d, MaxPooling2d
from .positions import PositionEmbedding, SinePositionEncoding
from .prelu import Prelu
from .rms_normalization import RmsNormalization
from .shaping import Flatten, Reshape, Transpose
from .up_sampling import UpSampling1d, UpSampling2d

LAYERS: dict[str, type[Layer]] = {
    layer.kind: layer
    for layer in (
        Dense,
        Flatten,
        Reshape,
        Transpose,
        ActivationLayer,
        Add,
        Multiply,
        Concatenate,
        Dot,
        Dropout,
        LayerNormalization,
        Embedding,
        Lstm,
        Gru,
        Conv1d,
        Conv2d,
        MaxPooling1d,
        MaxPooling2d,
        AveragePooling1d,
        AveragePooling2d,
        GlobalAveragePooling1d,
        GlobalAveragePooling2d,
        BatchNormalization,
        MultiHeadAttention,
        Bidirectional,
        PositionEmbedding,
        SinePositionEncoding,
        GlobalMaxPooling1d,
        GlobalMaxPooling2d,
        UpSampling1d,
        UpSampling2d,
        GroupNormalization,
        RmsNormalization,
        Prelu,
        Conv1dTranspose,
        Conv2dTranspose,
        ActivityRegularization,
    )
}

__all__ = [
    "INFERENCE",
    "LAYERS",
    "Buffers",
    "Layer",
    "Memory",
    "ParameterRule",
    "Pass",
    "Shape",
    "Views",
    "shape_text",
]
