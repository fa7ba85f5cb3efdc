from raydient.v1 import windows_pb2 as _windows_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pooling1d(_message.Message):
    __slots__ = ("name", "inputs", "pool_size", "strides", "padding")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    POOL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    pool_size: int
    strides: int
    padding: _windows_pb2.Padding
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., pool_size: _Optional[int] = ..., strides: _Optional[int] = ..., padding: _Optional[_Union[_windows_pb2.Padding, _Mapping]] = ...) -> None: ...

class Pooling2d(_message.Message):
    __slots__ = ("name", "inputs", "pool_size", "strides", "padding")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    POOL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    pool_size: _containers.RepeatedScalarFieldContainer[int]
    strides: _containers.RepeatedScalarFieldContainer[int]
    padding: _windows_pb2.Padding
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., pool_size: _Optional[_Iterable[int]] = ..., strides: _Optional[_Iterable[int]] = ..., padding: _Optional[_Union[_windows_pb2.Padding, _Mapping]] = ...) -> None: ...

class GlobalPooling(_message.Message):
    __slots__ = ("name", "inputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ...) -> None: ...

class UpSampling1d(_message.Message):
    __slots__ = ("name", "inputs", "size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    size: int
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., size: _Optional[int] = ...) -> None: ...

class UpSampling2d(_message.Message):
    __slots__ = ("name", "inputs", "size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    size: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., size: _Optional[_Iterable[int]] = ...) -> None: ...
