from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Dense(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "units", "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
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
    units: int
    activation: _functions_pb2.Activation
    use_bias: bool
    kernel_initializer: _functions_pb2.Initializer
    bias_initializer: _functions_pb2.Initializer
    kernel_regularizer: _functions_pb2.Regularizer
    bias_regularizer: _functions_pb2.Regularizer
    activity_regularizer: _functions_pb2.Regularizer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., units: _Optional[int] = ..., activation: _Optional[_Union[_functions_pb2.Activation, _Mapping]] = ..., use_bias: bool = ..., kernel_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., bias_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., kernel_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., bias_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., activity_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ...) -> None: ...

class Flatten(_message.Message):
    __slots__ = ("name", "inputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ...) -> None: ...

class Reshape(_message.Message):
    __slots__ = ("name", "inputs", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class Transpose(_message.Message):
    __slots__ = ("name", "inputs", "axes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    AXES_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    axes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., axes: _Optional[_Iterable[int]] = ...) -> None: ...

class ActivationLayer(_message.Message):
    __slots__ = ("name", "inputs", "function")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    function: _functions_pb2.Activation
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., function: _Optional[_Union[_functions_pb2.Activation, _Mapping]] = ...) -> None: ...

class Merge(_message.Message):
    __slots__ = ("name", "inputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ...) -> None: ...

class Concatenate(_message.Message):
    __slots__ = ("name", "inputs", "axis")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    AXIS_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    axis: int
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., axis: _Optional[int] = ...) -> None: ...

class Shared(_message.Message):
    __slots__ = ("name", "inputs", "layer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    layer: str
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., layer: _Optional[str] = ...) -> None: ...

class Prelu(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "alpha_initializer", "alpha_regularizer", "shared_axes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    ALPHA_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    ALPHA_REGULARIZER_FIELD_NUMBER: _ClassVar[int]
    SHARED_AXES_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    alpha_initializer: _functions_pb2.Initializer
    alpha_regularizer: _functions_pb2.Regularizer
    shared_axes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., alpha_initializer: _Optional[_Union[_functions_pb2.Initializer, _Mapping]] = ..., alpha_regularizer: _Optional[_Union[_functions_pb2.Regularizer, _Mapping]] = ..., shared_axes: _Optional[_Iterable[int]] = ...) -> None: ...

class ActivityRegularization(_message.Message):
    __slots__ = ("name", "inputs", "l1", "l2")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    L1_FIELD_NUMBER: _ClassVar[int]
    L2_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    l1: float
    l2: float
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., l1: _Optional[float] = ..., l2: _Optional[float] = ...) -> None: ...
