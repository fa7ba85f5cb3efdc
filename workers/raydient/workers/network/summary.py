"""The layer table: what a network consists of, before anything is allocated."""

from dataclasses import dataclass
from math import prod

from .graph import Network

FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer in the table.

    Attributes:
        name, kind: `dense_1`, `dense`.
        output_shape: of one sample, without the row axis.
        parameters: number of values that are learned.
        operations: additions and multiplications of the forward pass for one sample, activations not counted;
            backward takes about twice as many.
        bytes: of parameters, gradients and outputs, in a program of the given rows.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    operations: int
    bytes: int


def describe(network: Network, rows: int) -> tuple[LayerRow, ...]:
    """The layer table of `network` for programs of `rows` samples."""
    table = []
    for layer in network.layers:
        parameters = sum(prod(p.shape) for p in layer.parameters if p.momentum is None)
        values = sum(prod(p.shape) for p in layer.parameters)
        outputs = 0 if layer.output_is_view else rows * prod(layer.output_shape)
        size = FLOAT32_BYTES * (2 * values + outputs)
        table.append(LayerRow(layer.name, layer.kind, layer.output_shape, parameters, layer.operations, size))
    return tuple(table)
