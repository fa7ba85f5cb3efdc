"""Applying a trained network to samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raydient.v1.model_service_pb2 import Prediction as OutputPrediction
from raydient.v1.model_service_pb2 import PredictRequest, PredictResponse, Tensor

from .connection import Connection

if TYPE_CHECKING:
    from numpy import float32, int32
    from numpy.typing import NDArray

VALUES_A_CALL = 262_144
"""1 MiB of inputs: well under gRPC's limit of 4 MiB, with room for the outputs."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network makes of samples, one a row.

    Attributes:
        outputs: float32 [samples, ...]; probabilities where the loss is a cross-entropy.
        classes: int32 [samples], the most probable classes; None where the loss is no cross-entropy.
        class_names: the label that each class stands for; empty where labels are numbers.
    """

    outputs: "NDArray[float32]"
    classes: "NDArray[int32] | None"
    class_names: tuple[str, ...] = ()


def predict(connection: Connection, name: str, inputs: Any, columns: Sequence[str]) -> Prediction:
    """Send as many rows a call as fit, and put the answers together.

    Raises:
        ValueError: there are no samples.
    """
    import numpy as np

    samples = np.asarray(inputs, dtype=np.float32)
    if samples.ndim < 2 or samples.size == 0:
        raise ValueError(f"at least one sample, one a row, is needed; the inputs' shape is {samples.shape}")
    answers = []
    for rows in _portions(len(samples), samples[0].size):
        request = PredictRequest(name=name, inputs=_tensor(samples[rows]), columns=columns)
        answers.append(connection.call(connection.models.Predict, request))
    return _together(answers)


def predict_all(connection: Connection, name: str, arrays: Mapping[str, Any]) -> dict[str, Prediction]:
    """The same with inputs by name, for every output by name.

    Raises:
        ValueError: there are no samples, or not as many of each.
    """
    import numpy as np

    given = {key: np.asarray(values) for key, values in arrays.items()}
    counts = {len(values) if values.ndim and values.size else 0 for values in given.values()}
    if len(counts) != 1 or counts == {0}:
        raise ValueError(f"as many samples of each are needed, one a row, and at least one: {sorted(counts)}")
    (count,) = counts
    answers = []
    for rows in _portions(count, sum(values.size for values in given.values()) // count):
        tensors = {key: _tensor(values[rows]) for key, values in given.items()}
        request = PredictRequest(name=name, arrays=tensors)
        answers.append(connection.call(connection.models.Predict, request).predictions)
    return {output: _together([answer[output] for answer in answers]) for output in sorted(answers[0])}


def _portions(count: int, values_a_sample: int) -> Iterator[slice]:
    rows = max(1, VALUES_A_CALL // values_a_sample)
    for start in range(0, count, rows):
        yield slice(start, start + rows)


def _tensor(values: "NDArray[Any]") -> Tensor:
    if values.dtype.kind in "UO":
        return Tensor(shape=values.shape, texts=map(str, values.ravel()))
    return Tensor(shape=values.shape, values=values.ravel())


def _together(answers: Sequence[PredictResponse | OutputPrediction]) -> Prediction:
    import numpy as np

    outputs = [np.array(a.outputs.values, np.float32).reshape(tuple(a.outputs.shape)) for a in answers]
    classes = np.concatenate([np.array(a.classes, np.int32) for a in answers])
    return Prediction(np.concatenate(outputs), classes if classes.size else None, tuple(answers[0].class_names))
