"""A training job: its data, its network, its training and its resources."""

import re
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .base import Line, Model, OneOf
from .dataset import Dataset
from .exchange import Exchange
from .functions import Empty
from .initial_weights import InitialWeights
from .network import Network
from .sources import by_fields
from .training import Training


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
    exchange: Exchange = Exchange()

    def with_initial_weights(self, name: str) -> Self:
        """Return the job with another `training.initial_weights.from`."""
        choice = self.training.initial_weights or InitialWeights.model_validate({"from": name})
        choice = choice.model_copy(update={"from_": name})
        return self.model_copy(update={"training": self.training.model_copy(update={"initial_weights": choice})})

    def with_uris(self, data: Sequence[str], validation: Sequence[str]) -> Self:
        """Return the job with other `Dataset.training_uris` and `validation_uris`."""
        update = by_fields(data)
        if self.dataset.validation and validation:
            update["validation"] = self.dataset.validation.model_copy(update=by_fields(validation))
        return self.model_copy(update={"dataset": self.dataset.model_copy(update=update)})
