"""Applies trained networks to the samples of requests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.layers import INPUT
from raydient.steps.arrays import Floats
from raydient.workers.network import Model, SampleError
from raydient.workers.network.losses import loss_class

from .models import StoredModels
from .samples import gather, in_order, invalid, prepare, refused

BYTES_MOST = 4_100_000
"""Maximum bytes of one prediction, so that its message stays below 4 MiB."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predictions of one output for n samples.

    Attributes:
        outputs: (n, ...) float32; probabilities for the cross-entropies. (n, k) for a `Window` of k values.
        classes: (n,) int32, the most probable labels; None where the loss is no cross-entropy.
        class_names: the label that each class stands for; empty where labels are numbers.
    """

    outputs: Floats
    classes: NDArray[np.int32] | None
    class_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Selects `count` values of each sample's outputs from `start`, in row-major order; all if `count` is 0."""

    start: int = 0
    count: int = 0

    def size(self, shape: Sequence[int]) -> int:
        """Number of selected values of a sample with outputs of `shape`."""
        whole = math.prod(shape)
        return max(0, min(self.start + self.count, whole) - self.start) if self.count else whole

    def of(self, outputs: Floats) -> Floats:
        """The selected values of outputs (n, ...)."""
        if not self.count:
            return outputs
        return outputs.reshape(len(outputs), -1)[:, self.start : self.start + self.count]


ALL = Window()


class Predictor:
    """Predicts with stored models. May be used from any thread; methods block it."""

    def __init__(self, models: StoredModels) -> None:
        self._models = models

    def predict(self, path: Path, inputs: NDArray[Any], columns: Sequence[str], window: Window = ALL) -> Prediction:
        """Apply the model at `path` to samples in the units of the training data.

        Args:
            path: the file of a model, or of a checkpoint's weights.
            inputs: (n, ...), numbers or texts that are numbers.
            columns: names of the columns if `inputs` is a table, in any order; they include all features.
            window: selects values of the outputs.

        Raises:
            InvalidRequest: names the invalid field.
        """
        model = self._models.load(path)
        if not model.is_plain:
            names = ", ".join(model.inputs)
            raise invalid("arrays", f"the network has named inputs or outputs; give its inputs by name: {names}")
        ordered = in_order(model, inputs, columns) if columns else inputs
        samples = {INPUT: prepare("inputs", model.input, ordered)}
        (prediction,) = _apply(model, samples, window, {INPUT: "inputs"}).values()
        return prediction

    def predict_all(
        self, path: Path, arrays: Mapping[str, NDArray[Any]], window: Window = ALL
    ) -> dict[str, Prediction]:
        """Apply the model at `path` to samples by name, for any network.

        Args:
            path: the model file.
            arrays: numbers or texts, samples first, by the names of the inputs, or of the columns or arrays of the
                training data; further arrays are ignored.
            window: selects values of the outputs.

        Returns:
            The predictions of each output, by its name.

        Raises:
            InvalidRequest: names the invalid field.
        """
        model = self._models.load(path)
        return _apply(model, gather(model, arrays), window, {name: f"arrays.{name}" for name in model.inputs})


def _apply(
    model: Model, samples: Mapping[str, NDArray[Any]], window: Window, paths: Mapping[str, str]
) -> dict[str, Prediction]:
    """Predict by blocks of rows, so that values outside the window are never held for all rows.

    `paths` maps names of inputs to their paths in the request.
    """
    rows = len(next(iter(samples.values())))
    _check_size(model, rows, window, f"{next(iter(paths.values()))}.shape")
    try:
        ready = model.prepare(samples)
    except SampleError as error:
        raise refused(paths.get(error.input, "arrays"), error) from error
    losses = {output.layer: loss_class(output.loss) for output in model.specification.named_outputs}
    parts: dict[str, list[Floats]] = {name: [] for name in losses}
    classes: dict[str, list[NDArray[np.int32] | None]] = {name: [] for name in losses}
    for block in model.blocks(ready):
        for name, outputs in block.items():
            parts[name].append(window.of(outputs).copy())
            classes[name].append(losses[name].classify(outputs))
    return {
        name: Prediction(np.concatenate(parts[name]), _joined(classes[name]), model.targets[name].classes)
        for name in losses
    }


def _check_size(model: Model, rows: int, window: Window, path: str) -> None:
    """Check that the outputs fit into one message."""
    outputs = model.network.outputs
    names = sum(len(text.encode()) + 4 for target in model.targets.values() for text in target.classes)
    places = sum(output.loss.place_count(output.shape) for output in outputs)
    row = sum(4 * window.size(output.shape) for output in outputs) + 5 * places  # a class takes at most 5 bytes
    most = (BYTES_MOST - names) // row
    if rows > most:
        remedy = f"at most {most} at a time" if most > 0 else "request parts of them with output_start and output_count"
        raise invalid(path, f"the outputs of {rows} sample{'s' * (rows > 1)} are too many for a message: {remedy}")


def _joined(classes: list[NDArray[np.int32] | None]) -> NDArray[np.int32] | None:
    known = [part for part in classes if part is not None]
    return np.concatenate(known) if known else None
