"""Activations and initializers. Names are Keras's, in snake case."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from .base import Model, OneOf


class Empty(Model):
    """An option without settings."""


class Constant(Model):
    """Every value the same."""

    value: float = 0.0


Moderate = Annotated[float, Field(ge=-1e30, le=1e30)]
"""A number that float32 holds, and twice it, too."""


class Orthogonal(Model):
    """A matrix with orthogonal rows or columns, whichever are fewer, each of length `gain`."""

    gain: Annotated[float, Field(gt=0, le=1e30)] = 1.0


class RandomUniform(Model):
    """Uniform from `minval` to `maxval`."""

    minval: Moderate = -0.05
    maxval: Annotated[Moderate, Field(validate_default=True)] = 0.05

    @field_validator("maxval")
    @classmethod
    def _above_minval(cls, maxval: float, info: ValidationInfo) -> float:
        if maxval <= info.data.get("minval", -float("inf")):
            raise ValueError(f"{maxval:g} is not above minval, {info.data['minval']:g}")
        return maxval


class RandomNormal(Model):
    """Normal, not truncated."""

    mean: Moderate = 0.0
    stddev: Annotated[float, Field(ge=0, le=1e30)] = 0.05


class TruncatedNormal(Model):
    """Normal, without values more than two standard deviations from the mean."""

    mean: Moderate = 0.0
    stddev: Annotated[float, Field(ge=0, le=1e30)] = 0.05


class Fan(OneOf):
    """The number that divides a variance: inputs of a unit, outputs that it has an effect on, or their mean."""

    fan_in: Empty | None = None
    fan_out: Empty | None = None
    fan_avg: Empty | None = None


class Distribution(OneOf):
    """A distribution of mean 0 with a given variance; the truncated one has no values beyond two deviations."""

    truncated_normal: Empty | None = None
    untruncated_normal: Empty | None = None
    uniform: Empty | None = None


class VarianceScaling(Model):
    """Mean 0 and variance `scale` divided by a fan."""

    scale: Annotated[float, Field(gt=0, le=1e30)] = 1.0
    mode: Fan = Fan(fan_in=Empty())
    distribution: Distribution = Distribution(truncated_normal=Empty())


class Initializer(OneOf):
    """The initial values of a parameter.

    Glorot: Glorot and Bengio (2010); He: He et al. (2015); LeCun: LeCun et al. (1998); orthogonal: Saxe et al. (2014).
    """

    glorot_uniform: Empty | None = None
    glorot_normal: Empty | None = None
    he_uniform: Empty | None = None
    he_normal: Empty | None = None
    zeros: Empty | None = None
    ones: Empty | None = None
    constant: Constant | None = None
    lecun_uniform: Empty | None = None
    lecun_normal: Empty | None = None
    orthogonal: Orthogonal | None = None
    random_uniform: RandomUniform | None = None
    random_normal: RandomNormal | None = None
    truncated_normal: TruncatedNormal | None = None
    variance_scaling: VarianceScaling | None = None


class Regularizer(Model):
    """A penalty on large weights or outputs w, added to the loss that training minimizes: l1 · Σ |w| + l2 · Σ w²."""

    l1: Annotated[float, Field(ge=0, le=1e30)] = 0.0
    l2: Annotated[float, Field(ge=0, le=1e30)] = 0.0


class LeakyRelu(Model):
    """x where x is positive, `negative_slope` times x elsewhere."""

    negative_slope: Annotated[float, Field(ge=0, lt=1)] = 0.3


class Elu(Model):
    """x where x is positive, alpha (exp(x) - 1) elsewhere."""

    alpha: Annotated[float, Field(gt=0, le=1000)] = 1.0


class Activation(OneOf):
    """A function applied to each value; softmax to each vector along the last axis."""

    identity: Empty | None = None
    sigmoid: Empty | None = None
    tanh: Empty | None = None
    relu: Empty | None = None
    leaky_relu: LeakyRelu | None = None
    elu: Elu | None = None
    selu: Empty | None = None
    gelu: Empty | None = None
    silu: Empty | None = None
    softplus: Empty | None = None
    softmax: Empty | None = None
    hard_step: Empty | None = None
    exact_gelu: Empty | None = None
