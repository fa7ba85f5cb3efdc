from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EarlyStopping(_message.Message):
    __slots__ = ("monitor", "patience", "min_delta", "mode")
    MONITOR_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    MIN_DELTA_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    monitor: str
    patience: int
    min_delta: float
    mode: MonitorMode
    def __init__(self, monitor: _Optional[str] = ..., patience: _Optional[int] = ..., min_delta: _Optional[float] = ..., mode: _Optional[_Union[MonitorMode, _Mapping]] = ...) -> None: ...

class MonitorMode(_message.Message):
    __slots__ = ("auto", "min", "max")
    AUTO_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    auto: _functions_pb2.Empty
    min: _functions_pb2.Empty
    max: _functions_pb2.Empty
    def __init__(self, auto: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., min: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., max: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...

class Keep(_message.Message):
    __slots__ = ("last", "best")
    LAST_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    last: _functions_pb2.Empty
    best: KeepBest
    def __init__(self, last: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., best: _Optional[_Union[KeepBest, _Mapping]] = ...) -> None: ...

class KeepBest(_message.Message):
    __slots__ = ("monitor", "mode")
    MONITOR_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    monitor: str
    mode: MonitorMode
    def __init__(self, monitor: _Optional[str] = ..., mode: _Optional[_Union[MonitorMode, _Mapping]] = ...) -> None: ...

class OnNonFinite(_message.Message):
    __slots__ = ("fail", "skip_step", "rollback")
    FAIL_FIELD_NUMBER: _ClassVar[int]
    SKIP_STEP_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    fail: _functions_pb2.Empty
    skip_step: _functions_pb2.Empty
    rollback: Rollback
    def __init__(self, fail: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., skip_step: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., rollback: _Optional[_Union[Rollback, _Mapping]] = ...) -> None: ...

class Rollback(_message.Message):
    __slots__ = ("learning_rate_factor", "max_rollbacks")
    LEARNING_RATE_FACTOR_FIELD_NUMBER: _ClassVar[int]
    MAX_ROLLBACKS_FIELD_NUMBER: _ClassVar[int]
    learning_rate_factor: float
    max_rollbacks: int
    def __init__(self, learning_rate_factor: _Optional[float] = ..., max_rollbacks: _Optional[int] = ...) -> None: ...
