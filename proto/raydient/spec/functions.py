"""Activations and initializers. Names are Keras's, in snake case."""

from typing import Annotated

from pydantic import Field

from .base import Model, OneOf


class Empty(Model):
    """An option without settings."""


class Constant(Model):
    """Every value the same."""

    value: float = 0.0


class Initializer(OneOf):
    """How a parameter begins. Glorot: Glorot and Bengio (2010); He: He et al. (2015)."""

    glorot_uniform: Empty | None = None
    glorot_normal: Empty | None = None
    he_uniform: Empty | None = None
    he_normal: Empty | None = None
    zeros: Empty | None = None
    ones: Empty | None = None
    constant: Constant | None = None


class LeakyRelu(Model):
    """x where x is positive, `negative_slope` times x elsewhere."""

    negative_slope: Annotated[float, Field(ge=0, lt=1)] = 0.3


class Activation(OneOf):
    """A function applied to each value."""

    identity: Empty | None = None
    sigmoid: Empty | None = None
    tanh: Empty | None = None
    relu: Empty | None = None
    leaky_relu: LeakyRelu | None = None
