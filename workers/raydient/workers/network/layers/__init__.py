"""The table of layers. A new kind of layer joins it and inherits every test."""

from .activation import ActivationLayer
from .dense import Dense
from .layer import INFERENCE, Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views, shape_text
from .merging import Add, Concatenate, Dot, Multiply
from .shaping import Flatten, Reshape, Transpose

LAYERS: dict[str, type[Layer]] = {
    layer.kind: layer
    for layer in (Dense, Flatten, Reshape, Transpose, ActivationLayer, Add, Multiply, Concatenate, Dot)
}

__all__ = [
    "INFERENCE",
    "LAYERS",
    "Buffers",
    "Layer",
    "Memory",
    "ParameterRule",
    "Pass",
    "Shape",
    "Views",
    "shape_text",
]
