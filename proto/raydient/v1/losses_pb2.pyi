from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Loss(_message.Message):
    __slots__ = ("sum_squared_error", "mean_squared_error", "softmax_cross_entropy", "binary_cross_entropy", "mean_absolute_error", "huber", "hinge", "poisson", "quantile", "kl_divergence", "binary_focal_cross_entropy", "categorical_focal_cross_entropy", "cosine_similarity")
    SUM_SQUARED_ERROR_FIELD_NUMBER: _ClassVar[int]
    MEAN_SQUARED_ERROR_FIELD_NUMBER: _ClassVar[int]
    SOFTMAX_CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    BINARY_CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    MEAN_ABSOLUTE_ERROR_FIELD_NUMBER: _ClassVar[int]
    HUBER_FIELD_NUMBER: _ClassVar[int]
    HINGE_FIELD_NUMBER: _ClassVar[int]
    POISSON_FIELD_NUMBER: _ClassVar[int]
    QUANTILE_FIELD_NUMBER: _ClassVar[int]
    KL_DIVERGENCE_FIELD_NUMBER: _ClassVar[int]
    BINARY_FOCAL_CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    CATEGORICAL_FOCAL_CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    COSINE_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    sum_squared_error: _functions_pb2.Empty
    mean_squared_error: _functions_pb2.Empty
    softmax_cross_entropy: SoftmaxCrossEntropy
    binary_cross_entropy: BinaryCrossEntropy
    mean_absolute_error: _functions_pb2.Empty
    huber: Huber
    hinge: Hinge
    poisson: _functions_pb2.Empty
    quantile: Quantile
    kl_divergence: _functions_pb2.Empty
    binary_focal_cross_entropy: BinaryFocalCrossEntropy
    categorical_focal_cross_entropy: CategoricalFocalCrossEntropy
    cosine_similarity: _functions_pb2.Empty
    def __init__(self, sum_squared_error: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., mean_squared_error: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., softmax_cross_entropy: _Optional[_Union[SoftmaxCrossEntropy, _Mapping]] = ..., binary_cross_entropy: _Optional[_Union[BinaryCrossEntropy, _Mapping]] = ..., mean_absolute_error: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., huber: _Optional[_Union[Huber, _Mapping]] = ..., hinge: _Optional[_Union[Hinge, _Mapping]] = ..., poisson: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., quantile: _Optional[_Union[Quantile, _Mapping]] = ..., kl_divergence: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., binary_focal_cross_entropy: _Optional[_Union[BinaryFocalCrossEntropy, _Mapping]] = ..., categorical_focal_cross_entropy: _Optional[_Union[CategoricalFocalCrossEntropy, _Mapping]] = ..., cosine_similarity: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...

class SoftmaxCrossEntropy(_message.Message):
    __slots__ = ("label_smoothing", "one_hot", "class_weight", "categories", "ignore_class", "balanced")
    LABEL_SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    ONE_HOT_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CLASS_FIELD_NUMBER: _ClassVar[int]
    BALANCED_FIELD_NUMBER: _ClassVar[int]
    label_smoothing: float
    one_hot: bool
    class_weight: _containers.RepeatedScalarFieldContainer[float]
    categories: bool
    ignore_class: int
    balanced: bool
    def __init__(self, label_smoothing: _Optional[float] = ..., one_hot: bool = ..., class_weight: _Optional[_Iterable[float]] = ..., categories: bool = ..., ignore_class: _Optional[int] = ..., balanced: bool = ...) -> None: ...

class BinaryCrossEntropy(_message.Message):
    __slots__ = ("label_smoothing", "class_weight", "categories", "balanced")
    LABEL_SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    BALANCED_FIELD_NUMBER: _ClassVar[int]
    label_smoothing: float
    class_weight: _containers.RepeatedScalarFieldContainer[float]
    categories: bool
    balanced: bool
    def __init__(self, label_smoothing: _Optional[float] = ..., class_weight: _Optional[_Iterable[float]] = ..., categories: bool = ..., balanced: bool = ...) -> None: ...

class Hinge(_message.Message):
    __slots__ = ("class_weight", "categories", "balanced")
    CLASS_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    BALANCED_FIELD_NUMBER: _ClassVar[int]
    class_weight: _containers.RepeatedScalarFieldContainer[float]
    categories: bool
    balanced: bool
    def __init__(self, class_weight: _Optional[_Iterable[float]] = ..., categories: bool = ..., balanced: bool = ...) -> None: ...

class Huber(_message.Message):
    __slots__ = ("delta",)
    DELTA_FIELD_NUMBER: _ClassVar[int]
    delta: float
    def __init__(self, delta: _Optional[float] = ...) -> None: ...

class Quantile(_message.Message):
    __slots__ = ("quantile",)
    QUANTILE_FIELD_NUMBER: _ClassVar[int]
    quantile: float
    def __init__(self, quantile: _Optional[float] = ...) -> None: ...

class BinaryFocalCrossEntropy(_message.Message):
    __slots__ = ("gamma", "apply_class_balancing", "alpha", "class_weight", "categories", "balanced")
    GAMMA_FIELD_NUMBER: _ClassVar[int]
    APPLY_CLASS_BALANCING_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    BALANCED_FIELD_NUMBER: _ClassVar[int]
    gamma: float
    apply_class_balancing: bool
    alpha: float
    class_weight: _containers.RepeatedScalarFieldContainer[float]
    categories: bool
    balanced: bool
    def __init__(self, gamma: _Optional[float] = ..., apply_class_balancing: bool = ..., alpha: _Optional[float] = ..., class_weight: _Optional[_Iterable[float]] = ..., categories: bool = ..., balanced: bool = ...) -> None: ...

class CategoricalFocalCrossEntropy(_message.Message):
    __slots__ = ("gamma", "alpha", "class_weight", "categories", "ignore_class", "balanced")
    GAMMA_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CLASS_FIELD_NUMBER: _ClassVar[int]
    BALANCED_FIELD_NUMBER: _ClassVar[int]
    gamma: float
    alpha: float
    class_weight: _containers.RepeatedScalarFieldContainer[float]
    categories: bool
    ignore_class: int
    balanced: bool
    def __init__(self, gamma: _Optional[float] = ..., alpha: _Optional[float] = ..., class_weight: _Optional[_Iterable[float]] = ..., categories: bool = ..., ignore_class: _Optional[int] = ..., balanced: bool = ...) -> None: ...
