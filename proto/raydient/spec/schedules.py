"""Schedules of the learning rate. Names, defaults and equations are those of Keras 3 unless the model notes otherwise.

The optimizer's `learning_rate` is the rate that a schedule begins with; for `one_cycle` it is the largest one. A
schedule begins after the warm-up, and its steps and epochs are counted from there.
"""

from itertools import pairwise
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from .base import Model, OneOf
from .functions import Empty
from .monitored import MonitorMode, MonitorName

Steps = Annotated[int, Field(ge=1, le=2**31 - 1)]
Epochs = Annotated[float, Field(gt=0, le=2**31 - 1)]
"""A number of epochs, which may be a fraction; rounded to whole steps, to at least one."""
RateFrom0 = Annotated[float, Field(ge=0, le=1e30)]
RateAbove0 = Annotated[float, Field(gt=0, le=1e30)]


def _one_of(steps: str, info: ValidationInfo, epochs: object, *, needed: bool) -> None:
    """ValueError if a length is there twice, or is `needed` and missing."""
    if steps not in info.data:
        return  # invalid, which is reported
    names = f"{steps} and {info.field_name}"
    if info.data[steps] is not None and epochs is not None:
        raise ValueError(f"goes without {steps}: give one of {names}")
    if needed and info.data[steps] is None and epochs is None:
        raise ValueError(f"one of {names} is needed")


