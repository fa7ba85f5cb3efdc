"""Weights of classes that are computed from the training part."""

import numpy as np
from numpy.typing import NDArray

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.losses import Loss
from raydient.spec.network import Network as NetworkSpec
from raydient.workers.data import Dataset
from raydient.workers.data.profile import WEIGHED_CLASSES
from raydient.workers.network import Network


def balanced(spec: NetworkSpec, network: Network, data: Dataset) -> NetworkSpec:
    """Return the network with the weights of classes in place of `balanced`.

    Args:
        spec: of the network.
        network: the same, built on the data.
        data: whose training part is counted.

    Raises:
        InvalidSpec: there are more classes than a specification has weights.
    """
    weights = {
        output.name: class_weights(output.loss.label_counts(data.train.ys[output.name], units))
        for output in network.outputs
        if getattr(output.settings, "balanced", False) and (units := output.loss.class_count(output.shape))
    }
    if not weights:
        return spec
    if max(map(len, weights.values())) > WEIGHED_CLASSES:
        raise InvalidSpec(
            [FieldError("network", f"`balanced` computes the weights of at most {WEIGHED_CLASSES} classes")]
        )
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


def _weighed(loss: Loss, weights: tuple[float, ...]) -> Loss:
    value = loss.value.model_copy(update={"class_weight": weights, "balanced": False})
    return Loss(**{loss.kind: value})
