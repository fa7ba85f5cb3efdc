"""Warnings about settings that are valid and almost always mistakes. A job with warnings is accepted."""

from collections.abc import Mapping
from typing import Any

from .errors import FieldError
from .functions import Activation
from .network import Network, Output, layer_names

_LOGITS = "the loss applies {}: leave the activation of the last layer out"
_ABOVE_0 = "its outputs are never below 0, so class 0 is never predicted: leave the activation of the last layer out"
_BOUNDED = "it bounds the outputs, and so the probabilities that the loss computes from them: leave it out"
_DEAD = "it cuts outputs below 0 off, and a unit that is below 0 for every sample gets no gradient: leave it out"
_RATES = "outputs are logarithms of rates, and the loss applies exp itself: leave the activation of the last layer out"

_BEFORE_SOFTMAX = {
    "softmax": _LOGITS.format("softmax itself"),
    "sigmoid": _BOUNDED,
    "tanh": _BOUNDED,
    "relu": _DEAD,
}
_BEFORE_SIGMOID = {
    "sigmoid": _LOGITS.format("the sigmoid itself"),
    "softmax": _ABOVE_0,
    "tanh": _BOUNDED,
    "relu": _ABOVE_0,
    "softplus": _ABOVE_0,
}

_DOUBTFUL: Mapping[str, Mapping[str, str]] = {
    "softmax_cross_entropy": _BEFORE_SOFTMAX,
    "categorical_focal_cross_entropy": _BEFORE_SOFTMAX,
    "kl_divergence": _BEFORE_SOFTMAX,
    "binary_cross_entropy": _BEFORE_SIGMOID,
    "binary_focal_cross_entropy": _BEFORE_SIGMOID,
    "hinge": dict.fromkeys(("sigmoid", "softmax", "relu", "softplus"), _ABOVE_0),
    "poisson": dict.fromkeys(("sigmoid", "softmax", "tanh", "relu", "softplus"), _RATES),
}
"""Explanation for each unsuitable pair of a loss and an activation of the last layer."""

_REARRANGES = frozenset({"flatten", "reshape", "transpose"})


def network_warnings(network: Network) -> list[FieldError]:
    """Warnings about a network, such as an activation before a loss that applies one itself.

    A pure function of the specification. Looks for the activation of an output through `flatten`, `reshape` and
    `transpose`, and in the layer that a `shared` layer repeats.
    """
    return [warning for output in network.named_outputs for warning in _at_output(network, output)]


def _at_output(network: Network, output: Output) -> list[FieldError]:
    names = layer_names(network.layers)
    if output.layer not in names:
        return []  # an error that validation reports
    index = names.index(output.layer)
    while network.layers[index].kind in _REARRANGES:
        taken = network.layers[index].value.inputs
        index = names.index(taken[0]) if taken and taken[0] in names[:index] else index - 1
        if index < 0 or (taken and taken[0] not in names):
            return []  # the data themselves
    layer = network.layers[index]
    if layer.kind == "shared" and layer.value.layer in names:
        index = names.index(layer.value.layer)
        layer = network.layers[index]
    field = "function" if layer.kind == "activation" else "activation"
    choice: Any = getattr(layer.value, field, None)
    if not isinstance(choice, Activation):
        return []
    path, loss = f"network.layers[{index}].{layer.kind}.{field}", output.loss.kind
    warnings = []
    if choice.kind == "softmax" and getattr(layer.value, "units", 0) == 1:
        warnings.append(FieldError(path, "softmax of one unit is 1 for every sample: nothing before it learns"))
    elif why := _DOUBTFUL.get(loss, {}).get(choice.kind):
        warnings.append(FieldError(path, f"{choice.kind} before {loss}: {why}"))
    return warnings
