from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Padding(_message.Message):
    __slots__ = ("valid", "same", "explicit")
    VALID_FIELD_NUMBER: _ClassVar[int]
    SAME_FIELD_NUMBER: _ClassVar[int]
    EXPLICIT_FIELD_NUMBER: _ClassVar[int]
    valid: _functions_pb2.Empty
    same: _functions_pb2.Empty
    explicit: ExplicitPadding
    def __init__(self, valid: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., same: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., explicit: _Optional[_Union[ExplicitPadding, _Mapping]] = ...) -> None: ...

class ExplicitPadding(_message.Message):
    __slots__ = ("before", "after")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    before: _containers.RepeatedScalarFieldContainer[int]
    after: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, before: _Optional[_Iterable[int]] = ..., after: _Optional[_Iterable[int]] = ...) -> None: ...
