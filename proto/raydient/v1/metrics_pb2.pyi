from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricSpec(_message.Message):
    __slots__ = ("accuracy", "top_k", "precision", "recall", "f1", "auc", "mean_absolute_error", "root_mean_squared_error", "r2", "average_precision", "log_loss")
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    F1_FIELD_NUMBER: _ClassVar[int]
    AUC_FIELD_NUMBER: _ClassVar[int]
    MEAN_ABSOLUTE_ERROR_FIELD_NUMBER: _ClassVar[int]
    ROOT_MEAN_SQUARED_ERROR_FIELD_NUMBER: _ClassVar[int]
    R2_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_PRECISION_FIELD_NUMBER: _ClassVar[int]
    LOG_LOSS_FIELD_NUMBER: _ClassVar[int]
    accuracy: _functions_pb2.Empty
    top_k: TopK
    precision: Averaged
    recall: Averaged
    f1: Averaged
    auc: _functions_pb2.Empty
    mean_absolute_error: _functions_pb2.Empty
    root_mean_squared_error: _functions_pb2.Empty
    r2: _functions_pb2.Empty
    average_precision: _functions_pb2.Empty
    log_loss: _functions_pb2.Empty
    def __init__(self, accuracy: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., top_k: _Optional[_Union[TopK, _Mapping]] = ..., precision: _Optional[_Union[Averaged, _Mapping]] = ..., recall: _Optional[_Union[Averaged, _Mapping]] = ..., f1: _Optional[_Union[Averaged, _Mapping]] = ..., auc: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., mean_absolute_error: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., root_mean_squared_error: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., r2: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., average_precision: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., log_loss: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...

class TopK(_message.Message):
    __slots__ = ("k", "weighted")
    K_FIELD_NUMBER: _ClassVar[int]
    WEIGHTED_FIELD_NUMBER: _ClassVar[int]
    k: int
    weighted: bool
    def __init__(self, k: _Optional[int] = ..., weighted: bool = ...) -> None: ...

class Averaged(_message.Message):
    __slots__ = ("average",)
    AVERAGE_FIELD_NUMBER: _ClassVar[int]
    average: Average
    def __init__(self, average: _Optional[_Union[Average, _Mapping]] = ...) -> None: ...

class Average(_message.Message):
    __slots__ = ("auto", "binary", "macro", "micro", "weighted")
    AUTO_FIELD_NUMBER: _ClassVar[int]
    BINARY_FIELD_NUMBER: _ClassVar[int]
    MACRO_FIELD_NUMBER: _ClassVar[int]
    MICRO_FIELD_NUMBER: _ClassVar[int]
    WEIGHTED_FIELD_NUMBER: _ClassVar[int]
    auto: _functions_pb2.Empty
    binary: _functions_pb2.Empty
    macro: _functions_pb2.Empty
    micro: _functions_pb2.Empty
    weighted: _functions_pb2.Empty
    def __init__(self, auto: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., binary: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., macro: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., micro: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., weighted: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...
