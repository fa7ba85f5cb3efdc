from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Activation(_message.Message):
    __slots__ = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "softmax", "hard_step", "exact_gelu")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SIGMOID_FIELD_NUMBER: _ClassVar[int]
    TANH_FIELD_NUMBER: _ClassVar[int]
    RELU_FIELD_NUMBER: _ClassVar[int]
    LEAKY_RELU_FIELD_NUMBER: _ClassVar[int]
    ELU_FIELD_NUMBER: _ClassVar[int]
    SELU_FIELD_NUMBER: _ClassVar[int]
    GELU_FIELD_NUMBER: _ClassVar[int]
    SILU_FIELD_NUMBER: _ClassVar[int]
    SOFTPLUS_FIELD_NUMBER: _ClassVar[int]
    SOFTMAX_FIELD_NUMBER: _ClassVar[int]
    HARD_STEP_FIELD_NUMBER: _ClassVar[int]
    EXACT_GELU_FIELD_NUMBER: _ClassVar[int]
    identity: Empty
    sigmoid: Empty
    tanh: Empty
    relu: Empty
    leaky_relu: LeakyRelu
    elu: Elu
    selu: Empty
    gelu: Empty
    silu: Empty
    softplus: Empty
    softmax: Empty
    hard_step: Empty
    exact_gelu: Empty
    def __init__(self, identity: _Optional[_Union[Empty, _Mapping]] = ..., sigmoid: _Optional[_Union[Empty, _Mapping]] = ..., tanh: _Optional[_Union[Empty, _Mapping]] = ..., relu: _Optional[_Union[Empty, _Mapping]] = ..., leaky_relu: _Optional[_Union[LeakyRelu, _Mapping]] = ..., elu: _Optional[_Union[Elu, _Mapping]] = ..., selu: _Optional[_Union[Empty, _Mapping]] = ..., gelu: _Optional[_Union[Empty, _Mapping]] = ..., silu: _Optional[_Union[Empty, _Mapping]] = ..., softplus: _Optional[_Union[Empty, _Mapping]] = ..., softmax: _Optional[_Union[Empty, _Mapping]] = ..., hard_step: _Optional[_Union[Empty, _Mapping]] = ..., exact_gelu: _Optional[_Union[Empty, _Mapping]] = ...) -> None: ...

class Elu(_message.Message):
    __slots__ = ("alpha",)
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    alpha: float
    def __init__(self, alpha: _Optional[float] = ...) -> None: ...

class LeakyRelu(_message.Message):
    __slots__ = ("negative_slope",)
    NEGATIVE_SLOPE_FIELD_NUMBER: _ClassVar[int]
    negative_slope: float
    def __init__(self, negative_slope: _Optional[float] = ...) -> None: ...

class Initializer(_message.Message):
    __slots__ = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "zeros", "ones", "constant", "lecun_uniform", "lecun_normal", "orthogonal", "random_uniform", "random_normal", "truncated_normal", "variance_scaling")
    GLOROT_UNIFORM_FIELD_NUMBER: _ClassVar[int]
    GLOROT_NORMAL_FIELD_NUMBER: _ClassVar[int]
    HE_UNIFORM_FIELD_NUMBER: _ClassVar[int]
    HE_NORMAL_FIELD_NUMBER: _ClassVar[int]
    ZEROS_FIELD_NUMBER: _ClassVar[int]
    ONES_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    LECUN_UNIFORM_FIELD_NUMBER: _ClassVar[int]
    LECUN_NORMAL_FIELD_NUMBER: _ClassVar[int]
    ORTHOGONAL_FIELD_NUMBER: _ClassVar[int]
    RANDOM_UNIFORM_FIELD_NUMBER: _ClassVar[int]
    RANDOM_NORMAL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_NORMAL_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_SCALING_FIELD_NUMBER: _ClassVar[int]
    glorot_uniform: Empty
    glorot_normal: Empty
    he_uniform: Empty
    he_normal: Empty
    zeros: Empty
    ones: Empty
    constant: Constant
    lecun_uniform: Empty
    lecun_normal: Empty
    orthogonal: Orthogonal
    random_uniform: RandomUniform
    random_normal: RandomNormal
    truncated_normal: TruncatedNormal
    variance_scaling: VarianceScaling
    def __init__(self, glorot_uniform: _Optional[_Union[Empty, _Mapping]] = ..., glorot_normal: _Optional[_Union[Empty, _Mapping]] = ..., he_uniform: _Optional[_Union[Empty, _Mapping]] = ..., he_normal: _Optional[_Union[Empty, _Mapping]] = ..., zeros: _Optional[_Union[Empty, _Mapping]] = ..., ones: _Optional[_Union[Empty, _Mapping]] = ..., constant: _Optional[_Union[Constant, _Mapping]] = ..., lecun_uniform: _Optional[_Union[Empty, _Mapping]] = ..., lecun_normal: _Optional[_Union[Empty, _Mapping]] = ..., orthogonal: _Optional[_Union[Orthogonal, _Mapping]] = ..., random_uniform: _Optional[_Union[RandomUniform, _Mapping]] = ..., random_normal: _Optional[_Union[RandomNormal, _Mapping]] = ..., truncated_normal: _Optional[_Union[TruncatedNormal, _Mapping]] = ..., variance_scaling: _Optional[_Union[VarianceScaling, _Mapping]] = ...) -> None: ...

