from raydient.v1 import functions_pb2 as _functions_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Exchange(_message.Message):
    __slots__ = ("codec",)
    CODEC_FIELD_NUMBER: _ClassVar[int]
    codec: Codec
    def __init__(self, codec: _Optional[_Union[Codec, _Mapping]] = ...) -> None: ...

class Codec(_message.Message):
    __slots__ = ("none", "float16", "bfloat16", "int8", "top_k")
    NONE_FIELD_NUMBER: _ClassVar[int]
    FLOAT16_FIELD_NUMBER: _ClassVar[int]
    BFLOAT16_FIELD_NUMBER: _ClassVar[int]
    INT8_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    none: _functions_pb2.Empty
    float16: _functions_pb2.Empty
    bfloat16: _functions_pb2.Empty
    int8: _functions_pb2.Empty
    top_k: TopKCodec
    def __init__(self, none: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., float16: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., bfloat16: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., int8: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., top_k: _Optional[_Union[TopKCodec, _Mapping]] = ...) -> None: ...

class TopKCodec(_message.Message):
    __slots__ = ("fraction",)
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    fraction: float
    def __init__(self, fraction: _Optional[float] = ...) -> None: ...
