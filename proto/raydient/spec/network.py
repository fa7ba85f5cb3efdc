"""The network of a job: a graph of layers, and the loss at its end."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator

from .base import Model, OneOf
from .layers import INPUT, ActivationLayer, Concatenate, Dense, Flatten, Merge, Reshape, Shared, Transpose
from .losses import Loss
from .normalization import LayerNormalization
from .regularization import Dropout


class Layer(OneOf):
    """One layer. Without a name it is called by its kind and its place among its kind: `dense_1`, `dense_2`."""

    dense: Dense | None = None
    flatten: Flatten | None = None
    reshape: Reshape | None = None
    transpose: Transpose | None = None
    activation: ActivationLayer | None = None
    add: Merge | None = None
    multiply: Merge | None = None
    concatenate: Concatenate | None = None
    dot: Merge | None = None
    shared: Shared | None = None
    dropout: Dropout | None = None
    layer_normalization: LayerNormalization | None = None


class Network(Model):
    """Layers, and the loss at their end. Without `inputs` each takes what the one before it gives."""

    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=1000, strict=False)]
    loss: Loss

    @field_validator("layers")
    @classmethod
    def _names_are_distinct(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        first: dict[str, int] = {}
        for index, name in enumerate(layer_names(layers)):
            if first.setdefault(name, index) != index:
                raise ValueError(f'layers {first[name]} and {index} are both called "{name}": give one another name')
            if name == INPUT:
                raise ValueError(f'layer {index} is called "{INPUT}", as the samples are: give it another name')
        return layers


def layer_names(layers: Sequence[Layer]) -> tuple[str, ...]:
    """The name of each layer: its own, or its kind and its place among its kind, from 1."""
    seen: Counter[str] = Counter()
    names = []
    for layer in layers:
        seen[layer.kind] += 1
        names.append(layer.value.name or f"{layer.kind}_{seen[layer.kind]}")
    return tuple(names)
