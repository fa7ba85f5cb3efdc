"""A training job: its data, its network, its training and its resources."""

import re
from typing import Annotated, Self

from pydantic import Field, GetJsonSchemaHandler, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .base import Line, Model, OneOf
from .dataset import Dataset, Fraction
from .functions import Empty
from .network import Network

PositiveInt = Annotated[int, Field(ge=1, le=2**31 - 1)]
Rate = Annotated[float, Field(gt=0, le=1e30)]  # weights are float32


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


class Adam(Model):
    """Adam (Kingma and Ba 2015, algorithm 1)."""

    learning_rate: Rate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Annotated[float, Field(ge=1e-30, le=1)] = 1e-7


class Optimizer(OneOf):
    """The rule that turns a gradient into an update."""

    sgd: Sgd | None = None
    adam: Adam | None = None


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
    bounds the number of workers in a step. The default is `min(8, max(1, batch_size // 32))`.
    """

    epochs: PositiveInt = 1
    batch_size: PositiveInt = 32
    microbatches: Annotated[int, Field(ge=1, le=1024)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    optimizer: Optimizer = Optimizer(sgd=Sgd())
    initial_weights: Annotated[str, Field(max_length=4096)] = ""
    numerics: Numerics = Numerics(strict=Empty())

    @field_validator("microbatches")
    @classmethod
    def _a_microbatch_has_a_sample(cls, microbatches: int | None, info: ValidationInfo) -> int | None:
        batch_size = info.data.get("batch_size")
        if microbatches is not None and batch_size is not None and microbatches > batch_size:
            raise ValueError(f"{microbatches} is more than batch_size, {batch_size}: each has at least one sample")
        return microbatches


class Checkpoints(Model):
    """Checkpoints: the minimum seconds between two, taken at the end of a step, and how many of the newest are kept."""

    interval_seconds: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    keep: Annotated[int, Field(ge=1, le=1000)] = 2


class Monitoring(Model):
    """Measurements during training. They do not influence the resulting weights.

    Gradient health by layer is measured at the first step, at every step whose number is a multiple of
    `gradient_health_every`, and at the last; 0 turns it off.
    """

    gradient_health_every: Annotated[int, Field(ge=0, le=2**31 - 1)] = 50


class Strategy(OneOf):
    """The layout of a job's workers: on as few of a cluster's nodes as hold them, or on as many as there are."""

    pack: Empty | None = None
    spread: Empty | None = None


_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,251}[A-Za-z0-9])?")


class Placement(Model):
    """The nodes of a Ray cluster that a job uses; on a cluster of one node it has no effect.

    `parameter_server`: labels that the node of the parameter servers must have, each with its value.
    """

    strategy: Strategy = Strategy(pack=Empty())
    parameter_server: Annotated[dict[str, str], Field(max_length=16)] = {}  # noqa: RUF012  (pydantic copies it)

    @field_validator("parameter_server")
    @classmethod
    def _labels_are_plain(cls, labels: dict[str, str]) -> dict[str, str]:
        for part in (part for label in labels.items() for part in label):
            if not _LABEL.fullmatch(part):
                raise ValueError(f'"{part}" is no label of a node: letters, digits and . _ / - between them')
        return labels


MAXIMUM_WORKERS = 1024
MAXIMUM_SERVERS = 64
Workers = Annotated[int, Field(ge=1, le=MAXIMUM_WORKERS)]


class WorkerRange(Model):
    """The number of worker processes: at least `min`, up to `max` if the cluster has room. A number alone is both."""

    min: Workers
    max: Workers

    @model_validator(mode="before")
    @classmethod
    def _a_number(cls, data: object) -> object:
        if isinstance(data, dict | WorkerRange):
            return data
        if not isinstance(data, int) or isinstance(data, bool):
            raise ValueError("a whole number is needed, or a mapping of min and max")
        if not 1 <= data <= MAXIMUM_WORKERS:
            raise ValueError(f"{data} is out of range: 1 to {MAXIMUM_WORKERS}")
        return {"min": data, "max": data}

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min, {self.min}, is more than max, {self.max}")
        return self

    @classmethod
    def of(cls, workers: int) -> Self:
        """A range that holds one number."""
        return cls(min=workers, max=workers)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        title, description = schema.pop("title"), schema.pop("description")
        number = {"type": "integer", "minimum": 1, "maximum": MAXIMUM_WORKERS}
        mapping = dict(schema)
        schema.clear()
        schema.update(title=title, description=description, anyOf=[number, mapping])
        return schema


class Resources(Model):
    """The resources that the job runs on. They do not influence the resulting weights."""

    workers: WorkerRange = WorkerRange.of(2)
    placement: Placement = Placement()
    parameter_servers: Annotated[int, Field(ge=1, le=MAXIMUM_SERVERS)] | None = None


class JobSpec(Model):
    """A training job, as a job file describes it."""

    display_name: Annotated[Line, Field(max_length=128)] = ""
    labels: Annotated[dict[Line, Line], Field(max_length=64)] = {}  # noqa: RUF012  (pydantic copies it)
    dataset: Dataset
    network: Network
    training: Training = Training()
    checkpoints: Checkpoints = Checkpoints()
    resources: Resources = Resources()
    monitoring: Monitoring = Monitoring()
