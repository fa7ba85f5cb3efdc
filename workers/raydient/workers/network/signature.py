"""The inputs and outputs of a model as metadata of its file, checked field by field when they are read."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from raydient.spec.layers import INPUT
from raydient.spec.network import Network
from raydient.steps.arrays import AnyArray

from .graph import Output
from .hashing import Hashing
from .layers import Shape
from .preprocessing import TRANSFORMS, Kind, Preprocessing, Target
from .standardization import Scaling
from .tokens import Tokens
from .transform import FigureError, Transform

FORMAT = "raydient-model/3"
FORMATS = ("raydient-model/1", "raydient-model/2", FORMAT)
"""Formats that are read. Version 1 had one input and one output without names, version 2 only `scaling`."""
CHECKSUM = "checksum"
IMAGE_AXES = 3
CHECKED = ("format", "network", "inputs", "targets", "digest", "mixed_bits", "amendments", "beside", "training")
"""The metadata that the checksum covers; other programs may add more."""
_TYPES: Mapping[type[Any], tuple[set[type], str]] = {
    np.int64: ({int}, "whole numbers of 64 bits"),
    np.float64: ({int, float}, "numbers"),
    np.str_: ({str}, "texts"),
}
"""The types of values in a file from which an array of each type is made, and their name in messages."""
Data = TypeVar("Data")


class MetadataError(ValueError):
    """Damaged metadata; the message names the field."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a model, by name.

    Attributes:
        inputs, targets: of inputs and outputs, by name.
        beside: columns of the training data that are no inputs; None if the job chose among them, so any may occur.
    """

    inputs: Mapping[str, Preprocessing]
    targets: Mapping[str, Target]
    beside: tuple[str, ...] | None = ()

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata from which `read_signature` restores this."""
        return {
            "inputs": json.dumps({name: _input_data(input_) for name, input_ in self.inputs.items()}),
            "targets": json.dumps({name: _target_data(target) for name, target in self.targets.items()}),
            **({} if self.beside == () else {"beside": json.dumps(self.beside)}),
        }


def checksum(metadata: Mapping[str, str]) -> str:
    """SHA-256 of the metadata that describe a model, so that a damaged figure is no other figure."""
    known = [[name, metadata[name]] for name in CHECKED if name in metadata]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def read_signature(metadata: Mapping[str, str]) -> Signature:
    """Read the inputs and outputs from the metadata of a file of any version.

    Raises:
        MetadataError: they are damaged. Files of earlier versions have no checksum, so changed figures pass there.
        KeyError, InvalidSpec, ValidationError: the first version, without or with a damaged network.
    """
    if metadata["format"] == FORMATS[0]:
        return _of_first_version(metadata)
    read = _parsed("inputs", metadata, _Inputs)
    inputs = {name: _input(f"inputs.{name}", data) for name, data in read.items()}
    targets = {name: _target(name, *target) for name, target in _parsed("targets", metadata, _Targets).items()}
    beside = _parsed("beside", metadata, _Beside) if "beside" in metadata else ()
    if CHECKSUM in metadata and metadata[CHECKSUM] != checksum(metadata):
        raise MetadataError(f"they have the checksum {checksum(metadata)}, not {metadata[CHECKSUM][:64]}")
    return Signature(inputs, targets, beside)


_Buckets = Annotated[int, Field(ge=2, le=2**24, strict=True)]
_Salt = Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)]


class _Tokens(BaseModel):
    """The tokens of a text in a file."""

    model_config = ConfigDict(strict=True, frozen=True)

    kind: Literal["character", "word", "byte_pair"]
    length: Annotated[int, Field(ge=1, le=2**16)]
    vocabulary: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    lowercase: bool


