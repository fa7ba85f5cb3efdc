from raydient.v1 import ending_pb2 as _ending_pb2
from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LearningRateSchedule(_message.Message):
    __slots__ = ("constant", "step", "exponential", "polynomial", "inverse_time", "cosine", "one_cycle", "plateau")
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    EXPONENTIAL_FIELD_NUMBER: _ClassVar[int]
    POLYNOMIAL_FIELD_NUMBER: _ClassVar[int]
    INVERSE_TIME_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    ONE_CYCLE_FIELD_NUMBER: _ClassVar[int]
    PLATEAU_FIELD_NUMBER: _ClassVar[int]
    constant: _functions_pb2.Empty
    step: StepSchedule
    exponential: ExponentialSchedule
    polynomial: PolynomialSchedule
    inverse_time: InverseTimeSchedule
    cosine: CosineSchedule
    one_cycle: OneCycleSchedule
    plateau: PlateauSchedule
    def __init__(self, constant: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., step: _Optional[_Union[StepSchedule, _Mapping]] = ..., exponential: _Optional[_Union[ExponentialSchedule, _Mapping]] = ..., polynomial: _Optional[_Union[PolynomialSchedule, _Mapping]] = ..., inverse_time: _Optional[_Union[InverseTimeSchedule, _Mapping]] = ..., cosine: _Optional[_Union[CosineSchedule, _Mapping]] = ..., one_cycle: _Optional[_Union[OneCycleSchedule, _Mapping]] = ..., plateau: _Optional[_Union[PlateauSchedule, _Mapping]] = ...) -> None: ...

class StepSchedule(_message.Message):
    __slots__ = ("boundaries", "boundary_epochs", "values")
    BOUNDARIES_FIELD_NUMBER: _ClassVar[int]
    BOUNDARY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    boundaries: _containers.RepeatedScalarFieldContainer[int]
    boundary_epochs: _containers.RepeatedScalarFieldContainer[float]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, boundaries: _Optional[_Iterable[int]] = ..., boundary_epochs: _Optional[_Iterable[float]] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class ExponentialSchedule(_message.Message):
    __slots__ = ("decay_rate", "decay_steps", "decay_epochs", "staircase")
    DECAY_RATE_FIELD_NUMBER: _ClassVar[int]
    DECAY_STEPS_FIELD_NUMBER: _ClassVar[int]
    DECAY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    STAIRCASE_FIELD_NUMBER: _ClassVar[int]
    decay_rate: float
    decay_steps: int
    decay_epochs: float
    staircase: bool
    def __init__(self, decay_rate: _Optional[float] = ..., decay_steps: _Optional[int] = ..., decay_epochs: _Optional[float] = ..., staircase: bool = ...) -> None: ...

class InverseTimeSchedule(_message.Message):
    __slots__ = ("decay_rate", "decay_steps", "decay_epochs", "staircase")
    DECAY_RATE_FIELD_NUMBER: _ClassVar[int]
    DECAY_STEPS_FIELD_NUMBER: _ClassVar[int]
    DECAY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    STAIRCASE_FIELD_NUMBER: _ClassVar[int]
    decay_rate: float
    decay_steps: int
    decay_epochs: float
    staircase: bool
    def __init__(self, decay_rate: _Optional[float] = ..., decay_steps: _Optional[int] = ..., decay_epochs: _Optional[float] = ..., staircase: bool = ...) -> None: ...

class PolynomialSchedule(_message.Message):
    __slots__ = ("decay_steps", "decay_epochs", "end_learning_rate", "power", "cycle")
    DECAY_STEPS_FIELD_NUMBER: _ClassVar[int]
    DECAY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    END_LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    CYCLE_FIELD_NUMBER: _ClassVar[int]
    decay_steps: int
    decay_epochs: float
    end_learning_rate: float
    power: float
    cycle: bool
    def __init__(self, decay_steps: _Optional[int] = ..., decay_epochs: _Optional[float] = ..., end_learning_rate: _Optional[float] = ..., power: _Optional[float] = ..., cycle: bool = ...) -> None: ...

class CosineSchedule(_message.Message):
    __slots__ = ("decay_steps", "decay_epochs", "alpha", "restarts")
    DECAY_STEPS_FIELD_NUMBER: _ClassVar[int]
    DECAY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    decay_steps: int
    decay_epochs: float
    alpha: float
    restarts: Restarts
    def __init__(self, decay_steps: _Optional[int] = ..., decay_epochs: _Optional[float] = ..., alpha: _Optional[float] = ..., restarts: _Optional[_Union[Restarts, _Mapping]] = ...) -> None: ...

class Restarts(_message.Message):
    __slots__ = ("t_mul", "m_mul")
    T_MUL_FIELD_NUMBER: _ClassVar[int]
    M_MUL_FIELD_NUMBER: _ClassVar[int]
    t_mul: float
    m_mul: float
    def __init__(self, t_mul: _Optional[float] = ..., m_mul: _Optional[float] = ...) -> None: ...

class OneCycleSchedule(_message.Message):
    __slots__ = ("pct_start", "anneal_strategy", "div_factor", "final_div_factor", "three_phase")
    PCT_START_FIELD_NUMBER: _ClassVar[int]
    ANNEAL_STRATEGY_FIELD_NUMBER: _ClassVar[int]
    DIV_FACTOR_FIELD_NUMBER: _ClassVar[int]
    FINAL_DIV_FACTOR_FIELD_NUMBER: _ClassVar[int]
    THREE_PHASE_FIELD_NUMBER: _ClassVar[int]
    pct_start: float
    anneal_strategy: Annealing
    div_factor: float
    final_div_factor: float
    three_phase: bool
    def __init__(self, pct_start: _Optional[float] = ..., anneal_strategy: _Optional[_Union[Annealing, _Mapping]] = ..., div_factor: _Optional[float] = ..., final_div_factor: _Optional[float] = ..., three_phase: bool = ...) -> None: ...

class Annealing(_message.Message):
    __slots__ = ("cos", "linear")
    COS_FIELD_NUMBER: _ClassVar[int]
    LINEAR_FIELD_NUMBER: _ClassVar[int]
    cos: _functions_pb2.Empty
    linear: _functions_pb2.Empty
    def __init__(self, cos: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., linear: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...

class PlateauSchedule(_message.Message):
    __slots__ = ("monitor", "factor", "patience", "mode", "min_delta", "cooldown", "min_lr")
    MONITOR_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MIN_DELTA_FIELD_NUMBER: _ClassVar[int]
    COOLDOWN_FIELD_NUMBER: _ClassVar[int]
    MIN_LR_FIELD_NUMBER: _ClassVar[int]
    monitor: str
    factor: float
    patience: int
    mode: _ending_pb2.MonitorMode
    min_delta: float
    cooldown: int
    min_lr: float
    def __init__(self, monitor: _Optional[str] = ..., factor: _Optional[float] = ..., patience: _Optional[int] = ..., mode: _Optional[_Union[_ending_pb2.MonitorMode, _Mapping]] = ..., min_delta: _Optional[float] = ..., cooldown: _Optional[int] = ..., min_lr: _Optional[float] = ...) -> None: ...

class WarmUp(_message.Message):
    __slots__ = ("steps", "epochs", "initial_learning_rate")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    steps: int
    epochs: float
    initial_learning_rate: float
    def __init__(self, steps: _Optional[int] = ..., epochs: _Optional[float] = ..., initial_learning_rate: _Optional[float] = ...) -> None: ...
