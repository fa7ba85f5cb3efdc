from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Loss(_message.Message):
    __slots__ = ("sum_squared_error", "mean_squared_error", "softmax_cross_entropy", "binary_cross_entropy")
    SUM_SQUARED_ERROR_FIELD_NUMBER: _ClassVar[int]
    MEAN_SQUARED_ERROR_FIELD_NUMBER: _ClassVar[int]
    SOFTMAX_CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    BINARY_CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    sum_squared_error: _functions_pb2.Empty
    mean_squared_error: _functions_pb2.Empty
    softmax_cross_entropy: _functions_pb2.Empty
    binary_cross_entropy: _functions_pb2.Empty
    def __init__(self, sum_squared_error: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., mean_squared_error: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., softmax_cross_entropy: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., binary_cross_entropy: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...