class Orthogonal(_message.Message):
    __slots__ = ("gain",)
    GAIN_FIELD_NUMBER: _ClassVar[int]
    gain: float
    def __init__(self, gain: _Optional[float] = ...) -> None: ...

class RandomUniform(_message.Message):
    __slots__ = ("minval", "maxval")
    MINVAL_FIELD_NUMBER: _ClassVar[int]
    MAXVAL_FIELD_NUMBER: _ClassVar[int]
    minval: float
    maxval: float
    def __init__(self, minval: _Optional[float] = ..., maxval: _Optional[float] = ...) -> None: ...

class RandomNormal(_message.Message):
    __slots__ = ("mean", "stddev")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STDDEV_FIELD_NUMBER: _ClassVar[int]
    mean: float
    stddev: float
    def __init__(self, mean: _Optional[float] = ..., stddev: _Optional[float] = ...) -> None: ...

class TruncatedNormal(_message.Message):
    __slots__ = ("mean", "stddev")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STDDEV_FIELD_NUMBER: _ClassVar[int]
    mean: float
    stddev: float
    def __init__(self, mean: _Optional[float] = ..., stddev: _Optional[float] = ...) -> None: ...

class Fan(_message.Message):
    __slots__ = ("fan_in", "fan_out", "fan_avg")
    FAN_IN_FIELD_NUMBER: _ClassVar[int]
    FAN_OUT_FIELD_NUMBER: _ClassVar[int]
    FAN_AVG_FIELD_NUMBER: _ClassVar[int]
    fan_in: Empty
    fan_out: Empty
    fan_avg: Empty
    def __init__(self, fan_in: _Optional[_Union[Empty, _Mapping]] = ..., fan_out: _Optional[_Union[Empty, _Mapping]] = ..., fan_avg: _Optional[_Union[Empty, _Mapping]] = ...) -> None: ...

class Distribution(_message.Message):
    __slots__ = ("truncated_normal", "untruncated_normal", "uniform")
    TRUNCATED_NORMAL_FIELD_NUMBER: _ClassVar[int]
    UNTRUNCATED_NORMAL_FIELD_NUMBER: _ClassVar[int]
    UNIFORM_FIELD_NUMBER: _ClassVar[int]
    truncated_normal: Empty
    untruncated_normal: Empty
    uniform: Empty
    def __init__(self, truncated_normal: _Optional[_Union[Empty, _Mapping]] = ..., untruncated_normal: _Optional[_Union[Empty, _Mapping]] = ..., uniform: _Optional[_Union[Empty, _Mapping]] = ...) -> None: ...

class VarianceScaling(_message.Message):
    __slots__ = ("scale", "mode", "distribution")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    scale: float
    mode: Fan
    distribution: Distribution
    def __init__(self, scale: _Optional[float] = ..., mode: _Optional[_Union[Fan, _Mapping]] = ..., distribution: _Optional[_Union[Distribution, _Mapping]] = ...) -> None: ...

class Constant(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: float
    def __init__(self, value: _Optional[float] = ...) -> None: ...

class Regularizer(_message.Message):
    __slots__ = ("l1", "l2")
    L1_FIELD_NUMBER: _ClassVar[int]
    L2_FIELD_NUMBER: _ClassVar[int]
    l1: float
    l2: float
    def __init__(self, l1: _Optional[float] = ..., l2: _Optional[float] = ...) -> None: ...

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
