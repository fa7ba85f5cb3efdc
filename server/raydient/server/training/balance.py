"""Weights of classes that are computed from the training part."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from raydient.spec.errors import FieldError
from raydient.spec.losses import Loss
from raydient.spec.network import Network as NetworkSpec
from raydient.workers.data import Dataset
from raydient.workers.data.profile import WEIGHED_CLASSES
from raydient.workers.network import Network
from raydient.workers.network import Output as NetworkOutput


def balance_problems(network: Network) -> Iterator[FieldError]:
    """Yield an error if a loss is to compute more weights of classes than a specification has."""
    if any(_is_balanced(output) and _classes(output) > WEIGHED_CLASSES for output in network.outputs):
        yield FieldError("network", f"`balanced` computes the weights of at most {WEIGHED_CLASSES} classes")


def balanced(spec: NetworkSpec, network: Network, data: Dataset) -> NetworkSpec:
    """Return the network with the weights of classes in place of `balanced`.

    Args:
        spec: of the network.
        network: the same, built on the data.
        data: whose training part is counted.
    """
    weights = {
        output.name: class_weights(output.loss.label_counts(data.train.ys[output.name], _classes(output)))
        for output in network.outputs
        if _is_balanced(output)
    }
    if not weights:
        return spec
    if spec.loss is not None:
        (only,) = weights.values()
        return spec.model_copy(update={"loss": _weighed(spec.loss, only)})
    outputs = (
        one.model_copy(update={"loss": _weighed(one.loss, weights[one.layer])}) if one.layer in weights else one
        for one in spec.outputs
    )
    return spec.model_copy(update={"outputs": tuple(outputs)})


def class_weights(counts: NDArray[np.float64]) -> tuple[float, ...]:
    """Return n / (k · n_c) for each class c with n_c of n labels in k classes; 1 for a class without labels.

    They are scikit-learn's `class_weight="balanced"`, after King and Zeng (2001).
    """
    occur = counts > 0
    weights = np.where(occur, counts.sum() / (np.count_nonzero(occur) * np.where(occur, counts, 1.0)), 1.0)
    return tuple(weights.tolist())


def _is_balanced(output: NetworkOutput) -> bool:
    return bool(getattr(output.settings, "balanced", False))


def _classes(output: NetworkOutput) -> int:
    return output.loss.class_count(output.shape)


def _weighed(loss: Loss, weights: tuple[float, ...]) -> Loss:
    value = loss.value.model_copy(update={"class_weight": weights, "balanced": False})
    return Loss(**{loss.kind: value})
