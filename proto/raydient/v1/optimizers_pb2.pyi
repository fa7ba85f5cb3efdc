from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Optimizer(_message.Message):
    __slots__ = ("sgd", "adagrad", "rowwise_adagrad", "adadelta", "rmsprop", "adam", "adamax", "adamw", "nadam", "lamb", "lars", "lion", "ftrl")
    SGD_FIELD_NUMBER: _ClassVar[int]
    ADAGRAD_FIELD_NUMBER: _ClassVar[int]
    ROWWISE_ADAGRAD_FIELD_NUMBER: _ClassVar[int]
    ADADELTA_FIELD_NUMBER: _ClassVar[int]
    RMSPROP_FIELD_NUMBER: _ClassVar[int]
    ADAM_FIELD_NUMBER: _ClassVar[int]
    ADAMAX_FIELD_NUMBER: _ClassVar[int]
    ADAMW_FIELD_NUMBER: _ClassVar[int]
    NADAM_FIELD_NUMBER: _ClassVar[int]
    LAMB_FIELD_NUMBER: _ClassVar[int]
    LARS_FIELD_NUMBER: _ClassVar[int]
    LION_FIELD_NUMBER: _ClassVar[int]
    FTRL_FIELD_NUMBER: _ClassVar[int]
    sgd: Sgd
    adagrad: Adagrad
    rowwise_adagrad: RowwiseAdagrad
    adadelta: Adadelta
    rmsprop: RmsProp
    adam: Adam
    adamax: Adamax
    adamw: AdamW
    nadam: Nadam
    lamb: Lamb
    lars: Lars
    lion: Lion
    ftrl: Ftrl
    def __init__(self, sgd: _Optional[_Union[Sgd, _Mapping]] = ..., adagrad: _Optional[_Union[Adagrad, _Mapping]] = ..., rowwise_adagrad: _Optional[_Union[RowwiseAdagrad, _Mapping]] = ..., adadelta: _Optional[_Union[Adadelta, _Mapping]] = ..., rmsprop: _Optional[_Union[RmsProp, _Mapping]] = ..., adam: _Optional[_Union[Adam, _Mapping]] = ..., adamax: _Optional[_Union[Adamax, _Mapping]] = ..., adamw: _Optional[_Union[AdamW, _Mapping]] = ..., nadam: _Optional[_Union[Nadam, _Mapping]] = ..., lamb: _Optional[_Union[Lamb, _Mapping]] = ..., lars: _Optional[_Union[Lars, _Mapping]] = ..., lion: _Optional[_Union[Lion, _Mapping]] = ..., ftrl: _Optional[_Union[Ftrl, _Mapping]] = ...) -> None: ...

