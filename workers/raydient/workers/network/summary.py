"""The layer table: layers, shapes, parameters, operations and bytes of a network, with nothing allocated."""

from dataclasses import dataclass
from math import prod

import numpy as np

from raydient.steps.layout import Frozen, Learned

from .ends import input_number, is_input
from .graph import Network, Node

FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer in the table.

    Attributes:
        name, kind: `dense_1`, `dense`.
        inputs: names of the layers, or inputs of the network, whose values it reads.
        output_shape: of one sample, without the row axis.
        parameters: number of values in the flat vector, 0 for a layer that shares the parameters of its owner.
        learned: number of these values that training changes by gradients; the others are frozen or moving averages.
        frozen: True if the layer has parameters and all of them are frozen.
        shares: name of the owner of shared parameters, else empty.
        operations: additions and multiplications of the forward pass for one sample, activations not counted;
            backward takes about twice as many.
        bytes: bytes of parameters, gradients, outputs and saved arrays in a program of the given rows. Memory for the
            derivatives, which layers share, comes on top.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output_shape: tuple[int, ...]
    parameters: int
    learned: int
    frozen: bool
    shares: str
    operations: int
    bytes: int


def describe(network: Network, rows: int) -> tuple[LayerRow, ...]:
    """The layer table of `network` for programs of `rows` samples."""
    return tuple(_row(network, place, node, rows) for place, node in enumerate(network.nodes))


def _row(network: Network, place: int, node: Node, rows: int) -> LayerRow:
    layer = node.layer
    own = layer.parameters if node.owner == place else ()
    parameters = sum(prod(p.shape) for p in own)
    outputs = 0 if layer.output_is_view else rows * prod(layer.output_shape)
    saved = sum(prod(shape) * np.dtype(kind or FLOAT32).itemsize for shape, kind in layer.saved(rows).values())
    return LayerRow(
        name=layer.name,
        kind=layer.kind,
        inputs=tuple(_source(network, source) for source in node.sources),
        output_shape=layer.output_shape,
        parameters=parameters,
        learned=sum(prod(p.shape) for p in own if isinstance(p.kind, Learned)),
        frozen=bool(own) and all(isinstance(p.kind, Frozen) for p in own),
        shares="" if node.owner == place else node.parameters_of,
        operations=layer.operations,
        bytes=FLOAT32.itemsize * (2 * parameters + outputs) + saved,
    )


def _source(network: Network, source: int) -> str:
    return tuple(network.input_shapes)[input_number(source)] if is_input(source) else network.layers[source].name