class _Input(BaseModel):
    """An input in a file. Keys of later versions are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)

    shape: tuple[Annotated[int, Field(ge=1, le=2**31 - 1)], ...]
    columns: tuple[str, ...]
    is_table: bool
    transforms: tuple[dict[str, Any], ...] | None = None
    scaling: dict[str, Any] | None = None
    vocabulary: tuple[str, ...]
    kind: Kind | None = None
    has_buckets: bool = False
    hashing: Annotated[tuple[_Buckets, _Salt], Field(strict=False)] | None = None
    one_hot: bool = False
    is_image: bool = False
    tokens: _Tokens | None = None


class _LayerHealth(BaseModel):
    layer: str
    gradient_norm: float | None = None
    update_ratio: float | None = None
    non_finite_values: int | None = None
    dead_units_ratio: float | None = None


class _Health(BaseModel):
    step: int
    layers: list[_LayerHealth]


class _Record(BaseModel):
    """The entries of `Model.training` that are known; each may be absent, and there may be others."""

    version: str = ""
    specification: dict[str, Any] = {}
    numerics: dict[str, str] = {}
    data: dict[str, str] = {}
    epoch: int = 0
    metrics: dict[str, dict[str, float]] = {}
    gradient_health: _Health | None = None


_Inputs = TypeAdapter(dict[str, _Input])
_Targets = TypeAdapter(
    dict[str, tuple[str, tuple[str, ...]] | tuple[str, tuple[str, ...], dict[Literal["mean", "scale"], list[float]]]]
)
"""By output its label, its classes and, if the label is standardized, the figures of that."""
_Beside = TypeAdapter(tuple[str, ...] | None)
_Training = TypeAdapter(_Record)


def read_training(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Read `Model.training`; empty in a file of an earlier version. Raises MetadataError."""
    if "training" not in metadata:
        return {}
    _parsed("training", metadata, _Training)
    training: dict[str, Any] = json.loads(metadata["training"])  # entries in their order
    return training


