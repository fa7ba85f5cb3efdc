from raydient.v1 import attention_pb2 as _attention_pb2
from raydient.v1 import convolution_pb2 as _convolution_pb2
from raydient.v1 import layers_pb2 as _layers_pb2
from raydient.v1 import losses_pb2 as _losses_pb2
from raydient.v1 import metrics_pb2 as _metrics_pb2
from raydient.v1 import normalization_pb2 as _normalization_pb2
from raydient.v1 import pooling_pb2 as _pooling_pb2
from raydient.v1 import regularization_pb2 as _regularization_pb2
from raydient.v1 import recurrent_pb2 as _recurrent_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Network(_message.Message):
    __slots__ = ("layers", "loss", "outputs", "metrics")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedCompositeFieldContainer[Layer]
    loss: _losses_pb2.Loss
    outputs: _containers.RepeatedCompositeFieldContainer[Output]
    metrics: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.MetricSpec]
    def __init__(self, layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., loss: _Optional[_Union[_losses_pb2.Loss, _Mapping]] = ..., outputs: _Optional[_Iterable[_Union[Output, _Mapping]]] = ..., metrics: _Optional[_Iterable[_Union[_metrics_pb2.MetricSpec, _Mapping]]] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("layer", "label", "loss", "weight", "metrics")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    layer: str
    label: str
    loss: _losses_pb2.Loss
    weight: float
    metrics: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.MetricSpec]
    def __init__(self, layer: _Optional[str] = ..., label: _Optional[str] = ..., loss: _Optional[_Union[_losses_pb2.Loss, _Mapping]] = ..., weight: _Optional[float] = ..., metrics: _Optional[_Iterable[_Union[_metrics_pb2.MetricSpec, _Mapping]]] = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("dense", "flatten", "reshape", "transpose", "activation", "add", "multiply", "concatenate", "dot", "shared", "dropout", "layer_normalization", "embedding", "lstm", "gru", "conv1d", "conv2d", "max_pooling1d", "max_pooling2d", "average_pooling1d", "average_pooling2d", "global_average_pooling1d", "global_average_pooling2d", "batch_normalization", "multi_head_attention", "position_embedding", "sine_position_encoding", "bidirectional", "global_max_pooling1d", "global_max_pooling2d", "up_sampling1d", "up_sampling2d", "group_normalization", "rms_normalization", "prelu", "conv1d_transpose", "conv2d_transpose", "activity_regularization")
    DENSE_FIELD_NUMBER: _ClassVar[int]
    FLATTEN_FIELD_NUMBER: _ClassVar[int]
    RESHAPE_FIELD_NUMBER: _ClassVar[int]
    TRANSPOSE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    MULTIPLY_FIELD_NUMBER: _ClassVar[int]
    CONCATENATE_FIELD_NUMBER: _ClassVar[int]
    DOT_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    LAYER_NORMALIZATION_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    LSTM_FIELD_NUMBER: _ClassVar[int]
    GRU_FIELD_NUMBER: _ClassVar[int]
    CONV1D_FIELD_NUMBER: _ClassVar[int]
    CONV2D_FIELD_NUMBER: _ClassVar[int]
    MAX_POOLING1D_FIELD_NUMBER: _ClassVar[int]
    MAX_POOLING2D_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_POOLING1D_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_POOLING2D_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_AVERAGE_POOLING1D_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_AVERAGE_POOLING2D_FIELD_NUMBER: _ClassVar[int]
    BATCH_NORMALIZATION_FIELD_NUMBER: _ClassVar[int]
    MULTI_HEAD_ATTENTION_FIELD_NUMBER: _ClassVar[int]
    POSITION_EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    SINE_POSITION_ENCODING_FIELD_NUMBER: _ClassVar[int]
    BIDIRECTIONAL_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_MAX_POOLING1D_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_MAX_POOLING2D_FIELD_NUMBER: _ClassVar[int]
    UP_SAMPLING1D_FIELD_NUMBER: _ClassVar[int]
    UP_SAMPLING2D_FIELD_NUMBER: _ClassVar[int]
    GROUP_NORMALIZATION_FIELD_NUMBER: _ClassVar[int]
    RMS_NORMALIZATION_FIELD_NUMBER: _ClassVar[int]
    PRELU_FIELD_NUMBER: _ClassVar[int]
    CONV1D_TRANSPOSE_FIELD_NUMBER: _ClassVar[int]
    CONV2D_TRANSPOSE_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_REGULARIZATION_FIELD_NUMBER: _ClassVar[int]
    dense: _layers_pb2.Dense
    flatten: _layers_pb2.Flatten
    reshape: _layers_pb2.Reshape
    transpose: _layers_pb2.Transpose
    activation: _layers_pb2.ActivationLayer
    add: _layers_pb2.Merge
    multiply: _layers_pb2.Merge
    concatenate: _layers_pb2.Concatenate
    dot: _layers_pb2.Merge
    shared: _layers_pb2.Shared
    dropout: _regularization_pb2.Dropout
    layer_normalization: _normalization_pb2.LayerNormalization
    embedding: _recurrent_pb2.Embedding
    lstm: _recurrent_pb2.Lstm
    gru: _recurrent_pb2.Gru
    conv1d: _convolution_pb2.Conv1d
    conv2d: _convolution_pb2.Conv2d
    max_pooling1d: _pooling_pb2.Pooling1d
    max_pooling2d: _pooling_pb2.Pooling2d
    average_pooling1d: _pooling_pb2.Pooling1d
    average_pooling2d: _pooling_pb2.Pooling2d
    global_average_pooling1d: _pooling_pb2.GlobalPooling
    global_average_pooling2d: _pooling_pb2.GlobalPooling
    batch_normalization: _normalization_pb2.BatchNormalization
    multi_head_attention: _attention_pb2.MultiHeadAttention
    position_embedding: _attention_pb2.PositionEmbedding
    sine_position_encoding: _attention_pb2.SinePositionEncoding
    bidirectional: _recurrent_pb2.Bidirectional
    global_max_pooling1d: _pooling_pb2.GlobalPooling
    global_max_pooling2d: _pooling_pb2.GlobalPooling
    up_sampling1d: _pooling_pb2.UpSampling1d
    up_sampling2d: _pooling_pb2.UpSampling2d
    group_normalization: _normalization_pb2.GroupNormalization
    rms_normalization: _normalization_pb2.RmsNormalization
    prelu: _layers_pb2.Prelu
    conv1d_transpose: _convolution_pb2.Conv1dTranspose
    conv2d_transpose: _convolution_pb2.Conv2dTranspose
    activity_regularization: _layers_pb2.ActivityRegularization
    def __init__(self, dense: _Optional[_Union[_layers_pb2.Dense, _Mapping]] = ..., flatten: _Optional[_Union[_layers_pb2.Flatten, _Mapping]] = ..., reshape: _Optional[_Union[_layers_pb2.Reshape, _Mapping]] = ..., transpose: _Optional[_Union[_layers_pb2.Transpose, _Mapping]] = ..., activation: _Optional[_Union[_layers_pb2.ActivationLayer, _Mapping]] = ..., add: _Optional[_Union[_layers_pb2.Merge, _Mapping]] = ..., multiply: _Optional[_Union[_layers_pb2.Merge, _Mapping]] = ..., concatenate: _Optional[_Union[_layers_pb2.Concatenate, _Mapping]] = ..., dot: _Optional[_Union[_layers_pb2.Merge, _Mapping]] = ..., shared: _Optional[_Union[_layers_pb2.Shared, _Mapping]] = ..., dropout: _Optional[_Union[_regularization_pb2.Dropout, _Mapping]] = ..., layer_normalization: _Optional[_Union[_normalization_pb2.LayerNormalization, _Mapping]] = ..., embedding: _Optional[_Union[_recurrent_pb2.Embedding, _Mapping]] = ..., lstm: _Optional[_Union[_recurrent_pb2.Lstm, _Mapping]] = ..., gru: _Optional[_Union[_recurrent_pb2.Gru, _Mapping]] = ..., conv1d: _Optional[_Union[_convolution_pb2.Conv1d, _Mapping]] = ..., conv2d: _Optional[_Union[_convolution_pb2.Conv2d, _Mapping]] = ..., max_pooling1d: _Optional[_Union[_pooling_pb2.Pooling1d, _Mapping]] = ..., max_pooling2d: _Optional[_Union[_pooling_pb2.Pooling2d, _Mapping]] = ..., average_pooling1d: _Optional[_Union[_pooling_pb2.Pooling1d, _Mapping]] = ..., average_pooling2d: _Optional[_Union[_pooling_pb2.Pooling2d, _Mapping]] = ..., global_average_pooling1d: _Optional[_Union[_pooling_pb2.GlobalPooling, _Mapping]] = ..., global_average_pooling2d: _Optional[_Union[_pooling_pb2.GlobalPooling, _Mapping]] = ..., batch_normalization: _Optional[_Union[_normalization_pb2.BatchNormalization, _Mapping]] = ..., multi_head_attention: _Optional[_Union[_attention_pb2.MultiHeadAttention, _Mapping]] = ..., position_embedding: _Optional[_Union[_attention_pb2.PositionEmbedding, _Mapping]] = ..., sine_position_encoding: _Optional[_Union[_attention_pb2.SinePositionEncoding, _Mapping]] = ..., bidirectional: _Optional[_Union[_recurrent_pb2.Bidirectional, _Mapping]] = ..., global_max_pooling1d: _Optional[_Union[_pooling_pb2.GlobalPooling, _Mapping]] = ..., global_max_pooling2d: _Optional[_Union[_pooling_pb2.GlobalPooling, _Mapping]] = ..., up_sampling1d: _Optional[_Union[_pooling_pb2.UpSampling1d, _Mapping]] = ..., up_sampling2d: _Optional[_Union[_pooling_pb2.UpSampling2d, _Mapping]] = ..., group_normalization: _Optional[_Union[_normalization_pb2.GroupNormalization, _Mapping]] = ..., rms_normalization: _Optional[_Union[_normalization_pb2.RmsNormalization, _Mapping]] = ..., prelu: _Optional[_Union[_layers_pb2.Prelu, _Mapping]] = ..., conv1d_transpose: _Optional[_Union[_convolution_pb2.Conv1dTranspose, _Mapping]] = ..., conv2d_transpose: _Optional[_Union[_convolution_pb2.Conv2dTranspose, _Mapping]] = ..., activity_regularization: _Optional[_Union[_layers_pb2.ActivityRegularization, _Mapping]] = ...) -> None: ...
