"""The inputs that embedding layers use as indices: the check of their range, and the rows of tables that they use."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Self

import numpy as np
from numpy.typing import NDArray

from raydient.spec.errors import FieldError
from raydient.spec.network import layer_names
from raydient.steps.arrays import Floats
from raydient.steps.sparse import Numbers, distinct

from .ends import input_number, is_input
from .graph import Network, Node
from .preprocessing import SampleError
from .topology import path

Samples = NDArray[np.number]

BLOCK = 1 << 16
"""Numbers that are examined at a time."""


def index_limits(network: Network) -> dict[str, int]:
    """The limit of each input that is used as an index: its values must be whole numbers from 0 to below the limit."""
    limits: dict[str, int] = {}
    for lookup in _lookups(network):
        for name in lookup.inputs:
            limits[name] = min(lookup.limit, limits.get(name, lookup.limit))
    return limits


@dataclass(frozen=True, slots=True)
class TableUse:
    """The use of a table with a row-sparse gradient.

    Attributes:
        offset: index of its first value in the flat vector.
        rows: number of its rows.
        inputs: names of the inputs whose values are numbers of rows.
    """

    offset: int
    rows: int
    inputs: tuple[str, ...]

    def numbers(self, xs: Mapping[str, Floats]) -> Numbers:
        """Return the numbers of the rows that samples `xs`, (n, *input shape) by input, use.

        A number out of range reads the nearest row, as in the layer.
        """
        values = np.concatenate([xs[name].reshape(-1) for name in self.inputs]).astype(np.int64)
        numbers = np.clip(values, 0, self.rows - 1).astype(np.int32)
        numbers.sort()
        return distinct(numbers)


def table_uses(network: Network) -> list[TableUse]:
    """Return the use of each table with a row-sparse gradient, in the order of the flat vector."""
    uses = []
    for table in network.layout.parameters:
        if table.sparse:
            nodes = [node for node in network.nodes if node.parameters_of == table.name.rpartition(".")[0]]
            inputs = dict.fromkeys(name for node in nodes for name in _origins(network, node))
            uses.append(TableUse(table.offset, table.shape[0], tuple(inputs)))
    return uses


@dataclass(frozen=True, slots=True)
class Extent:
    """The range of the numbers of some samples.

    Attributes:
        fraction: the first number that is not whole; the other two are then 0.
        smallest, largest: the range of whole numbers.
    """

    fraction: float | None
    smallest: float = 0.0
    largest: float = 0.0

    @classmethod
    def of(cls, x: Samples) -> Self:
        """Return the extent of at least one number. Takes little memory, and little time where one is not whole."""
        values, smallest, largest = x.reshape(-1), inf, -inf
        for start in range(0, len(values), BLOCK):
            block = values[start : start + BLOCK]
            fractions = block != np.floor(block)
            if fractions.any():
                return cls(float(block[fractions.argmax()]))
            smallest, largest = min(smallest, float(block.min())), max(largest, float(block.max()))
        return cls(None, smallest, largest)


def index_problems(network: Network, extents: Mapping[str, Extent]) -> list[FieldError]:
    """Return the errors of samples that layers cannot look up: a number that is not whole, below 0 or too large.

    Args:
        network: its layers that look samples up decide on their range.
        extents: of the samples of each input, by name.

    Returns:
        Errors with the paths of the layers' fields.
    """
    problems = (_problem(lookup, extents[name]) for lookup in _lookups(network) for name in lookup.inputs)
    return [error for error, _ in filter(None, problems)]


def check_samples(network: Network, x: Mapping[str, Samples]) -> None:
    """Check that samples `x`, (n, *input shape) by input, are valid indices for the embedding layers.

    Raises:
        SampleError: names the input and the invalid sample.
    """
    for lookup in _lookups(network):
        for name in lookup.inputs:
            if x[name].size and (problem := _problem(lookup, Extent.of(x[name]))):
                error, value = problem
                row = int(np.unravel_index(int((x[name] == value).argmax()), x[name].shape)[0])
                raise SampleError(error.message, row, name)


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


def _problem(lookup: _Lookup, extent: Extent) -> tuple[FieldError, float] | None:
    """Return the error of samples of this extent with the invalid number; None if all are valid."""
    wanted = f"{lookup.name} takes whole numbers from 0 to {lookup.limit - 1}"
    if extent.fraction is not None:
        message = f"the data has {extent.fraction:g}, but {wanted}, not standardized ones"
        return FieldError(f"{lookup.path}.inputs", message), extent.fraction
    if extent.smallest < 0:
        return FieldError(f"{lookup.path}.inputs", f"the data has {extent.smallest:.0f}, but {wanted}"), extent.smallest
    if extent.largest >= lookup.limit:
        needed = f"{extent.largest + 1:.0f} vectors are needed, not {lookup.limit}"
        message = f"the largest number in the data is {extent.largest:.0f}: {needed}"
        return FieldError(f"{lookup.limit_path}.input_dim", message), extent.largest
    return None
