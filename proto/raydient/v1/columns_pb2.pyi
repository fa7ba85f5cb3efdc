from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ColumnSettings(_message.Message):
    __slots__ = ("impute", "indicator")
    IMPUTE_FIELD_NUMBER: _ClassVar[int]
    INDICATOR_FIELD_NUMBER: _ClassVar[int]
    impute: Impute
    indicator: bool
    def __init__(self, impute: _Optional[_Union[Impute, _Mapping]] = ..., indicator: bool = ...) -> None: ...

class Impute(_message.Message):
    __slots__ = ("mean", "median", "most_frequent", "constant")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    MOST_FREQUENT_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    mean: _functions_pb2.Empty
    median: _functions_pb2.Empty
    most_frequent: _functions_pb2.Empty
    constant: _functions_pb2.Constant
    def __init__(self, mean: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., median: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., most_frequent: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., constant: _Optional[_Union[_functions_pb2.Constant, _Mapping]] = ...) -> None: ...
