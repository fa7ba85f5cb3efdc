from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Network(_message.Message):
    __slots__ = ("layers", "loss")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedCompositeFieldContainer[Layer]
    loss: Loss
    def __init__(self, layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., loss: _Optional[_Union[Loss, _Mapping]] = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("dense", "flatten", "reshape", "transpose", "activation", "add", "multiply", "concatenate", "dot", "shared")
    DENSE_FIELD_NUMBER: _ClassVar[int]
    FLATTEN_FIELD_NUMBER: _ClassVar[int]
    RESHAPE_FIELD_NUMBER: _ClassVar[int]
    TRANSPOSE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    MULTIPLY_FIELD_NUMBER: _ClassVar[int]
    CONCATENATE_FIELD_NUMBER: _ClassVar[int]
    DOT_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    dense: Dense
    flatten: Flatten
    reshape: Reshape
    transpose: Transpose
    activation: ActivationLayer
    add: Merge
    multiply: Merge
    concatenate: Concatenate
    dot: Merge
    shared: Shared
    def __init__(self, dense: _Optional[_Union[Dense, _Mapping]] = ..., flatten: _Optional[_Union[Flatten, _Mapping]] = ..., reshape: _Optional[_Union[Reshape, _Mapping]] = ..., transpose: _Optional[_Union[Transpose, _Mapping]] = ..., activation: _Optional[_Union[ActivationLayer, _Mapping]] = ..., add: _Optional[_Union[Merge, _Mapping]] = ..., multiply: _Optional[_Union[Merge, _Mapping]] = ..., concatenate: _Optional[_Union[Concatenate, _Mapping]] = ..., dot: _Optional[_Union[Merge, _Mapping]] = ..., shared: _Optional[_Union[Shared, _Mapping]] = ...) -> None: ...

class Dense(_message.Message):
    __slots__ = ("name", "inputs", "units", "activation", "use_bias", "kernel_initializer", "bias_initializer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    USE_BIAS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    BIAS_INITIALIZER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    units: int
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., units: _Optional[int] = ..., activation: _Optional[_Union[Activation, _Mapping]] = ..., use_bias: bool = ..., kernel_initializer: _Optional[_Union[Initializer, _Mapping]] = ..., bias_initializer: _Optional[_Union[Initializer, _Mapping]] = ...) -> None: ...

class Flatten(_message.Message):
    __slots__ = ("name", "inputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ...) -> None: ...

class Reshape(_message.Message):
    __slots__ = ("name", "inputs", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class Transpose(_message.Message):
    __slots__ = ("name", "inputs", "axes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    AXES_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    axes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., axes: _Optional[_Iterable[int]] = ...) -> None: ...

class Merge(_message.Message):
    __slots__ = ("name", "inputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ...) -> None: ...

class Concatenate(_message.Message):
    __slots__ = ("name", "inputs", "axis")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    AXIS_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    axis: int
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., axis: _Optional[int] = ...) -> None: ...

class Shared(_message.Message):
    __slots__ = ("name", "inputs", "layer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    layer: str
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., layer: _Optional[str] = ...) -> None: ...

class ActivationLayer(_message.Message):
    __slots__ = ("name", "inputs", "function")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    function: Activation
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., function: _Optional[_Union[Activation, _Mapping]] = ...) -> None: ...

class Activation(_message.Message):
    __slots__ = ("identity", "sigmoid", "tanh", "relu", "leaky_relu")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SIGMOID_FIELD_NUMBER: _ClassVar[int]
    TANH_FIELD_NUMBER: _ClassVar[int]
    RELU_FIELD_NUMBER: _ClassVar[int]
    LEAKY_RELU_FIELD_NUMBER: _ClassVar[int]
    identity: Empty
    sigmoid: Empty
    tanh: Empty
    relu: Empty
    leaky_relu: LeakyRelu
    def __init__(self, identity: _Optional[_Union[Empty, _Mapping]] = ..., sigmoid: _Optional[_Union[Empty, _Mapping]] = ..., tanh: _Optional[_Union[Empty, _Mapping]] = ..., relu: _Optional[_Union[Empty, _Mapping]] = ..., leaky_relu: _Optional[_Union[LeakyRelu, _Mapping]] = ...) -> None: ...

class LeakyRelu(_message.Message):
    __slots__ = ("negative_slope",)
    NEGATIVE_SLOPE_FIELD_NUMBER: _ClassVar[int]
    negative_slope: float
    def __init__(self, negative_slope: _Optional[float] = ...) -> None: ...

class Initializer(_message.Message):
    __slots__ = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "zeros", "ones", "constant")
    GLOROT_UNIFORM_FIELD_NUMBER: _ClassVar[int]
    GLOROT_NORMAL_FIELD_NUMBER: _ClassVar[int]
    HE_UNIFORM_FIELD_NUMBER: _ClassVar[int]
    HE_NORMAL_FIELD_NUMBER: _ClassVar[int]
    ZEROS_FIELD_NUMBER: _ClassVar[int]
    ONES_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    glorot_uniform: Empty
    glorot_normal: Empty
    he_uniform: Empty
    he_normal: Empty
    zeros: Empty
    ones: Empty
    constant: Constant
    def __init__(self, glorot_uniform: _Optional[_Union[Empty, _Mapping]] = ..., glorot_normal: _Optional[_Union[Empty, _Mapping]] = ..., he_uniform: _Optional[_Union[Empty, _Mapping]] = ..., he_normal: _Optional[_Union[Empty, _Mapping]] = ..., zeros: _Optional[_Union[Empty, _Mapping]] = ..., ones: _Optional[_Union[Empty, _Mapping]] = ..., constant: _Optional[_Union[Constant, _Mapping]] = ...) -> None: ...

class Constant(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: float
    def __init__(self, value: _Optional[float] = ...) -> None: ...

class Loss(_message.Message):
    __slots__ = ("sum_squared_error", "mean_squared_error", "softmax_cross_entropy", "binary_cross_entropy")
    SUM_SQUARED_ERROR_FIELD_NUMBER: _ClassVar[int]
    MEAN_SQUARED_ERROR_FIELD_NUMBER: _ClassVar[int]
    SOFTMAX_CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    BINARY_CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    sum_squared_error: Empty
    mean_squared_error: Empty
    softmax_cross_entropy: Empty
    binary_cross_entropy: Empty
    def __init__(self, sum_squared_error: _Optional[_Union[Empty, _Mapping]] = ..., mean_squared_error: _Optional[_Union[Empty, _Mapping]] = ..., softmax_cross_entropy: _Optional[_Union[Empty, _Mapping]] = ..., binary_cross_entropy: _Optional[_Union[Empty, _Mapping]] = ...) -> None: ...

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
