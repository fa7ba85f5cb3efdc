import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from raydient.v1 import training_job_spec_pb2 as _training_job_spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrainingJobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRAINING_JOB_STATE_UNSPECIFIED: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_QUEUED: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_STARTING: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_RUNNING: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_PAUSED: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_CANCELLING: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_SUCCEEDED: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_FAILED: _ClassVar[TrainingJobState]
    TRAINING_JOB_STATE_CANCELLED: _ClassVar[TrainingJobState]
TRAINING_JOB_STATE_UNSPECIFIED: TrainingJobState
TRAINING_JOB_STATE_QUEUED: TrainingJobState
TRAINING_JOB_STATE_STARTING: TrainingJobState
TRAINING_JOB_STATE_RUNNING: TrainingJobState
TRAINING_JOB_STATE_PAUSED: TrainingJobState
TRAINING_JOB_STATE_CANCELLING: TrainingJobState
TRAINING_JOB_STATE_SUCCEEDED: TrainingJobState
TRAINING_JOB_STATE_FAILED: TrainingJobState
TRAINING_JOB_STATE_CANCELLED: TrainingJobState

class TrainingJob(_message.Message):
    __slots__ = ("name", "spec", "state", "state_reason", "state_message", "create_time", "start_time", "end_time", "progress", "last_epoch", "digest", "restarts", "queue_position", "dataset", "workers", "checkpoints", "updates")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_REASON_FIELD_NUMBER: _ClassVar[int]
    STATE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    LAST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: _training_job_spec_pb2.TrainingJobSpec
    state: TrainingJobState
    state_reason: str
    state_message: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    progress: TrainingProgress
    last_epoch: EpochEnded
    digest: str
    restarts: int
    queue_position: int
    dataset: str
    workers: _training_job_spec_pb2.WorkerRange
    checkpoints: CheckpointSummary
    updates: _containers.RepeatedCompositeFieldContainer[TrainingJobUpdate]
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[_training_job_spec_pb2.TrainingJobSpec, _Mapping]] = ..., state: _Optional[_Union[TrainingJobState, str]] = ..., state_reason: _Optional[str] = ..., state_message: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., progress: _Optional[_Union[TrainingProgress, _Mapping]] = ..., last_epoch: _Optional[_Union[EpochEnded, _Mapping]] = ..., digest: _Optional[str] = ..., restarts: _Optional[int] = ..., queue_position: _Optional[int] = ..., dataset: _Optional[str] = ..., workers: _Optional[_Union[_training_job_spec_pb2.WorkerRange, _Mapping]] = ..., checkpoints: _Optional[_Union[CheckpointSummary, _Mapping]] = ..., updates: _Optional[_Iterable[_Union[TrainingJobUpdate, _Mapping]]] = ...) -> None: ...

class TrainingJobUpdate(_message.Message):
    __slots__ = ("number", "create_time", "fields", "step")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    number: int
    create_time: _timestamp_pb2.Timestamp
    fields: _containers.RepeatedCompositeFieldContainer[FieldUpdate]
    step: int
    def __init__(self, number: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fields: _Optional[_Iterable[_Union[FieldUpdate, _Mapping]]] = ..., step: _Optional[int] = ...) -> None: ...

