"""Applies trained networks to samples that come in."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.layers import INPUT
from raydient.workers.network import Model, index_problems

from .models import StoredModels
from .samples import gather, invalid

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
        if not model.is_plain:
            names = ", ".join(model.inputs)
            raise invalid("arrays", f"this network has inputs or outputs with names; give its inputs by name: {names}")
        inputs = _inputs(model, shape, values, columns)
        _check_size(model, len(inputs), "inputs.shape")
        (prediction,) = _predictions(model, model.predict_all({INPUT: inputs})).values()
        return prediction

    def predict_all(self, path: Path, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Prediction]:
        """The same for any network.

        Args:
            path: the model file.
            arrays: numbers or texts, samples first, by the names of the inputs or of the columns or arrays that these
                were in the training data; others are left alone.

        Returns:
            What each output gives, by its name.

        Raises:
            InvalidRequest: with the field at fault.
        """
        model = self._models.load(path)
        inputs = gather(model, arrays)
        _check_size(model, len(next(iter(inputs.values()))), "arrays")
        try:
            return _predictions(model, model.predict_all(inputs))
        except ValueError as error:
            raise invalid("arrays", str(error)) from error


def _inputs(model: Model, shape: Sequence[int], values: Sequence[float], columns: Sequence[str]) -> Array:
    size = 1
    for extent in shape:
        size *= extent
    if not shape or min(shape) < 1 or size != len(values):
        raise invalid("inputs.shape", f"{list(shape)} has not the {len(values)} values that came")
    inputs = np.array(values, np.float32).reshape(tuple(shape))
    if columns:
        inputs = inputs[:, _order(model, shape, columns)]
    if not np.isfinite(inputs).all():
        row = int(np.argwhere(~np.isfinite(inputs))[0][0])
        raise invalid("inputs.values", f"the sample at position {row} has a value that is not finite")
    if inputs.shape[1:] != model.input.shape:
        needed = list(model.input.shape)
        raise invalid("inputs.shape", f"a sample has shape {list(inputs.shape[1:])}, needed is {needed}")
    if problems := index_problems(model.network, inputs):
        raise invalid("inputs.values", problems[0].message)
    return inputs


def _order(model: Model, shape: Sequence[int], columns: Sequence[str]) -> list[int]:
    """Where each feature of the model is among the columns."""
    if len(shape) != 2 or shape[1] != len(columns):
        raise invalid("columns", f"{len(columns)} names for inputs of shape {list(shape)}")
    if not model.input.feature_names:
        raise invalid("columns", "this network was not trained on a table; leave the names out")
    places = {name: place for place, name in enumerate(columns)}
    if len(places) != len(columns):
        twice = next(name for place, name in enumerate(columns) if places[name] != place)
        raise invalid("columns", f"{twice[:100]!r} is there twice")
    missing = [name for name in model.input.feature_names if name not in places]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise invalid("columns", f"missing: {', '.join(missing[:5])}{more}")
    return [places[name] for name in model.input.feature_names]


def _check_size(model: Model, rows: int, path: str) -> None:
    most = VALUES_MOST // sum(math.prod(output.shape) for output in model.network.outputs)
    if rows > most:
        raise invalid(path, f"the outputs of {rows} samples are too many, at most {most} at a time")


def _predictions(model: Model, outputs: Mapping[str, Array]) -> dict[str, Prediction]:
    kinds = {output.layer: output.loss.kind for output in model.specification.named_outputs}
    return {
        name: Prediction(values, _classes(kinds[name], values), model.targets[name].classes)
        for name, values in outputs.items()
    }


def _classes(loss: str, outputs: Array) -> NDArray[np.int32] | None:
    match loss:
        case "softmax_cross_entropy":
            return np.asarray(outputs.argmax(axis=-1), np.int32)
        case "binary_cross_entropy":
            return (outputs.reshape(len(outputs)) > 0.5).astype(np.int32)
        case "hinge":
            return (outputs.reshape(len(outputs)) > 0).astype(np.int32)
        case _:
            return None
