"""Converts `Tensor` messages to arrays and back."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.server.errors import InvalidRequest
from raydient.v1 import model_service_pb2 as pb

TYPES: dict[str, type[Any]] = {
    "values": np.float32,
    "doubles": np.float64,
    "integers": np.int64,
    "booleans": np.bool_,
    "texts": np.object_,
}
"""The fields that hold values, and the element types of their arrays."""
MOST_AXES = 64
"""NumPy's limit."""


def array_of(path: str, tensor: pb.Tensor) -> NDArray[Any]:
    """The values of a tensor as an array of their type and its shape.

    Args:
        path: path of the tensor in the request, for errors.
        tensor: the message.

    Raises:
        InvalidRequest: not exactly one of the fields with values is set, or it does not fit the shape.
    """
    fields = [name for name in TYPES if len(getattr(tensor, name))]
    if len(fields) > 1:
        raise _invalid(path, f"{' and '.join(fields)} are set: exactly one of the fields with values may be set")
    shape, count = list(tensor.shape), len(getattr(tensor, fields[0])) if fields else 0
    if len(shape) > MOST_AXES:
        raise _invalid(f"{path}.shape", f"{len(shape)} axes are too many: at most {MOST_AXES} are allowed")
    if min(shape, default=0) < 1 or math.prod(shape) != count:
        raise _invalid(f"{path}.shape", f"{shape} does not fit the {count} values in the request")
    values: NDArray[Any] = np.array(getattr(tensor, fields[0]), TYPES[fields[0]])
    return values.reshape(shape)


def tensor_of(values: NDArray[np.float32]) -> pb.Tensor:
    """Convert outputs to a message."""
    return pb.Tensor(shape=values.shape, values=values.ravel())


def _invalid(path: str, message: str) -> InvalidRequest:
    return InvalidRequest.of(path, message, reason="INVALID_INPUTS")