class Sparse(_message.Message):
    __slots__ = ("exact", "lazy")
    EXACT_FIELD_NUMBER: _ClassVar[int]
    LAZY_FIELD_NUMBER: _ClassVar[int]
    exact: _functions_pb2.Empty
    lazy: _functions_pb2.Empty
    def __init__(self, exact: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., lazy: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...

class Sgd(_message.Message):
    __slots__ = ("learning_rate", "momentum", "nesterov")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    NESTEROV_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    momentum: float
    nesterov: bool
    def __init__(self, learning_rate: _Optional[float] = ..., momentum: _Optional[float] = ..., nesterov: bool = ...) -> None: ...

class Adagrad(_message.Message):
    __slots__ = ("learning_rate", "initial_accumulator_value", "epsilon")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    INITIAL_ACCUMULATOR_VALUE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    initial_accumulator_value: float
    epsilon: float
    def __init__(self, learning_rate: _Optional[float] = ..., initial_accumulator_value: _Optional[float] = ..., epsilon: _Optional[float] = ...) -> None: ...

class RowwiseAdagrad(_message.Message):
    __slots__ = ("learning_rate", "initial_accumulator_value", "epsilon")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    INITIAL_ACCUMULATOR_VALUE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    initial_accumulator_value: float
    epsilon: float
    def __init__(self, learning_rate: _Optional[float] = ..., initial_accumulator_value: _Optional[float] = ..., epsilon: _Optional[float] = ...) -> None: ...

class Adadelta(_message.Message):
    __slots__ = ("learning_rate", "rho", "epsilon")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    RHO_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    rho: float
    epsilon: float
    def __init__(self, learning_rate: _Optional[float] = ..., rho: _Optional[float] = ..., epsilon: _Optional[float] = ...) -> None: ...

class RmsProp(_message.Message):
    __slots__ = ("learning_rate", "rho", "momentum", "epsilon", "centered")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    RHO_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    CENTERED_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    rho: float
    momentum: float
    epsilon: float
    centered: bool
    def __init__(self, learning_rate: _Optional[float] = ..., rho: _Optional[float] = ..., momentum: _Optional[float] = ..., epsilon: _Optional[float] = ..., centered: bool = ...) -> None: ...

class Adam(_message.Message):
    __slots__ = ("learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA_1_FIELD_NUMBER: _ClassVar[int]
    BETA_2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    AMSGRAD_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad: bool
    def __init__(self, learning_rate: _Optional[float] = ..., beta_1: _Optional[float] = ..., beta_2: _Optional[float] = ..., epsilon: _Optional[float] = ..., amsgrad: bool = ...) -> None: ...

class Adamax(_message.Message):
    __slots__ = ("learning_rate", "beta_1", "beta_2", "epsilon")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA_1_FIELD_NUMBER: _ClassVar[int]
    BETA_2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float
    def __init__(self, learning_rate: _Optional[float] = ..., beta_1: _Optional[float] = ..., beta_2: _Optional[float] = ..., epsilon: _Optional[float] = ...) -> None: ...

class AdamW(_message.Message):
    __slots__ = ("learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad", "weight_decay")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA_1_FIELD_NUMBER: _ClassVar[int]
    BETA_2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    AMSGRAD_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad: bool
    weight_decay: float
    def __init__(self, learning_rate: _Optional[float] = ..., beta_1: _Optional[float] = ..., beta_2: _Optional[float] = ..., epsilon: _Optional[float] = ..., amsgrad: bool = ..., weight_decay: _Optional[float] = ...) -> None: ...

class Nadam(_message.Message):
    __slots__ = ("learning_rate", "beta_1", "beta_2", "epsilon")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA_1_FIELD_NUMBER: _ClassVar[int]
    BETA_2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float
    def __init__(self, learning_rate: _Optional[float] = ..., beta_1: _Optional[float] = ..., beta_2: _Optional[float] = ..., epsilon: _Optional[float] = ...) -> None: ...

class Lamb(_message.Message):
    __slots__ = ("learning_rate", "beta_1", "beta_2", "epsilon", "weight_decay")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA_1_FIELD_NUMBER: _ClassVar[int]
    BETA_2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float
    weight_decay: float
    def __init__(self, learning_rate: _Optional[float] = ..., beta_1: _Optional[float] = ..., beta_2: _Optional[float] = ..., epsilon: _Optional[float] = ..., weight_decay: _Optional[float] = ...) -> None: ...

class Lars(_message.Message):
    __slots__ = ("learning_rate", "momentum", "trust_coefficient", "weight_decay")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    TRUST_COEFFICIENT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    momentum: float
    trust_coefficient: float
    weight_decay: float
    def __init__(self, learning_rate: _Optional[float] = ..., momentum: _Optional[float] = ..., trust_coefficient: _Optional[float] = ..., weight_decay: _Optional[float] = ...) -> None: ...

class Lion(_message.Message):
    __slots__ = ("learning_rate", "beta_1", "beta_2")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA_1_FIELD_NUMBER: _ClassVar[int]
    BETA_2_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta_1: float
    beta_2: float
    def __init__(self, learning_rate: _Optional[float] = ..., beta_1: _Optional[float] = ..., beta_2: _Optional[float] = ...) -> None: ...

class Ftrl(_message.Message):
    __slots__ = ("learning_rate", "initial_accumulator_value", "l1_regularization_strength", "l2_regularization_strength", "l2_shrinkage_regularization_strength", "beta")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    INITIAL_ACCUMULATOR_VALUE_FIELD_NUMBER: _ClassVar[int]
    L1_REGULARIZATION_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    L2_REGULARIZATION_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    L2_SHRINKAGE_REGULARIZATION_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    initial_accumulator_value: float
    l1_regularization_strength: float
    l2_regularization_strength: float
    l2_shrinkage_regularization_strength: float
    beta: float
    def __init__(self, learning_rate: _Optional[float] = ..., initial_accumulator_value: _Optional[float] = ..., l1_regularization_strength: _Optional[float] = ..., l2_regularization_strength: _Optional[float] = ..., l2_shrinkage_regularization_strength: _Optional[float] = ..., beta: _Optional[float] = ...) -> None: ...
