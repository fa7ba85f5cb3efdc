from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Activation(_message.Message):
    __slots__ = ("identity", "sigmoid", "tanh", "relu", "leaky_relu")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SIGMOID_FIELD_NUMBER: _ClassVar[int]
    TANH_FIELD_NUMBER: _ClassVar[int]
    RELU_FIELD_NUMBER: _ClassVar[int]
    LEAKY_RELU_FIELD_NUMBER: _ClassVar[int]
    identity: Empty
    sigmoid: Empty
    tanh: Empty
    relu: Empty
    leaky_relu: LeakyRelu
    def __init__(self, identity: _Optional[_Union[Empty, _Mapping]] = ..., sigmoid: _Optional[_Union[Empty, _Mapping]] = ..., tanh: _Optional[_Union[Empty, _Mapping]] = ..., relu: _Optional[_Union[Empty, _Mapping]] = ..., leaky_relu: _Optional[_Union[LeakyRelu, _Mapping]] = ...) -> None: ...

class LeakyRelu(_message.Message):
    __slots__ = ("negative_slope",)
    NEGATIVE_SLOPE_FIELD_NUMBER: _ClassVar[int]
    negative_slope: float
    def __init__(self, negative_slope: _Optional[float] = ...) -> None: ...

class Initializer(_message.Message):
    __slots__ = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "zeros", "ones", "constant")
    GLOROT_UNIFORM_FIELD_NUMBER: _ClassVar[int]
    GLOROT_NORMAL_FIELD_NUMBER: _ClassVar[int]
    HE_UNIFORM_FIELD_NUMBER: _ClassVar[int]
    HE_NORMAL_FIELD_NUMBER: _ClassVar[int]
    ZEROS_FIELD_NUMBER: _ClassVar[int]
    ONES_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    glorot_uniform: Empty
    glorot_normal: Empty
    he_uniform: Empty
    he_normal: Empty
    zeros: Empty
    ones: Empty
    constant: Constant
    def __init__(self, glorot_uniform: _Optional[_Union[Empty, _Mapping]] = ..., glorot_normal: _Optional[_Union[Empty, _Mapping]] = ..., he_uniform: _Optional[_Union[Empty, _Mapping]] = ..., he_normal: _Optional[_Union[Empty, _Mapping]] = ..., zeros: _Optional[_Union[Empty, _Mapping]] = ..., ones: _Optional[_Union[Empty, _Mapping]] = ..., constant: _Optional[_Union[Constant, _Mapping]] = ...) -> None: ...

class Constant(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: float
    def __init__(self, value: _Optional[float] = ...) -> None: ...

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
