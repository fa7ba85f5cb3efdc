"""A trained network with everything that prediction needs, and its safetensors file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from raydient.files import LOCAL, Disk, replacing
from raydient.spec import network as spec
from raydient.spec.errors import InvalidSpec
from raydient.spec.layers import INPUT
from raydient.steps.amendments import Amendment
from raydient.steps.arrays import AnyArray

from .build import build
from .ends import by_name, only
from .graph import Network
from .indices import check_samples
from .layers import Shape
from .preprocessing import Preprocessing, SampleError, Target, label_scalings
from .program import Program
from .signature import (
    CHECKSUM,
    FORMAT,
    FORMATS,
    MetadataError,
    Signature,
    check_scaling,
    checksum,
    read_signature,
    read_training,
)

BLOCK_ROWS = 256
"""Rows that are predicted at a time. A constant, because another shape of a matrix product gives other bits."""
_LENGTH_BYTES = 8


class ModelError(ValueError):
    """A file that is not a raydient model, or a damaged one."""


class ModelTooLargeError(ValueError):
    """A model that is too large for the export format."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network. Immutable and safe to share between threads.

    Attributes:
        specification: specification of the network.
        inputs: the preprocessing of each input, by name.
        weights: the flat float32 vector, laid out as `network.layout`.
        targets: the meaning of each output, by name.
        mixed_bits: machines that compute other bits than each other may have computed the weights.
        amendments: amendments of the job with which the weights were computed; `load_model` does not read them.
        beside: columns of the training data that are no inputs; None if the job chose among them, so any may occur.
        training: how the weights were computed, in JSON form: the job's `specification`, the `version` of raydient, the
            `numerics`, the SHA-256 of data files by their setting (`data`), and `epoch`, `metrics` and
            `gradient_health` of the result; for people, nothing depends on it.
    """

    specification: spec.Network
    inputs: Mapping[str, Preprocessing]
    weights: NDArray[np.float32] = field(repr=False)
    targets: Mapping[str, Target]
    mixed_bits: bool = False
    amendments: Sequence[Amendment] = ()
    beside: tuple[str, ...] | None = ()
    training: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def plain(
        cls,
        specification: spec.Network,
        input: Preprocessing | Shape,  # noqa: A002  (what it is)
        weights: NDArray[np.float32],
        target: Target | None = None,
    ) -> Self:
        """A model of one input and one output."""
        preprocessing = input if isinstance(input, Preprocessing) else Preprocessing(input)
        (output,) = specification.named_outputs
        return cls(specification, {INPUT: preprocessing}, weights, {output.layer: target or Target()})

    @property
    def is_plain(self) -> bool:
        """True if there are one input and one output and the user named neither."""
        return tuple(self.inputs) == (INPUT,) and not self.specification.outputs

    @property
    def input(self) -> Preprocessing:
        """The only input."""
        return only(self.inputs)

    @property
    def target(self) -> Target:
        """Target of the only output."""
        return only(self.targets)

    @property
    def input_shapes(self) -> dict[str, Shape]:
        """Shape of one prepared sample of each input, without the row axis."""
        return {name: preprocessing.prepared_shape for name, preprocessing in self.inputs.items()}

    @cached_property
    def network(self) -> Network:
        """The network, built."""
        return build(self.specification, self.input_shapes, scalings=label_scalings(self.targets))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights, see `Layout.digest`."""
        return self.network.layout.digest(self.weights)

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of a safetensors file of the weights, from which `load_model` restores the model."""
        metadata = {
            "format": FORMAT,
            "network": json.dumps(self.specification.canonical()),
            **Signature(self.inputs, self.targets, self.beside).metadata,
            "digest": self.digest,
            **({"mixed_bits": "true"} if self.mixed_bits else {}),
            **({"amendments": json.dumps([asdict(one) for one in self.amendments])} if self.amendments else {}),
            **({"training": json.dumps(self.training)} if self.training else {}),
        }
        return {**metadata, CHECKSUM: checksum(metadata)}

    def predict(self, x: AnyArray) -> NDArray[np.float32]:
        """The only output for raw samples of the only input: (n, *output shape) for (n, *input shape).

        See `predict_all`.
        """
        return only(self.predict_all(by_name(x, self.inputs)))

    def predict_all(self, xs: Mapping[str, AnyArray]) -> dict[str, NDArray[np.float32]]:
        """Outputs for raw samples, with the activation that the loss assumes: probabilities for cross-entropies.

        Args:
            xs: samples of each input, by name, (n, *input shape), with values as in a data file: not standardized, and
                categories not replaced by their places.

        Returns:
            The outputs, by name, each (n, *output shape).

        Raises:
            SampleError: see `prepare`.
        """
        ready = self.prepare(xs)
        rows = len(next(iter(ready.values())))
        outputs = {o.name: np.empty((rows, *o.shape), np.float32) for o in self.network.outputs}
        for start, block in zip(range(0, rows, BLOCK_ROWS), self.blocks(ready), strict=True):
            for name, y in block.items():
                outputs[name][start : start + BLOCK_ROWS] = y
        return outputs

    def prepare(self, xs: Mapping[str, AnyArray]) -> dict[str, NDArray[np.float32]]:
        """Preprocess raw samples for the network. The same samples give the same bits as in training.

        Args:
            xs: as in `predict_all`.

        Raises:
            SampleError: an input's shape, name or number of samples is wrong, or it has a value that the network
                cannot take.
        """
        xs = by_name(xs, self.inputs)
        rows = len(next(iter(xs.values())))
        if any(len(x) != rows for x in xs.values()):
            raise SampleError("the inputs differ in their number of samples")
        ready = {name: self._prepared(name, x) for name, x in xs.items()}
        check_samples(self.network, ready)
        return ready

    def blocks(self, ready: Mapping[str, NDArray[np.float32]]) -> Iterator[Mapping[str, NDArray[np.float32]]]:
        """Yield the outputs by name for `BLOCK_ROWS` samples at a time; `ready` is the result of `prepare`.

        The arrays are views of one buffer, which the next block overwrites.
        """
        program, weights = Program(self.network, BLOCK_ROWS), self.network.bind(self.weights)
        rows = len(next(iter(ready.values())))
        for start in range(0, rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, rows - start)
            for name, x in ready.items():
                program.xs[name][:count] = x[start : start + count]
            yield {name: y[:count] for name, y in program.predict_all(weights).items()}

    def _prepared(self, name: str, raw: AnyArray) -> NDArray[np.float32]:
        try:
            with np.errstate(over="ignore"):
                ready = self.inputs[name].apply(raw)
        except SampleError as error:
            where = self._column(name, error.place) if error.place else ""
            raise SampleError(f"{error.args[0]}{where}", error.row, name) from None
        if not (finite := np.isfinite(ready)).all():
            row, *place = (int(i) for i in np.argwhere(~finite)[0])
            source = self.inputs[name].source(tuple(place))
            value = raw[(row, *source)]
            why, _ = self.inputs[name].why_not_finite(value, tuple(place))
            raise SampleError(f"{self.inputs[name].shown(value, source)}{self._column(name, source)} {why}", row, name)
        return ready

    def _column(self, name: str, place: Sequence[int]) -> str:
        """The name of the feature at a place of a sample, for messages."""
        preprocessing = self.inputs[name]
        if preprocessing.columns == (name,):
            return ""
        if preprocessing.is_table:
            return f" in column {preprocessing.columns[place[0]]}"
        return f" at {tuple(place)}" if preprocessing.shape != (1,) else ""


def save_model(path: Path, model: Model, disk: Disk = LOCAL) -> None:
    """Write `model` as safetensors: float32 tensors by parameter name, the rest as metadata.

    The same model gives the same bytes. The file appears whole or not at all, and is durable when this returns.
    """
    content = memoryview(save(model.network.layout.views(model.weights), model.metadata))
    size = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    with replacing(path, disk) as file:
        file.write(_sorted_header(bytes(content[_LENGTH_BYTES:size])))
        file.write(content[size:])


def _sorted_header(header: bytes) -> bytes:
    """Return the first bytes of a safetensors file, with the metadata by name; the library's order is random.

    They are the length of the header in 8 bytes, and the header: JSON, with spaces up to a multiple of 8 bytes.
    """
    entries = json.loads(header)
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def load_model(path: Path) -> Model:
    """Read a model that `save_model` wrote.

    Raises:
        ModelError: the file is not a model, or its tensors do not match its network or its digest.
        OSError: the file cannot be read.
    """
    path.open("rb").close()  # raises the usual OSError, unlike safetensors
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        if metadata.get("format") not in FORMATS:
            raise ModelError(f"{path} is no {FORMAT} file: its format is {metadata.get('format', 'unknown')}")
        return _from_file(path, tensors, metadata)
    except SafetensorError as error:
        raise ModelError(f"{path} is not a safetensors file: {error}") from error
    except (KeyError, MetadataError, ValidationError, InvalidSpec) as error:
        raise ModelError(f"{path} has damaged metadata: {error}") from error


def _from_file(path: Path, tensors: dict[str, AnyArray], metadata: dict[str, str]) -> Model:
    specification = spec.Network.model_validate_json(metadata["network"])
    signature = read_signature(metadata)
    network = build(specification, {name: input_.prepared_shape for name, input_ in signature.inputs.items()})
    if {output.name for output in network.outputs} != signature.targets.keys():
        raise MetadataError(f"targets: the outputs are {', '.join(output.name for output in network.outputs)}")
    for output in network.outputs:
        check_scaling(output, signature.targets[output.name])
    layout = network.layout
    wanted = {p.name: p.shape for p in layout.parameters}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if wanted != shapes or any(tensor.dtype != np.float32 for tensor in tensors.values()):
        raise ModelError(f"{path} holds {shapes}, its network has float32 {wanted}")
    weights = np.empty(layout.size, np.float32)
    for name, view in layout.views(weights).items():
        view[...] = tensors[name]
    mixed = metadata.get("mixed_bits") == "true"
    model = Model(
        specification,
        signature.inputs,
        weights,
        signature.targets,
        mixed_bits=mixed,
        beside=signature.beside,
        training=read_training(metadata),
    )
    if model.digest != metadata["digest"]:
        raise ModelError(f"{path} is damaged: its weights have digest {model.digest}, not {metadata['digest'][:64]}")
    return model
