from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ColumnSettings(_message.Message):
    __slots__ = ("impute", "indicator", "date", "clip", "log", "scale")
    IMPUTE_FIELD_NUMBER: _ClassVar[int]
    INDICATOR_FIELD_NUMBER: _ClassVar[int]
    DATE_FIELD_NUMBER: _ClassVar[int]
    CLIP_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    impute: Impute
    indicator: bool
    date: DateForm
    clip: Bounds
    log: bool
    scale: Scale
    def __init__(self, impute: _Optional[_Union[Impute, _Mapping]] = ..., indicator: bool = ..., date: _Optional[_Union[DateForm, _Mapping]] = ..., clip: _Optional[_Union[Bounds, _Mapping]] = ..., log: bool = ..., scale: _Optional[_Union[Scale, _Mapping]] = ...) -> None: ...

class DateForm(_message.Message):
    __slots__ = ("parts", "days_since")
    PARTS_FIELD_NUMBER: _ClassVar[int]
    DAYS_SINCE_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedScalarFieldContainer[str]
    days_since: str
    def __init__(self, parts: _Optional[_Iterable[str]] = ..., days_since: _Optional[str] = ...) -> None: ...

class Bounds(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: float
    max: float
    def __init__(self, min: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...

class Scale(_message.Message):
    __slots__ = ("none", "standardize", "min_max")
    NONE_FIELD_NUMBER: _ClassVar[int]
    STANDARDIZE_FIELD_NUMBER: _ClassVar[int]
    MIN_MAX_FIELD_NUMBER: _ClassVar[int]
    none: _functions_pb2.Empty
    standardize: _functions_pb2.Empty
    min_max: _functions_pb2.Empty
    def __init__(self, none: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., standardize: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., min_max: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...

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
