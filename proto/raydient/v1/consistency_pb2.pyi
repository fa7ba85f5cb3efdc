from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Consistency(_message.Message):
    __slots__ = ("synchronous", "bounded_staleness", "asynchronous", "local")
    SYNCHRONOUS_FIELD_NUMBER: _ClassVar[int]
    BOUNDED_STALENESS_FIELD_NUMBER: _ClassVar[int]
    ASYNCHRONOUS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    synchronous: _functions_pb2.Empty
    bounded_staleness: BoundedStaleness
    asynchronous: Asynchronous
    local: Local
    def __init__(self, synchronous: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., bounded_staleness: _Optional[_Union[BoundedStaleness, _Mapping]] = ..., asynchronous: _Optional[_Union[Asynchronous, _Mapping]] = ..., local: _Optional[_Union[Local, _Mapping]] = ...) -> None: ...

class BoundedStaleness(_message.Message):
    __slots__ = ("limit", "damping", "safeguard")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DAMPING_FIELD_NUMBER: _ClassVar[int]
    SAFEGUARD_FIELD_NUMBER: _ClassVar[int]
    limit: int
    damping: bool
    safeguard: Safeguard
    def __init__(self, limit: _Optional[int] = ..., damping: bool = ..., safeguard: _Optional[_Union[Safeguard, _Mapping]] = ...) -> None: ...

class Asynchronous(_message.Message):
    __slots__ = ("damping", "safeguard")
    DAMPING_FIELD_NUMBER: _ClassVar[int]
    SAFEGUARD_FIELD_NUMBER: _ClassVar[int]
    damping: bool
    safeguard: Safeguard
    def __init__(self, damping: bool = ..., safeguard: _Optional[_Union[Safeguard, _Mapping]] = ...) -> None: ...

class Safeguard(_message.Message):
    __slots__ = ("loss_factor", "lower_limit", "reduce_rate", "synchronize")
    LOSS_FACTOR_FIELD_NUMBER: _ClassVar[int]
    LOWER_LIMIT_FIELD_NUMBER: _ClassVar[int]
    REDUCE_RATE_FIELD_NUMBER: _ClassVar[int]
    SYNCHRONIZE_FIELD_NUMBER: _ClassVar[int]
    loss_factor: float
    lower_limit: bool
    reduce_rate: bool
    synchronize: bool
    def __init__(self, loss_factor: _Optional[float] = ..., lower_limit: bool = ..., reduce_rate: bool = ..., synchronize: bool = ...) -> None: ...

class Local(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: int
    def __init__(self, steps: _Optional[int] = ...) -> None: ...
