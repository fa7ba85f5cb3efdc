"""A trained network with all that predicting takes, and its safetensors file."""

import json
import os
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from raydient.spec import network as spec
from raydient.spec.errors import InvalidSpec

from .graph import Network, build
from .indices import index_problems
from .program import Program
from .scaling import Scaling

FORMAT = "raydient-model/1"
BLOCK_ROWS = 256
"""Rows predicted at a time, always: another shape of a matrix product gives other bits."""


class ModelError(ValueError):
    """A file that is no model of ours, or a damaged one."""


class ModelTooLargeError(ValueError):
    """A model that does not fit into the format that is asked for."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network. Immutable and safe to share between threads.

    Attributes:
        specification: of the network.
        input_shape: of one sample, without the row axis.
        weights: the flat float32 vector, laid out as `network.layout`.
        feature_names: columns that make a sample, in order; empty where samples are arrays.
        label: name of what is predicted.
        classes: text of each class index; empty where labels are numbers.
        scaling: standardization that raw samples go through first, or None.
    """

    specification: spec.Network
    input_shape: tuple[int, ...]
    weights: NDArray[np.float32] = field(repr=False)
    feature_names: tuple[str, ...] = ()
    label: str = ""
    classes: tuple[str, ...] = ()
    scaling: Scaling | None = None

    @cached_property
    def network(self) -> Network:
        """The network, built."""
        return build(self.specification, self.input_shape)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights, see `Layout.digest`."""
        return self.network.layout.digest(self.weights)

    @property
    def metadata(self) -> dict[str, str]:
        """What a safetensors file of the weights says beside them, so that `load_model` reads it."""
        return {
            "format": FORMAT,
            "network": json.dumps(self.specification.canonical()),
            "input_shape": json.dumps(self.input_shape),
            "features": json.dumps(self.feature_names),
            "label": self.label,
            "classes": json.dumps(self.classes),
            "scaling": json.dumps(self.scaling and {k: getattr(self.scaling, k).tolist() for k in ("mean", "scale")}),
            "digest": self.digest,
        }

    def predict(self, x: NDArray[np.number]) -> NDArray[np.float32]:
        """Outputs for raw samples: probabilities for the cross-entropies, else what the last layer gives.

        Args:
            x: (n, *input shape), in the units of the data file: standardizing is done here.

        Returns:
            (n, *output shape).

        Raises:
            ValueError: `x` has another shape, or numbers that the network cannot look up.
        """
        if x.shape[1:] != self.input_shape or x.ndim == 0:
            raise ValueError(f"samples of shape {self.input_shape} are needed, x has shape {x.shape}")
        if problems := index_problems(self.network, x):
            raise ValueError(problems[0].message)
        program, weights = Program(self.network, BLOCK_ROWS), self.network.bind(self.weights)
        outputs = np.empty((len(x), *self.network.output_shape), np.float32)
        for start in range(0, len(x), BLOCK_ROWS):
            block = x[start : start + BLOCK_ROWS]
            program.x[: len(block)] = self.scaling.apply(block) if self.scaling else block
            outputs[start : start + BLOCK_ROWS] = program.predict(weights)[: len(block)]
        return outputs


def save_model(path: Path, model: Model) -> None:
    """Write `model` as safetensors: float32 tensors by parameter name, the rest as metadata.

    The file appears whole or not at all, and is durable when this returns.
    """
    _write_atomically(path, save(model.network.layout.views(model.weights), model.metadata))


def load_model(path: Path) -> Model:
    """Read a model that `save_model` wrote.

    Raises:
        ModelError: the file is no model, or its tensors do not fit its network or its digest.
        OSError: the file cannot be read.
    """
    path.open("rb").close()  # for the usual OSError: safetensors has errors of its own
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise ModelError(f"{path} is no {FORMAT} file: its format is {metadata.get('format', 'not told')}")
        return _from_file(path, tensors, metadata)
    except SafetensorError as error:
        raise ModelError(f"{path} is not a safetensors file: {error}") from error
    except (KeyError, TypeError, json.JSONDecodeError, ValidationError, InvalidSpec) as error:
        raise ModelError(f"{path} has damaged metadata: {error}") from error


def _from_file(path: Path, tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> Model:
    specification = spec.Network.model_validate_json(metadata["network"])
    input_shape = tuple(json.loads(metadata["input_shape"]))
    layout = build(specification, input_shape).layout
    wanted = {p.name: p.shape for p in layout.parameters}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if wanted != found or any(tensor.dtype != np.float32 for tensor in tensors.values()):
        raise ModelError(f"{path} holds {found}, its network has float32 {wanted}")
    weights = np.empty(layout.size, np.float32)
    for name, view in layout.views(weights).items():
        view[...] = tensors[name]
    scaling = json.loads(metadata["scaling"])
    model = Model(
        specification=specification,
        input_shape=input_shape,
        weights=weights,
        feature_names=tuple(json.loads(metadata["features"])),
        label=metadata["label"],
        classes=tuple(json.loads(metadata["classes"])),
        scaling=scaling and Scaling(np.array(scaling["mean"]), np.array(scaling["scale"])),
    )
    if model.digest != metadata["digest"]:
        raise ModelError(f"{path} is damaged: its weights have digest {model.digest}, not {metadata['digest']}")
    return model


def _write_atomically(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0o600 would keep the model from others
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
