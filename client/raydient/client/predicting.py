"""Splits a prediction into calls whose messages stay under gRPC's limit, and joins the answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from raydient.spec.errors import FieldError
from raydient.v1.model_service_pb2 import Model, PredictRequest, Tensor
from raydient.v1.model_service_pb2 import Prediction as OutputPrediction

from .columns import InvalidSamples
from .connection import Connection
from .errors import RequestRefused
from .prediction import Prediction

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from .columns import Where

INPUT_BYTES, OUTPUT_BYTES = 1 << 20, 2 << 20
"""Bytes of samples and of outputs in one call: well under gRPC's limit of 4 MiB."""
MESSAGE_BYTES = 4_000_000
"""Largest sample in one message, in bytes; the rest of the 4 MiB is for names and shapes."""
FIELDS = {"f4": ("values", 4), "f8": ("doubles", 8), "i8": ("integers", 10), "b1": ("booleans", 1)}
"""For each element type: the field of Tensor that holds it, and the maximum bytes of one value."""
_SAMPLE = re.compile(r"(?:arrays\.)?(?P<name>.+)\[(?P<row>\d+)\]")


def call_predict(
    connection: Connection, model: Model, arrays: "Mapping[str, NDArray[Any]]", where: "Where"
) -> dict[str, Prediction]:
    """Send the samples in as few calls as fit, and join the answers.

    Args:
        connection: to the service.
        model: description of the network's inputs and outputs.
        arrays: inputs by name, all with the same number (at least 1) of samples, of the types that `own_type` gives.
        where: returns the text by which errors name a sample.

    Raises:
        InvalidSamples: a sample is too large for a message.
        RequestRefused: the server refuses a sample.
    """
    answers = [_answer(connection, model, arrays, rows, where) for rows in _portions(model, arrays)]
    return {
        output.name: _together([answer[output.name] for answer in answers], output.shape) for output in model.outputs
    }


def _answer(
    connection: Connection, model: Model, arrays: "Mapping[str, NDArray[Any]]", rows: slice, where: "Where"
) -> dict[str, list[OutputPrediction]]:
    """Predictions of each output for some rows: one message, or several that each hold part of the outputs' values."""
    tensors = {name: _tensor(array[rows]) for name, array in arrays.items()}
    request = PredictRequest(name=model.name, arrays=tensors)
    parts = []
    for start, count in _windows(model):
        request.output_start, request.output_count = start, count
        try:
            parts.append(connection.call(connection.models.Predict, request).predictions)
        except RequestRefused as error:
            raise _located(error, rows.start, where) from error
    return {output.name: [part[output.name] for part in parts] for output in model.outputs}


def _windows(model: Model) -> Iterator[tuple[int, int]]:
    """Start and count of the outputs' values that fit into a call; (0, 0) stands for all of them."""
    sizes = [prod(output.shape) for output in model.outputs]
    if 4 * sum(sizes) <= OUTPUT_BYTES:
        yield 0, 0
        return
    count = OUTPUT_BYTES // 4 // len(sizes)
    yield from ((start, count) for start in range(0, max(sizes), count))


def _portions(model: Model, arrays: "Mapping[str, NDArray[Any]]") -> Iterator[slice]:
    """Consecutive rows whose inputs and outputs fit into a call."""
    import numpy as np

    sizes = sum(_row_bytes(array) for array in arrays.values())
    ends = np.cumsum(sizes)
    if (largest := int(np.max(sizes))) > MESSAGE_BYTES:
        text = f"a sample of {largest:,} bytes is too large for a message, which holds {MESSAGE_BYTES:,}"
        raise InvalidSamples(f"{text}: download the model and apply it here, for instance with ONNX Runtime")
    most = max(1, OUTPUT_BYTES // sum(4 * prod(output.shape) + 5 * prod(output.shape[:-1]) for output in model.outputs))
    start = 0
    while start < len(ends):
        sent = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends, sent + INPUT_BYTES, side="right"))
        stop = min(max(fitting, start + 1), start + most)
        yield slice(start, stop)
        start = stop


def _row_bytes(array: "NDArray[Any]") -> "NDArray[Any]":
    """Maximum bytes of each sample in a message, int64 (n,)."""
    import numpy as np

    if array.dtype.kind != "O":
        return np.full(len(array), FIELDS[array.dtype.str[1:]][1] * array[0].size, np.int64)
    sizes = np.array([len(text.encode()) + 4 for text in array.ravel().tolist()], np.int64)
    return np.asarray(sizes.reshape(len(array), -1).sum(axis=1))


def _tensor(array: "NDArray[Any]") -> Tensor:
    """Convert an array that `own_type` made to a message."""
    if array.dtype.kind == "O":
        return Tensor(shape=array.shape, texts=array.ravel().tolist())
    return Tensor(shape=array.shape, **{FIELDS[array.dtype.str[1:]][0]: array.ravel().tolist()})


def _located(error: RequestRefused, start: int, where: "Where") -> RequestRefused:
    """Replace the sample's number within the call, if the error has one, by its number among all samples."""
    violations = []
    for violation in error.violations:
        place = _SAMPLE.fullmatch(violation.path)
        text = f"{where(start + int(place['row']))}: {violation.message}" if place else violation.message
        violations.append(FieldError(place["name"] if place else violation.path, text))
    message = "\n".join(str(violation) for violation in violations) or str(error)
    return RequestRefused(message, reason=error.reason, violations=violations)


def _together(answers: Sequence[Sequence[OutputPrediction]], shape: Sequence[int]) -> Prediction:
    """Join the answers of one output: calls along the rows, parts of a call along the values."""
    import numpy as np

    def outputs(part: OutputPrediction) -> "NDArray[float32]":
        return np.array(part.outputs.values, np.float32).reshape(part.outputs.shape[0], -1)

    whole = [np.concatenate([outputs(part) for part in parts], axis=1) for parts in answers]
    classes = np.concatenate([np.array(first.classes, np.int32) for first, *_ in answers])
    values = np.concatenate(whole)
    names = tuple(answers[0][0].class_names)
    if classes.size > len(values):
        positions = shape[:-1] if classes.size == len(values) * prod(shape[:-1]) else shape
        classes = classes.reshape(len(values), *positions)
    return Prediction(values.reshape(len(values), *shape), classes if classes.size else None, names)
