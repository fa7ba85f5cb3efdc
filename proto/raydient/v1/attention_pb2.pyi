from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MultiHeadAttention(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "num_heads", "key_dim", "causal", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "dropout", "bias_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    NUM_HEADS_FIELD_NUMBER: _ClassVar[int]
    KEY_DIM_FIELD_NUMBER: _ClassVar[int]
    CAUSAL_FIELD_NUMBER: _ClassVar[int]
    USE_BIAS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    KERNEL_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    BIAS_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    num_heads: int
    key_dim: int
    causal: bool
    use_bias: bool
    kernel_initializer: _functions_pb2.Initializer
    bias_initializer: _functions_pb2.Initializer
    kernel_regularizer: _functions_pb2.Regularizer
    dropout: float
    bias_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., num_heads: _Optional[int] = ..., key_dim: _Optional[int] = ..., causal: bool = ..., use_bias: bool = ..., kernel_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., bias_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., kernel_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., dropout: _Optional[float] = ..., bias_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...

class PositionEmbedding(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "embeddings_initializer", "embeddings_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    embeddings_initializer: _functions_pb2.Initializer
    embeddings_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., embeddings_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., embeddings_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...

class SinePositionEncoding(_message.Message):
    __slots__ = ("name", "inputs", "max_wavelength")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    MAX_WAVELENGTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    max_wavelength: float
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., max_wavelength: _Optional[float] = ...) -> None: ...
