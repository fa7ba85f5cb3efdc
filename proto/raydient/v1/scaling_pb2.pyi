from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Clipping(_message.Message):
    __slots__ = ("values", "layer_norm", "global_norm")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    LAYER_NORM_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_NORM_FIELD_NUMBER: _ClassVar[int]
    values: Clip
    layer_norm: Clip
    global_norm: Clip
    def __init__(self, values: _Optional[_Union[Clip, _Mapping]] = ..., layer_norm: _Optional[_Union[Clip, _Mapping]] = ..., global_norm: _Optional[_Union[Clip, _Mapping]] = ...) -> None: ...

class Clip(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: float
    def __init__(self, limit: _Optional[float] = ...) -> None: ...

class WeightDecay(_message.Message):
    __slots__ = ("rate", "exclude")
    RATE_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_FIELD_NUMBER: _ClassVar[int]
    rate: float
    exclude: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rate: _Optional[float] = ..., exclude: _Optional[_Iterable[str]] = ...) -> None: ...

class WeightAverage(_message.Message):
    __slots__ = ("decay",)
    DECAY_FIELD_NUMBER: _ClassVar[int]
    decay: float
    def __init__(self, decay: _Optional[float] = ...) -> None: ...
