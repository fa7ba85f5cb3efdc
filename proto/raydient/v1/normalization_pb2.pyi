from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class LayerNormalization(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "epsilon", "center", "scale")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    CENTER_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    epsilon: float
    center: bool
    scale: bool
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., epsilon: _Optional[float] = ..., center: bool = ..., scale: bool = ...) -> None: ...

class BatchNormalization(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "momentum", "epsilon", "center", "scale")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    CENTER_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    momentum: float
    epsilon: float
    center: bool
    scale: bool
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., momentum: _Optional[float] = ..., epsilon: _Optional[float] = ..., center: bool = ..., scale: bool = ...) -> None: ...

class GroupNormalization(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "groups", "epsilon", "center", "scale")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    CENTER_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    groups: int
    epsilon: float
    center: bool
    scale: bool
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., groups: _Optional[int] = ..., epsilon: _Optional[float] = ..., center: bool = ..., scale: bool = ...) -> None: ...

class RmsNormalization(_message.Message):
    __slots__ = ("name", "inputs", "trainable", "epsilon")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    trainable: bool
    epsilon: float
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., trainable: bool = ..., epsilon: _Optional[float] = ...) -> None: ...