def _parsed(name: str, metadata: Mapping[str, str], type_: TypeAdapter[Data]) -> Data:
    if name not in metadata:
        raise MetadataError(f"{name} is missing")
    try:
        return type_.validate_json(metadata[name], strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise MetadataError(f"{'.'.join(map(str, (name, *first['loc'])))}: {first['msg']}") from None


def _input_data(preprocessing: Preprocessing) -> dict[str, Any]:
    return {
        "shape": preprocessing.shape,
        "columns": preprocessing.columns,
        "is_table": preprocessing.is_table,
        "transforms": [
            {"kind": step.kind, **{name: getattr(step, name).tolist() for name in step.types}}
            for step in preprocessing.transforms
        ],
        "vocabulary": preprocessing.vocabulary,
        "kind": preprocessing.kind.value,
        **({"has_buckets": True} if preprocessing.has_buckets else {}),
        **({"hashing": astuple(preprocessing.hashing)} if preprocessing.hashing else {}),
        **({"one_hot": True} if preprocessing.one_hot else {}),
        **({"is_image": True} if preprocessing.is_image else {}),
        **({"tokens": asdict(preprocessing.tokens)} if preprocessing.tokens else {}),
    }


def _input(path: str, data: _Input) -> Preprocessing:
    if data.is_table and data.shape != (len(data.columns),):
        raise MetadataError(f"{path}.columns: {len(data.columns)} columns make no sample of shape {data.shape}")
    if data.is_image and (data.is_table or len(data.shape) != IMAGE_AXES or data.shape[-1] not in (1, 3)):
        raise MetadataError(f"{path}.shape: {data.shape} is no shape of an image")
    for name in ("columns", "vocabulary"):
        if len(set(texts := getattr(data, name))) < len(texts):
            raise MetadataError(f"{path}.{name}: one name is there twice")
    if data.hashing and data.vocabulary:
        raise MetadataError(f"{path}.hashing: there is a vocabulary too")
    if data.one_hot and not (data.hashing or data.vocabulary or data.tokens):
        raise MetadataError(f"{path}.one_hot: the values are no categories")
    if data.tokens:
        _check_tokens(path, data.tokens, data)
    # earlier versions did not store the type; their categories are texts
    kind = data.kind or (Kind.TEXT if data.vocabulary else Kind.NUMBER)
    steps = data.transforms
    if steps is None:
        if "scaling" not in data.model_fields_set:
            raise MetadataError(f"{path}.transforms is missing")
        # the only step of earlier versions
        steps = () if data.scaling is None else ({"kind": Scaling.kind, **data.scaling},)
    transforms = _transforms(f"{path}.transforms", steps, data.shape)
    hashing = Hashing(*data.hashing) if data.hashing else None
    return Preprocessing(
        data.shape,
        data.columns,
        data.is_table,
        transforms,
        data.vocabulary,
        kind,
        data.has_buckets,
        hashing,
        data.one_hot,
        data.is_image,
        Tokens(**dict(data.tokens)) if data.tokens else None,
    )


def _check_tokens(path: str, tokens: _Tokens, data: _Input) -> None:
    if data.shape != (1,) or data.vocabulary or data.hashing:
        raise MetadataError(f"{path}.tokens: the values are no texts, one a sample")
    known = set(tokens.vocabulary)
    if len(known) < len(tokens.vocabulary):
        raise MetadataError(f"{path}.tokens.vocabulary: one token is there twice")
    if not all({*pair, "".join(pair)} <= known for pair in tokens.merges):
        raise MetadataError(f"{path}.tokens.merges: a part of one is no token")
    if len(set(tokens.merges)) < len(tokens.merges):
        raise MetadataError(f"{path}.tokens.merges: one is there twice")


def _target_data(target: Target) -> list[Any]:
    scaling = target.scaling
    figures = [{"mean": scaling.mean.tolist(), "scale": scaling.scale.tolist()}] if scaling else []
    return [target.label, target.classes, *figures]


def _target(output: str, label: str, classes: tuple[str, ...], figures: Mapping[str, Any] | None = None) -> Target:
    if figures is None:
        return Target(label, classes)
    where = f"targets.{output}"
    arrays = {name: _array(f"{where}.{name}", figures.get(name), np.float64) for name in ("mean", "scale")}
    scaling = Scaling(**arrays)
    _checked(where, scaling, scaling.mean.shape)
    return Target(label, classes, scaling)


def check_scaling(output: Output, target: Target) -> None:
    """Check that a standardization fits the label of an output. Raises MetadataError."""
    if target.scaling:
        where = f"targets.{output.name}"
        if target.classes or output.loss.class_count(output.shape):
            raise MetadataError(f"{where}: classes have no scale")
        _checked(where, target.scaling, output.label_shape)


def _checked(path: str, step: Transform, shape: Shape) -> None:
    try:
        step.check(shape)
    except FigureError as error:
        raise MetadataError(f"{path}.{error.name}: {error}") from None


def _transforms(path: str, steps: Iterable[dict[str, Any]], shape: Shape) -> tuple[Transform, ...]:
    """Return the steps for samples of a shape."""
    made: list[Transform] = []
    for number, step in enumerate(steps):
        where = f"{path}[{number}]"
        kind = TRANSFORMS.get(step["kind"]) if isinstance(step.get("kind"), str) else None
        if kind is None:
            raise MetadataError(f"{where}.kind: {step.get('kind')!r:.100} is none of {', '.join(TRANSFORMS)}")
        if any(isinstance(one, kind) for one in made):
            raise MetadataError(f"{where}.kind: there is more than one {kind.kind}")
        # earlier versions did not store the settings, which have defaults
        names = [name for name in kind.types if name in step or name in kind.needed()]
        transform = kind(**{name: _array(f"{where}.{name}", step.get(name), kind.types[name]) for name in names})
        _checked(where, transform, shape)
        shape = transform.shape(shape)
        made.append(transform)
    return tuple(made)


def _array(path: str, data: Any, dtype: type[Any]) -> AnyArray:
    """Return the array that lists in a file stand for."""
    if data is None:
        raise MetadataError(f"{path} is missing")
    types, what = _TYPES[dtype]
    problem = MetadataError(f"{path}: {data!r:.100} is no list of {what}")
    try:
        objects = np.array(data, object)
        if not isinstance(data, list) or not set(map(type, objects.ravel().tolist())) <= types:
            raise problem
        made: AnyArray = objects.astype(dtype)
    except (ValueError, OverflowError):  # lists that differ in length, and numbers that are too large
        raise problem from None
    if made.dtype.kind == "f" and not np.isfinite(made).all():
        raise MetadataError(f"{path}: a number is not finite")
    return made


def _of_first_version(metadata: Mapping[str, str]) -> Signature:
    columns = _parsed("features", metadata, TypeAdapter(tuple[str, ...]))
    data = _Input(
        shape=_parsed("input_shape", metadata, TypeAdapter(tuple[int, ...])),
        columns=columns,
        is_table=bool(columns),
        scaling=_parsed("scaling", metadata, TypeAdapter(dict[str, Any] | None)),
        vocabulary=(),
    )
    classes = _parsed("classes", metadata, TypeAdapter(tuple[str, ...]))
    (output,) = Network.model_validate_json(metadata["network"]).named_outputs
    return Signature({INPUT: _input("input", data)}, {output.layer: Target(metadata["label"], classes)})
