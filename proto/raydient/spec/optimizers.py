"""The rules that turn a gradient into an update of the weights, and their settings, as Keras 3 names them."""

from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from .base import Fraction, Model, OneOf
from .functions import Empty

Rate = Annotated[float, Field(gt=0, le=1e30)]  # weights are float32
Strength = Annotated[float, Field(ge=0, le=1e30)]
Epsilon = Annotated[float, Field(ge=1e-30, le=1)]


class Sgd(Model):
    """Stochastic gradient descent, with momentum if it is above 0 (Sutskever et al. 2013 where `nesterov`)."""

    learning_rate: Rate = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False

    @field_validator("nesterov")
    @classmethod
    def _nesterov_needs_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise ValueError("needs momentum above 0")
        return nesterov


class Adagrad(Model):
    """Adagrad (Duchi et al. 2011)."""

    learning_rate: Rate = 0.001
    initial_accumulator_value: Strength = 0.1
    epsilon: Epsilon = 1e-7


class RowwiseAdagrad(Adagrad):
    """Adagrad with one accumulator for each row of a table. A table is an embedding of 65,536 values or more."""


class Adadelta(Model):
    """Adadelta (Zeiler 2012, algorithm 1)."""

    learning_rate: Rate = 0.001
    rho: Fraction = 0.95
    epsilon: Epsilon = 1e-7


class RmsProp(Model):
    """RMSprop (Tieleman and Hinton 2012; Graves 2013 where `centered`)."""

    learning_rate: Rate = 0.001
    rho: Fraction = 0.9
    momentum: Fraction = 0.0
    epsilon: Epsilon = 1e-7
    centered: bool = False


class Adam(Model):
    """Adam (Kingma and Ba 2015, algorithm 1; Reddi et al. 2018 where `amsgrad`)."""

    learning_rate: Rate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Epsilon = 1e-7
    amsgrad: bool = False


class Adamax(Model):
    """Adamax (Kingma and Ba 2015, algorithm 2)."""

    learning_rate: Rate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Epsilon = 1e-7


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2)."""

    weight_decay: Strength = 0.004


class Nadam(Model):
    """Adam with Nesterov's momentum (Dozat 2016, algorithm 2)."""

    learning_rate: Rate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Epsilon = 1e-7


class Lamb(Model):
    """LAMB (You et al. 2020, algorithm 2): Adam with a trust ratio for each parameter."""

    learning_rate: Rate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Epsilon = 1e-7
    weight_decay: Strength = 0.0


class Lars(Model):
    """LARS (You et al. 2017, algorithm 1): momentum with a trust ratio for each parameter."""

    learning_rate: Rate = 0.01
    momentum: Fraction = 0.9
    trust_coefficient: Rate = 0.001
    weight_decay: Strength = 0.0


class Lion(Model):
    """Lion (Chen et al. 2023, algorithm 2)."""

    learning_rate: Rate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.99


class Ftrl(Model):
    """FTRL-Proximal (McMahan et al. 2013, algorithm 1)."""

    learning_rate: Rate = 0.001
    initial_accumulator_value: Strength = 0.1
    l1_regularization_strength: Strength = 0.0
    l2_regularization_strength: Strength = 0.0
    l2_shrinkage_regularization_strength: Strength = 0.0
    beta: Strength = 0.0

    @model_validator(mode="after")
    def _the_denominator_is_above_0(self) -> Self:
        if not (self.initial_accumulator_value or self.beta or self.l2_regularization_strength):
            raise ValueError(
                "initial_accumulator_value 0 needs beta or l2_regularization_strength above 0: "
                "the rule divides by their sum"
            )
        return self


class Sparse(OneOf):
    """The rows of a table that a step updates. A table is an embedding of 65,536 values or more.

    exact: every row, as the rule of the optimizer demands. lazy: the rows in use by the batch; the others keep weights
    and state.
    """

    exact: Empty | None = None
    lazy: Empty | None = None


class Optimizer(OneOf):
    """The rule that turns a gradient into an update."""

    sgd: Sgd | None = None
    adagrad: Adagrad | None = None
    rowwise_adagrad: RowwiseAdagrad | None = None
    adadelta: Adadelta | None = None
    rmsprop: RmsProp | None = None
    adam: Adam | None = None
    adamax: Adamax | None = None
    adamw: AdamW | None = None
    nadam: Nadam | None = None
    lamb: Lamb | None = None
    lars: Lars | None = None
    lion: Lion | None = None
    ftrl: Ftrl | None = None