class Step(Model):
    """A rate for each stretch between two boundaries (`PiecewiseConstantDecay`).

    Up to the first boundary it is the optimizer's rate; `values` has the rates after each one. Keras has the first rate
    in `values` too. `boundaries` are steps; as in Keras, step number `boundary` (from 0) still has the earlier rate.
    After `boundary_epochs` epochs the next step has the new rate.
    """

    model_config = ConfigDict(validate_default=True)

    boundaries: Annotated[tuple[Steps, ...], Field(max_length=1000, strict=False)] = ()
    boundary_epochs: Annotated[tuple[Epochs, ...], Field(max_length=1000, strict=False)] = ()
    values: Annotated[tuple[RateAbove0, ...], Field(min_length=1, max_length=1000, strict=False)]

    @field_validator("boundaries", "boundary_epochs")
    @classmethod
    def _ascend(cls, boundaries: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        for before, after in pairwise(boundaries):
            if before >= after:
                raise ValueError(f"{after:g} follows {before:g}: each has to be above the one before")
        if info.field_name == "boundary_epochs" and "boundaries" in info.data:
            if boundaries and info.data["boundaries"]:
                raise ValueError("goes without boundaries: give one of boundaries and boundary_epochs")
            if not (boundaries or info.data["boundaries"]):
                raise ValueError("one of boundaries and boundary_epochs is needed")
        return boundaries

    @field_validator("values")
    @classmethod
    def _one_for_each_boundary(cls, values: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        count = len(info.data.get("boundaries", ()) or info.data.get("boundary_epochs", ()))
        if count and len(values) != count:
            raise ValueError(
                f"has {len(values)} rates for {count} boundaries: give one for each; before the first boundary the "
                "rate is the optimizer's learning_rate"
            )
        return values


class Decay(Model):
    """The settings of a decay by a rate that is reached every `decay_steps` steps or `decay_epochs` epochs.

    With `staircase` the rate changes only there, else at each step.
    """

    decay_rate: RateAbove0
    decay_steps: Steps | None = None
    decay_epochs: Epochs | None = Field(default=None, validate_default=True)
    staircase: bool = False

    @field_validator("decay_epochs")
    @classmethod
    def _one_length(cls, epochs: float | None, info: ValidationInfo) -> float | None:
        _one_of("decay_steps", info, epochs, needed=True)
        return epochs


class Exponential(Decay):
    """The optimizer's rate times `decay_rate` to the power of step / `decay_steps` (`ExponentialDecay`)."""


class InverseTime(Decay):
    """The optimizer's rate divided by 1 + `decay_rate` step / `decay_steps` (`InverseTimeDecay`)."""


class Polynomial(Model):
    """From the optimizer's rate to `end_learning_rate`, where it stays (`PolynomialDecay`).

    The length is by default that of the job after the warm-up; Keras has no default. With `cycle` the length is
    multiplied when it is over, so that the decay goes on.
    """

    decay_steps: Steps | None = None
    decay_epochs: Epochs | None = None
    end_learning_rate: RateFrom0 = 0.0001
    power: Annotated[float, Field(gt=0, le=1000)] = 1.0
    cycle: bool = False

    @field_validator("decay_epochs")
    @classmethod
    def _one_length(cls, epochs: float | None, info: ValidationInfo) -> float | None:
        _one_of("decay_steps", info, epochs, needed=False)
        return epochs


class Restarts(Model):
    """Warm restarts of a cosine (Loshchilov and Hutter 2017; `CosineDecayRestarts`).

    Each cycle is `t_mul` times as long as the one before and begins at `m_mul` times its rate.
    """

    t_mul: Annotated[float, Field(ge=1, le=1000)] = 2.0
    m_mul: Annotated[float, Field(gt=0, le=1)] = 1.0


class Cosine(Model):
    """Half a cosine from the optimizer's rate to `alpha` times that, where it stays (`CosineDecay`).

    The length is by default that of the job after the warm-up; Keras has no default. With `restarts` it is the length
    of the first cycle and has no default.
    """

    decay_steps: Steps | None = None
    decay_epochs: Epochs | None = None
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.0
    restarts: Restarts | None = None

    @field_validator("decay_epochs")
    @classmethod
    def _one_length(cls, epochs: float | None, info: ValidationInfo) -> float | None:
        _one_of("decay_steps", info, epochs, needed=False)
        return epochs

    @field_validator("restarts")
    @classmethod
    def _a_first_cycle(cls, restarts: Restarts | None, info: ValidationInfo) -> Restarts | None:
        lengths = [info.data.get(name, 0) for name in ("decay_steps", "decay_epochs")]
        if restarts is not None and lengths == [None, None]:
            raise ValueError("needs the length of the first cycle: decay_steps or decay_epochs")
        return restarts


class Annealing(OneOf):
    """The form of a change between two rates: half a cosine, or a straight line."""

    cos: Empty | None = None
    linear: Empty | None = None


class OneCycle(Model):
    """One cycle over the whole job after the warm-up (Smith and Topin 2018), as PyTorch's `OneCycleLR` has it.

    The rate rises from the optimizer's rate / `div_factor` to the optimizer's rate within `pct_start` of the steps,
    then falls to the first one / `final_div_factor`; with `three_phase` it falls to the first one in as many steps as
    it rose before. The momentum is not cycled.
    """

    pct_start: Annotated[float, Field(ge=0, le=1)] = 0.3
    anneal_strategy: Annealing = Annealing(cos=Empty())
    div_factor: Annotated[float, Field(ge=1, le=1e9)] = 25.0
    final_div_factor: Annotated[float, Field(ge=1, le=1e9)] = 1e4
    three_phase: bool = False

    @field_validator("three_phase")
    @classmethod
    def _three_phases_fit(cls, three_phase: bool, info: ValidationInfo) -> bool:
        if three_phase and info.data.get("pct_start", 0) > 0.5:
            raise ValueError("needs pct_start of at most 0.5, because the rate falls in as many steps as it rises")
        return three_phase


class Plateau(Model):
    """Multiply the rate by `factor` when a metric of the held-out part has not improved (`ReduceLROnPlateau`).

    It is reduced after `patience` epochs in which `monitor` was not better by more than `min_delta` than the best value
    before, not below `min_lr`. For `cooldown` epochs after that none is counted. Epochs that end during the warm-up
    are not counted.
    """

    monitor: MonitorName = "loss"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Steps = 10
    mode: MonitorMode = MonitorMode(auto=Empty())
    min_delta: Annotated[float, Field(ge=0, le=1e30)] = 0.0001
    cooldown: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    min_lr: RateFrom0 = 0.0


class LearningRateSchedule(OneOf):
    """The learning rate of each step, from the optimizer's `learning_rate` on."""

    constant: Empty | None = None
    step: Step | None = None
    exponential: Exponential | None = None
    polynomial: Polynomial | None = None
    inverse_time: InverseTime | None = None
    cosine: Cosine | None = None
    one_cycle: OneCycle | None = None
    plateau: Plateau | None = None


class WarmUp(Model):
    """A straight line from `initial_learning_rate` to the first rate of the schedule, over `steps` or `epochs`."""

    steps: Steps | None = None
    epochs: Epochs | None = Field(default=None, validate_default=True)
    initial_learning_rate: RateFrom0 = 0.0

    @field_validator("epochs")
    @classmethod
    def _one_length(cls, epochs: float | None, info: ValidationInfo) -> float | None:
        _one_of("steps", info, epochs, needed=True)
        return epochs
