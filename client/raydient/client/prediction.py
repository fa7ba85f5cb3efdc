"""Applying a trained network to samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raydient.v1.model_service_pb2 import PredictRequest, Tensor

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
    rows = max(1, VALUES_A_CALL // samples[0].size)
    answers = []
    for start in range(0, len(samples), rows):
        part = samples[start : start + rows]
        request = PredictRequest(name=name, inputs=Tensor(shape=part.shape, values=part.ravel()), columns=columns)
        answers.append(connection.call(connection.models.Predict, request))
    outputs = [np.array(a.outputs.values, np.float32).reshape(tuple(a.outputs.shape)) for a in answers]
    classes = np.concatenate([np.array(a.classes, np.int32) for a in answers])
    return Prediction(np.concatenate(outputs), classes if classes.size else None, tuple(answers[0].class_names))
