"""Applies trained networks to samples that come in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raydient.server.errors import InvalidRequest
from raydient.workers.network import Model, index_problems

from .models import StoredModels

VALUES_MOST = 1_000_000
"""Output values of one prediction: 4 bytes each, they have to fit into one message."""
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network makes of n samples.

    Attributes:
        outputs: (n, ...) float32; probabilities for the cross-entropies.
        classes: (n,) int32, the most probable labels; None where the loss is no cross-entropy.
        class_names: the label that each class stands for; empty where labels are numbers.
    """

    outputs: Array
    classes: NDArray[np.int32] | None
    class_names: tuple[str, ...]


class Predictor:
    """May be used from any thread; `predict` blocks it."""

    def __init__(self, models: StoredModels) -> None:
        self._models = models

    def predict(self, path: Path, shape: Sequence[int], values: Sequence[float], columns: Sequence[str]) -> Prediction:
        """Apply the model at `path` to samples in the units of the training data.

        Args:
            path: the file of a model, or of a checkpoint's weights.
            shape: of the inputs, samples first.
            values: the inputs in row-major order.
            columns: their names if they are a table, in any order and number as long as all features are there.

        Raises:
            InvalidRequest: with the field at fault.
        """
        model = self._models.load(path)
        inputs = _inputs(model, shape, values, columns)
        most = VALUES_MOST // math.prod(model.network.output_shape)
        if len(inputs) > most:
            raise _invalid(
                "inputs.shape", f"the outputs of {len(inputs)} samples are too many, at most {most} at a time"
            )
        outputs = model.predict(inputs)
        return Prediction(outputs, _classes(model, outputs), model.classes)


def _inputs(model: Model, shape: Sequence[int], values: Sequence[float], columns: Sequence[str]) -> Array:
    size = 1
    for extent in shape:
        size *= extent
    if not shape or min(shape) < 1 or size != len(values):
        raise _invalid("inputs.shape", f"{list(shape)} has not the {len(values)} values that came")
    inputs = np.array(values, np.float32).reshape(tuple(shape))
    if columns:
        inputs = inputs[:, _order(model, shape, columns)]
    if not np.isfinite(inputs).all():
        row = int(np.argwhere(~np.isfinite(inputs))[0][0])
        raise _invalid("inputs.values", f"the sample at position {row} has a value that is not finite")
    if inputs.shape[1:] != model.input_shape:
        raise _invalid(
            "inputs.shape", f"a sample has shape {list(inputs.shape[1:])}, needed is {list(model.input_shape)}"
        )
    if problems := index_problems(model.network, inputs):
        raise _invalid("inputs.values", problems[0].message)
    return inputs


def _order(model: Model, shape: Sequence[int], columns: Sequence[str]) -> list[int]:
    """Where each feature of the model is among the columns."""
    if len(shape) != 2 or shape[1] != len(columns):
        raise _invalid("columns", f"{len(columns)} names for inputs of shape {list(shape)}")
    if not model.feature_names:
        raise _invalid("columns", "this network was not trained on a table; leave the names out")
    places = {name: place for place, name in enumerate(columns)}
    if len(places) != len(columns):
        twice = next(name for place, name in enumerate(columns) if places[name] != place)
        raise _invalid("columns", f"{twice[:100]!r} is there twice")
    missing = [name for name in model.feature_names if name not in places]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise _invalid("columns", f"missing: {', '.join(missing[:5])}{more}")
    return [places[name] for name in model.feature_names]


def _classes(model: Model, outputs: Array) -> NDArray[np.int32] | None:
    match model.specification.named_outputs[0].loss.kind:
        case "softmax_cross_entropy":
            return np.asarray(outputs.argmax(axis=-1), np.int32)
        case "binary_cross_entropy":
            return (outputs.reshape(len(outputs)) > 0.5).astype(np.int32)
        case "hinge":
            return (outputs.reshape(len(outputs)) > 0).astype(np.int32)
        case _:
            return None


def _invalid(path: str, message: str) -> InvalidRequest:
    return InvalidRequest.of(path, message, reason="INVALID_INPUTS")
