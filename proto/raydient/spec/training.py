"""The training of a job: its length, its batches, its optimizer and learning rate, the machines that may compute it."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from .averaging import WeightAverage
from .base import Model, OneOf
from .clipping import Clipping
from .consistency import SYNCHRONOUS, Consistency
from .decay import WeightDecay
from .ending import EarlyStopping, Keep, OnNonFinite, Rollback
from .functions import Empty
from .initial_weights import InitialWeights
from .optimizers import Optimizer, Sgd, Sparse
from .schedules import LearningRateSchedule, WarmUp

_WITH_DECAY = ("adamw", "lamb", "lars")
PositiveInt = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Numerics(OneOf):
    """The machines that may compute the job, by the bits that they compute.

    strict: machines whose probe equals that of the coordinator's machine. any: all of them; the job reports if bits are
    mixed. portable: x86-64 machines with AVX2 and FMA3, which all use the same code.
    """

    strict: Empty | None = None
    any: Empty | None = None
    portable: Empty | None = None

    @property
    def is_portable(self) -> bool:
        """True if the processes of the job need the environment and the functions of portable jobs."""
        return self.kind == "portable"


class Training(Model):
    """The length of training, its batches and its optimizer.

    `microbatches` is the number of shares of a batch. A share is the unit of work and of determinism, so their number
    bounds the number of workers in a step. The default is `min(8, max(1, batch_size // 32))`. A step takes the mean
    gradient of `accumulate` batches, each with so many shares.
    """

    epochs: PositiveInt = 1
    batch_size: PositiveInt = 32
    microbatches: Annotated[int, Field(ge=1, le=1024)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    optimizer: Optimizer = Optimizer(sgd=Sgd())
    sparse: Sparse = Sparse(exact=Empty())
    initial_weights: InitialWeights | None = None
    numerics: Numerics = Numerics(strict=Empty())
    schedule: LearningRateSchedule = LearningRateSchedule(constant=Empty())
    warm_up: WarmUp | None = None
    clipping: Clipping | None = None
    early_stopping: EarlyStopping | None = None
    keep: Keep = Keep(last=Empty())
    weight_decay: WeightDecay | None = None
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    max_steps: PositiveInt | None = None
    max_minutes: Annotated[float, Field(gt=0, le=1e6)] | None = None
    on_non_finite: OnNonFinite = OnNonFinite(fail=Empty())
    average: WeightAverage | None = None
    consistency: Consistency = SYNCHRONOUS

    @property
    def has_schedule(self) -> bool:
        """True if the learning rate is not constant."""
        return self.schedule.kind != "constant" or self.warm_up is not None

    @property
    def rollback(self) -> Rollback | None:
        """The answer to numbers that are not finite, if training then returns to the end of the last epoch."""
        return self.on_non_finite.rollback

    @property
    def keeps_best(self) -> bool:
        """True if the model has the weights of the best epoch."""
        return self.keep.kind == "best"

    @field_validator("initial_weights", mode="before")
    @classmethod
    def _no_name_is_none(cls, weights: object) -> object:
        return None if weights == "" else weights

    @field_validator("sparse")
    @classmethod
    def _norms_are_those_of_whole_tables(cls, sparse: Sparse, info: ValidationInfo) -> Sparse:
        optimizer = info.data.get("optimizer")
        if sparse.kind == "lazy" and optimizer is not None and optimizer.kind in ("lamb", "lars"):
            raise ValueError(
                f"lazy cannot be combined with {optimizer.kind}, which has norms of whole tables: use exact"
            )
        return sparse

    @field_validator("weight_decay")
    @classmethod
    def _one_decay(cls, weight_decay: WeightDecay | None, info: ValidationInfo) -> WeightDecay | None:
        optimizer = info.data.get("optimizer")
        if weight_decay is not None and optimizer is not None and optimizer.kind in _WITH_DECAY:
            raise ValueError(f"the optimizer {optimizer.kind} has a weight_decay of its own: set that, or leave it out")
        return weight_decay

    @field_validator("consistency")
    @classmethod
    def _no_gradient_from_before_a_rollback(cls, consistency: Consistency, info: ValidationInfo) -> Consistency:
        on_non_finite = info.data.get("on_non_finite")
        if consistency.is_stale and on_non_finite is not None and on_non_finite.kind == "rollback":
            raise ValueError(
                f"{consistency.kind} cannot be combined with on_non_finite: rollback, after which gradients of "
                "discarded weights arrive: use skip_step or fail"
            )
        return consistency

    @field_validator("consistency")
    @classmethod
    def _local_steps_are_plain(cls, consistency: Consistency, info: ValidationInfo) -> Consistency:
        optimizer = info.data.get("optimizer")
        if consistency.local is None:
            return consistency
        if optimizer is not None and optimizer.kind != "sgd":
            raise ValueError(
                f"local steps are those of plain SGD, so {optimizer.kind} cannot average them: use sgd, whose momentum "
                "acts at the parameter server, or another model of consistency"
            )
        if info.data.get("accumulate", 1) > 1:
            raise ValueError("local cannot be combined with accumulate: a step has local.steps batches already")
        if info.data.get("weight_decay") is not None:
            raise ValueError(
                "local steps do not decay weights: use the l2 of regularizers, which is the same for sgd, instead of "
                "weight_decay"
            )
        return consistency

    @field_validator("microbatches")
    @classmethod
    def _a_microbatch_has_a_sample(cls, microbatches: int | None, info: ValidationInfo) -> int | None:
        batch_size = info.data.get("batch_size")
        if microbatches is not None and batch_size is not None and microbatches > batch_size:
            raise ValueError(f"{microbatches} is more than batch_size, {batch_size}: each has at least one sample")
        return microbatches
