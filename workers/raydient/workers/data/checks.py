"""Checks that data and network fit each other."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.network import layer_names
from raydient.spec.values import quoted
from raydient.workers.network import Network, index_problems, is_input
from raydient.workers.network import Output as NetworkOutput
from raydient.workers.network.losses import names_hint

from .dataset import Dataset, LabelValues


def check_labels(labels: Mapping[str, LabelValues], network: Network) -> None:
    """Check that the given labels fit the network's outputs.

    Raises:
        InvalidSpec: a class index exceeds the output units, or the numbers of targets and outputs differ.
    """
    errors = []
    for output in network.outputs:
        if output.name in labels and (problem := _label_problem(labels[output.name], output)):
            errors.append(FieldError(_units_path(network, output.place), problem))
    if errors:
        raise InvalidSpec(errors)


def check_weights(dataset: Dataset, network: Network) -> None:
    """Check that each part has a sample with weight above 0. The labels must fit the network.

    Raises:
        InvalidSpec: in a part every sample, or its class, has weight 0.
    """
    if errors := [error for output in network.outputs for error in _zero_weights(dataset, network, output)]:
        raise InvalidSpec(errors)


def _label_problem(labels: LabelValues, output: NetworkOutput) -> str | None:
    (units,) = output.shape
    if output.label_shape == ():
        largest = max(int(part.max()) for part in labels.parts)
        if largest >= units:
            name = f" ({quoted(labels.classes[largest])})" if labels.classes else ""
            text = f"{units} outputs, but the largest class in the data is {largest}{name}: {largest + 1} are needed"
            values = np.concatenate(labels.parts)
            are_gaps = not labels.classes and len(np.unique(values)) <= largest
            return text + (names_hint(values, "softmax_cross_entropy") if are_gaps else "")
    elif labels.parts[0].shape[1:] != output.label_shape:
        width = labels.parts[0].shape[1]
        return f"{units} outputs for {width} label value{'s' * (width > 1)} a row: {width} needed"
    return None


def _zero_weights(dataset: Dataset, network: Network, output: NetworkOutput) -> Iterator[FieldError]:
    """Parts whose loss would be 0 because every sample, or its class, has weight 0."""
    for what, part in (("training", dataset.train), ("held-out", dataset.test)):
        weights = _class_weights(output.settings, part.ys[output.name])
        if part.rows and not (weights if part.weights is None else weights * part.weights).any():
            places = [choice.layer for choice in network.spec.outputs]
            where = f"network.outputs[{places.index(output.name)}]" if places else "network"
            kind = network.spec.named_outputs[places.index(output.name) if places else 0].loss.kind
            message = f"every sample of the {what} part, or its class, has weight 0"
            yield FieldError(f"{where}.loss.{kind}.class_weight", message)


def _class_weights(settings: Any, labels: NDArray[Any]) -> NDArray[np.float64]:
    """The weight of each sample's class, (n,); 1 for losses without classes."""
    weights: NDArray[np.float64] = np.array(getattr(settings, "class_weight", ()), np.float64)
    if not len(weights):
        return np.ones(len(labels))
    if labels.ndim == 2 and labels.shape[1] > 1:
        return np.asarray(labels @ weights, np.float64)
    return weights[labels.reshape(-1).astype(np.int64)]


def _units_path(network: Network, place: int) -> str:
    """Path of the setting for the number of an output's units: that of the last dense layer before it."""
    while network.layers[place].kind != "dense" and not is_input(network.nodes[place].sources[0]):
        place = network.nodes[place].sources[0]
    names = layer_names(network.spec.layers)
    index = names.index(network.layers[place].name)
    return f"network.layers[{index}].{network.spec.layers[index].kind}.units"


def check_indices(dataset: Dataset, network: Network) -> None:
    """Check that the samples are whole numbers within the range of every embedding.

    Raises:
        InvalidSpec: a number is not whole, below 0, or too large.
    """
    problems = [problem for part in (dataset.train, dataset.test) for problem in index_problems(network, part.xs)]
    if problems:
        raise InvalidSpec(list({error.path: error for error in problems}.values()))