class FieldUpdate(_message.Message):
    __slots__ = ("path", "before", "after")
    PATH_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    path: str
    before: str
    after: str
    def __init__(self, path: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class CheckpointSummary(_message.Message):
    __slots__ = ("step", "failed", "damaged", "problem")
    STEP_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    step: int
    failed: int
    damaged: int
    problem: str
    def __init__(self, step: _Optional[int] = ..., failed: _Optional[int] = ..., damaged: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

class TrainingProgress(_message.Message):
    __slots__ = ("step", "steps", "epoch", "epochs", "samples", "samples_per_second", "learning_rate", "loss", "workers_alive", "workers_wanted", "restarts", "phase_seconds", "exchange_bytes", "workers_minimum", "gradient_health", "clip_factor", "clipped_steps", "staleness")
    class RestartsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class PhaseSecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ExchangeBytesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_ALIVE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_WANTED_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    PHASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKERS_MINIMUM_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_HEALTH_FIELD_NUMBER: _ClassVar[int]
    CLIP_FACTOR_FIELD_NUMBER: _ClassVar[int]
    CLIPPED_STEPS_FIELD_NUMBER: _ClassVar[int]
    STALENESS_FIELD_NUMBER: _ClassVar[int]
    step: int
    steps: int
    epoch: int
    epochs: int
    samples: int
    samples_per_second: float
    learning_rate: float
    loss: float
    workers_alive: int
    workers_wanted: int
    restarts: _containers.ScalarMap[str, int]
    phase_seconds: _containers.ScalarMap[str, float]
    exchange_bytes: _containers.ScalarMap[str, int]
    workers_minimum: int
    gradient_health: GradientHealth
    clip_factor: float
    clipped_steps: int
    staleness: Staleness
    def __init__(self, step: _Optional[int] = ..., steps: _Optional[int] = ..., epoch: _Optional[int] = ..., epochs: _Optional[int] = ..., samples: _Optional[int] = ..., samples_per_second: _Optional[float] = ..., learning_rate: _Optional[float] = ..., loss: _Optional[float] = ..., workers_alive: _Optional[int] = ..., workers_wanted: _Optional[int] = ..., restarts: _Optional[_Mapping[str, int]] = ..., phase_seconds: _Optional[_Mapping[str, float]] = ..., exchange_bytes: _Optional[_Mapping[str, int]] = ..., workers_minimum: _Optional[int] = ..., gradient_health: _Optional[_Union[GradientHealth, _Mapping]] = ..., clip_factor: _Optional[float] = ..., clipped_steps: _Optional[int] = ..., staleness: _Optional[_Union[Staleness, _Mapping]] = ...) -> None: ...

class Staleness(_message.Message):
    __slots__ = ("buckets", "sum")
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    SUM_FIELD_NUMBER: _ClassVar[int]
    buckets: _containers.RepeatedScalarFieldContainer[int]
    sum: int
    def __init__(self, buckets: _Optional[_Iterable[int]] = ..., sum: _Optional[int] = ...) -> None: ...

class GradientHealth(_message.Message):
    __slots__ = ("step", "layers")
    STEP_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    step: int
    layers: _containers.RepeatedCompositeFieldContainer[LayerHealth]
    def __init__(self, step: _Optional[int] = ..., layers: _Optional[_Iterable[_Union[LayerHealth, _Mapping]]] = ...) -> None: ...

class LayerHealth(_message.Message):
    __slots__ = ("layer", "gradient_norm", "update_ratio", "non_finite_values", "dead_units_ratio")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_NORM_FIELD_NUMBER: _ClassVar[int]
    UPDATE_RATIO_FIELD_NUMBER: _ClassVar[int]
    NON_FINITE_VALUES_FIELD_NUMBER: _ClassVar[int]
    DEAD_UNITS_RATIO_FIELD_NUMBER: _ClassVar[int]
    layer: str
    gradient_norm: float
    update_ratio: float
    non_finite_values: int
    dead_units_ratio: float
    def __init__(self, layer: _Optional[str] = ..., gradient_norm: _Optional[float] = ..., update_ratio: _Optional[float] = ..., non_finite_values: _Optional[int] = ..., dead_units_ratio: _Optional[float] = ...) -> None: ...

class TrainingJobEvent(_message.Message):
    __slots__ = ("sequence", "time", "state_changed", "progress", "epoch_ended", "checkpoint_taken", "notice")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_ENDED_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_TAKEN_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    state_changed: StateChanged
    progress: TrainingProgress
    epoch_ended: EpochEnded
    checkpoint_taken: CheckpointTaken
    notice: Notice
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state_changed: _Optional[_Union[StateChanged, _Mapping]] = ..., progress: _Optional[_Union[TrainingProgress, _Mapping]] = ..., epoch_ended: _Optional[_Union[EpochEnded, _Mapping]] = ..., checkpoint_taken: _Optional[_Union[CheckpointTaken, _Mapping]] = ..., notice: _Optional[_Union[Notice, _Mapping]] = ...) -> None: ...

class StateChanged(_message.Message):
    __slots__ = ("state", "reason", "message", "digest")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    state: TrainingJobState
    reason: str
    message: str
    digest: str
    def __init__(self, state: _Optional[_Union[TrainingJobState, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class EpochEnded(_message.Message):
    __slots__ = ("epoch", "step", "duration", "metrics")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    step: int
    duration: _duration_pb2.Duration
    metrics: _containers.RepeatedCompositeFieldContainer[Metric]
    def __init__(self, epoch: _Optional[int] = ..., step: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., metrics: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ...) -> None: ...

class Metric(_message.Message):
    __slots__ = ("name", "split", "epoch", "step", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    split: str
    epoch: int
    step: int
    value: float
    def __init__(self, name: _Optional[str] = ..., split: _Optional[str] = ..., epoch: _Optional[int] = ..., step: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...

class CheckpointTaken(_message.Message):
    __slots__ = ("step", "duration", "size_bytes")
    STEP_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    step: int
    duration: _duration_pb2.Duration
    size_bytes: int
    def __init__(self, step: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
