"""Labels of a data file for the losses, standardized by figures of the training part where the job asks for it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError
from raydient.spec.network import Output
from raydient.spec.values import quoted
from raydient.workers.network import FitError, Scaling, Target
from raydient.workers.network.losses import Encoded, Labels, loss_class, measured

from .raw import label_path


def encode(spec: DatasetSpec, output: Output, labels: Labels, texts: list[str] | None = None) -> Encoded:
    """Encode labels for the loss of an output, see `Loss.encode`.

    Labels that will be standardized are float64 (n, k), so that they are rounded once, after it. Raises LabelError.
    """
    if spec.standardizes(output.label):
        return measured(labels).astype(np.float64), ()
    return loss_class(output.loss).encode(labels, texts, output.loss.value)


def fit_labels(
    spec: DatasetSpec,
    outputs: Sequence[Output],
    encoded: Mapping[str, Encoded],
    train: NDArray[np.int64],
    start: Mapping[str, Target],
) -> tuple[dict[str, Scaling], list[FieldError]]:
    """Return the standardization of each output's label that has one, and the errors of those that cannot be fitted.

    Args:
        spec: asks for them.
        outputs: the network's outputs.
        encoded: all labels by output, as `encode` returns them.
        train: rows of the training part.
        start: targets of the initial weights, by output; the figures of one with the same label are kept.
    """
    scalings, errors = {}, []
    for output in outputs:
        if output.layer not in encoded or not spec.standardizes(output.label) or not len(train):
            continue
        labels, column = encoded[output.layer][0], spec.named_labels[output.label]
        before = start.get(output.layer, Target())
        if before.scaling and (before.label, before.scaling.mean.shape) == (column, labels.shape[1:]):
            scalings[output.layer] = before.scaling
            continue
        try:
            scalings[output.layer] = Scaling.fit(labels[train])
        except FitError as error:
            errors.append(FieldError(label_path(spec, output.label), f"{quoted(column)}: {error}"))
    return scalings, errors


def scale_labels(encoded: Mapping[str, Encoded], scalings: Mapping[str, Scaling]) -> dict[str, Encoded]:
    """Return labels by output, float32 where there is a standardization: beyond its range they are infinite."""
    with np.errstate(over="ignore"):
        scaled = {name: scalings[name].apply(encoded[name][0]).astype(np.float32) for name in scalings & encoded.keys()}
    return {name: (scaled.get(name, labels), classes) for name, (labels, classes) in encoded.items()}
