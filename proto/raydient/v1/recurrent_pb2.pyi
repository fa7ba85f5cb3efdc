from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Embedding(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "input_dim", "output_dim", "mask_padding", "embeddings_initializer", "embeddings_regularizer", "activity_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    INPUT_DIM_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DIM_FIELD_NUMBER: _ClassVar[int]
    MASK_PADDING_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    input_dim: int
    output_dim: int
    mask_padding: bool
    embeddings_initializer: _functions_pb2.Initializer
    embeddings_regularizer: _functions_pb2.Regularizer
    activity_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., input_dim: _Optional[int] = ..., output_dim: _Optional[int] = ..., mask_padding: bool = ..., embeddings_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., embeddings_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., activity_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...

class Lstm(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "units", "return_sequences", "kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias", "kernel_regularizer", "recurrent_regularizer", "recurrent_dropout", "bias_regularizer", "activity_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    RETURN_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    KERNEL_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    UNIT_FORGET_BIAS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_DROPOUT_FIELD_NUMBER: _ClassVar[int]
    BIAS_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    units: int
    return_sequences: bool
    kernel_initializer: _functions_pb2.Initializer
    recurrent_initializer: _functions_pb2.Initializer
    bias_initializer: _functions_pb2.Initializer
    unit_forget_bias: bool
    kernel_regularizer: _functions_pb2.Regularizer
    recurrent_regularizer: _functions_pb2.Regularizer
    recurrent_dropout: float
    bias_regularizer: _functions_pb2.Regularizer
    activity_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., units: _Optional[int] = ..., return_sequences: bool = ..., kernel_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., recurrent_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., bias_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., unit_forget_bias: bool = ..., kernel_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., recurrent_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., recurrent_dropout: _Optional[float] = ..., bias_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., activity_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...

class Gru(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "units", "return_sequences", "reset_after", "kernel_initializer", "recurrent_initializer", "bias_initializer", "kernel_regularizer", "recurrent_regularizer", "recurrent_dropout", "bias_regularizer", "activity_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    RETURN_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    RESET_AFTER_FIELD_NUMBER: _ClassVar[int]
    KERNEL_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    KERNEL_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_DROPOUT_FIELD_NUMBER: _ClassVar[int]
    BIAS_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    units: int
    return_sequences: bool
    reset_after: bool
    kernel_initializer: _functions_pb2.Initializer
    recurrent_initializer: _functions_pb2.Initializer
    bias_initializer: _functions_pb2.Initializer
    kernel_regularizer: _functions_pb2.Regularizer
    recurrent_regularizer: _functions_pb2.Regularizer
    recurrent_dropout: float
    bias_regularizer: _functions_pb2.Regularizer
    activity_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., units: _Optional[int] = ..., return_sequences: bool = ..., reset_after: bool = ..., kernel_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., recurrent_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., bias_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., kernel_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., recurrent_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., recurrent_dropout: _Optional[float] = ..., bias_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., activity_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...

class RecurrentLayer(_message.Message):
    __slots__ = ("lstm", "gru")
    LSTM_FIELD_NUMBER: _ClassVar[int]
    GRU_FIELD_NUMBER: _ClassVar[int]
    lstm: Lstm
    gru: Gru
    def __init__(self, lstm: _Optional[_Union[Lstm, _Mapping]] = ..., gru: _Optional[_Union[Gru, _Mapping]] = ...) -> None: ...

class MergeMode(_message.Message):
    __slots__ = ("concat", "sum", "mul", "ave")
    CONCAT_FIELD_NUMBER: _ClassVar[int]
    SUM_FIELD_NUMBER: _ClassVar[int]
    MUL_FIELD_NUMBER: _ClassVar[int]
    AVE_FIELD_NUMBER: _ClassVar[int]
    concat: _functions_pb2.Empty
    sum: _functions_pb2.Empty
    mul: _functions_pb2.Empty
    ave: _functions_pb2.Empty
    def __init__(self, concat: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., sum: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., mul: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., ave: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...

class Bidirectional(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "layer", "merge_mode", "activity_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    MERGE_MODE_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    layer: RecurrentLayer
    merge_mode: MergeMode
    activity_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., layer: _Optional[_Union[RecurrentLayer, _Mapping]] = ..., merge_mode: _Optional[_Union[MergeMode, _Mapping]] = ..., activity_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...
