"""The inputs that embedding layers use as indices: their range, and the check of the data against it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raydient.spec.errors import FieldError
from raydient.spec.network import layer_names

from .ends import by_name, input_number, is_input
from .graph import Network, Node
from .preprocessing import SampleError
from .topology import path

Samples = NDArray[np.number]


def index_limits(network: Network) -> dict[str, int]:
    """The limit of each input that is used as an index: its values must be whole numbers from 0 to below the limit."""
    limits: dict[str, int] = {}
    for lookup in _lookups(network):
        for name in lookup.inputs:
            limits[name] = min(lookup.limit, limits.get(name, lookup.limit))
    return limits


def index_problems(network: Network, x: Samples | Mapping[str, Samples]) -> list[FieldError]:
    """Errors of samples that are no valid indices: not whole, below 0 or too large; by the path of the layer's field.

    Args:
        network: the network.
        x: samples, (n, *input shape); by name if there are several inputs.
    """
    samples = by_name(x, network.input_shapes)
    checked = (_problem(lookup, samples[name]) for lookup in _lookups(network) for name in lookup.inputs)
    return [problem for problem, _ in filter(None, checked)]


def check_samples(network: Network, x: Mapping[str, Samples]) -> None:
    """Check that samples `x`, (n, *input shape) by input, are valid indices for the embedding layers.

    Raises:
        SampleError: names the input and the invalid sample.
    """
    for lookup in _lookups(network):
        for name in lookup.inputs:
            if invalid := _problem(lookup, x[name]):
                problem, place = invalid
                raise SampleError(problem.message, int(np.unravel_index(place, x[name].shape)[0]), name)


@dataclass(frozen=True, slots=True)
class _Lookup:
    """A layer that uses values of `inputs` as indices from 0 to below `limit`.

    Attributes:
        path: path of the layer in the specification.
        limit_path: path of the layer that sets the limit: for a shared layer, that of its owner.
    """

    name: str
    path: str
    limit_path: str
    limit: int
    inputs: tuple[str, ...]


def _lookups(network: Network) -> Iterator[_Lookup]:
    names = layer_names(network.spec.layers)
    for node in network.nodes:
        if node.layer.index_limit is not None:
            own, owner = (
                path(place, network.spec.layers[place])
                for place in map(names.index, (node.layer.name, node.parameters_of))
            )
            inputs = tuple(dict.fromkeys(_origins(network, node)))
            yield _Lookup(node.layer.name, own, owner, node.layer.index_limit, inputs)


def _origins(network: Network, node: Node) -> Iterator[str]:
    """Yield the inputs whose values a layer takes, possibly through layers that only rearrange them."""
    for source in node.sources:
        if is_input(source):
            yield tuple(network.input_shapes)[input_number(source)]
        else:
            yield from _origins(network, network.nodes[source])


def _problem(lookup: _Lookup, x: Samples) -> tuple[FieldError, int] | None:
    """The error of the samples, and the place of the first invalid value in row-major order; None if all are valid."""
    if not x.size:
        return None
    wanted = f"{lookup.name} takes whole numbers from 0 to {lookup.limit - 1}"
    values = x.ravel()
    fractions = values != np.floor(values)
    if fractions.any():
        place = int(fractions.argmax())
        message = f"the data has {values[place]:g}, {wanted}, not standardized ones"
        return FieldError(f"{lookup.path}.inputs", message), place
    if (least := values.min()) < 0:
        return FieldError(f"{lookup.path}.inputs", f"the data has {least:.0f}, {wanted}"), int(values.argmin())
    if (largest := values.max()) >= lookup.limit:
        needed = f"{largest + 1:.0f} vectors are needed, not {lookup.limit}"
        message = f"the largest number in the data is {largest:.0f}: {needed}"
        return FieldError(f"{lookup.limit_path}.input_dim", message), int(values.argmax())
    return None
