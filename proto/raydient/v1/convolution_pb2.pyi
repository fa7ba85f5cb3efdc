from raydient.v1 import functions_pb2 as _functions_pb2
from raydient.v1 import windows_pb2 as _windows_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Conv1d(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_RATE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    USE_BIAS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    KERNEL_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    filters: int
    kernel_size: int
    strides: int
    padding: _windows_pb2.Padding
    dilation_rate: int
    groups: int
    activation: _functions_pb2.Activation
    use_bias: bool
    kernel_initializer: _functions_pb2.Initializer
    bias_initializer: _functions_pb2.Initializer
    kernel_regularizer: _functions_pb2.Regularizer
    bias_regularizer: _functions_pb2.Regularizer
    activity_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., filters: _Optional[int] = ..., kernel_size: _Optional[int] = ..., strides: _Optional[int] = ..., padding: _Optional[_Union[_windows_pb2.Padding, _Mapping]] = ..., dilation_rate: _Optional[int] = ..., groups: _Optional[int] = ..., activation: _Optional[_Union[_functions_pb2.Activation, _Mapping]] = ..., use_bias: bool = ..., kernel_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., bias_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., kernel_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., bias_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., activity_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...

class Conv2d(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_RATE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    USE_BIAS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    KERNEL_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    filters: int
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    strides: _containers.RepeatedScalarFieldContainer[int]
    padding: _windows_pb2.Padding
    dilation_rate: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    activation: _functions_pb2.Activation
    use_bias: bool
    kernel_initializer: _functions_pb2.Initializer
    bias_initializer: _functions_pb2.Initializer
    kernel_regularizer: _functions_pb2.Regularizer
    bias_regularizer: _functions_pb2.Regularizer
    activity_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., filters: _Optional[int] = ..., kernel_size: _Optional[_Iterable[int]] = ..., strides: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[_windows_pb2.Padding, _Mapping]] = ..., dilation_rate: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ..., activation: _Optional[_Union[_functions_pb2.Activation, _Mapping]] = ..., use_bias: bool = ..., kernel_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., bias_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., kernel_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., bias_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., activity_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...

class Conv1dTranspose(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "filters", "kernel_size", "strides", "padding", "output_padding", "dilation_rate", "groups", "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_RATE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    USE_BIAS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    KERNEL_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    filters: int
    kernel_size: int
    strides: int
    padding: TransposedPadding
    output_padding: int
    dilation_rate: int
    groups: int
    activation: _functions_pb2.Activation
    use_bias: bool
    kernel_initializer: _functions_pb2.Initializer
    bias_initializer: _functions_pb2.Initializer
    kernel_regularizer: _functions_pb2.Regularizer
    bias_regularizer: _functions_pb2.Regularizer
    activity_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., filters: _Optional[int] = ..., kernel_size: _Optional[int] = ..., strides: _Optional[int] = ..., padding: _Optional[_Union[TransposedPadding, _Mapping]] = ..., output_padding: _Optional[int] = ..., dilation_rate: _Optional[int] = ..., groups: _Optional[int] = ..., activation: _Optional[_Union[_functions_pb2.Activation, _Mapping]] = ..., use_bias: bool = ..., kernel_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., bias_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., kernel_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., bias_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., activity_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...

class Conv2dTranspose(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "filters", "kernel_size", "strides", "padding", "output_padding", "dilation_rate", "groups", "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PADDING_FIELD_NUMBER: _ClassVar[int]
    DILATION_RATE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    USE_BIAS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    KERNEL_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    filters: int
    kernel_size: _containers.RepeatedScalarFieldContainer[int]
    strides: _containers.RepeatedScalarFieldContainer[int]
    padding: TransposedPadding
    output_padding: _containers.RepeatedScalarFieldContainer[int]
    dilation_rate: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    activation: _functions_pb2.Activation
    use_bias: bool
    kernel_initializer: _functions_pb2.Initializer
    bias_initializer: _functions_pb2.Initializer
    kernel_regularizer: _functions_pb2.Regularizer
    bias_regularizer: _functions_pb2.Regularizer
    activity_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., filters: _Optional[int] = ..., kernel_size: _Optional[_Iterable[int]] = ..., strides: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[TransposedPadding, _Mapping]] = ..., output_padding: _Optional[_Iterable[int]] = ..., dilation_rate: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ..., activation: _Optional[_Union[_functions_pb2.Activation, _Mapping]] = ..., use_bias: bool = ..., kernel_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., bias_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., kernel_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., bias_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., activity_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...

class TransposedPadding(_message.Message):
    __slots__ = ("valid", "same", "explicit")
    VALID_FIELD_NUMBER: _ClassVar[int]
    SAME_FIELD_NUMBER: _ClassVar[int]
    EXPLICIT_FIELD_NUMBER: _ClassVar[int]
    valid: _functions_pb2.Empty
    same: _functions_pb2.Empty
    explicit: _windows_pb2.ExplicitPadding
    def __init__(self, valid: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., same: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., explicit: _Optional[_Union[_windows_pb2.ExplicitPadding, _Mapping]] = ...) -> None: ...
