"""Where each parameter lies in the flat float32 vector, and the digest that proves two vectors equal."""

import hashlib
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

import numpy as np

from .arrays import Floats

FROZEN = 1.0
"""The momentum of what stays as it is, bit by bit; its gradient is 0."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One named array inside the flat vector.

    Attributes:
        name: unique within the network, for example `dense_1.kernel`.
        shape: its shape, row-major.
        offset: index of its first value in the flat vector.
        momentum: None if it is learned. Else it is a moving average of statistics that travel where a gradient would:
            an update leaves so much of it, and what the gradient's place holds makes up the rest. FROZEN: all of it.
        sparse: a table, (rows, width), whose gradient is zero but for a few rows; see `sparse`.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    momentum: float | None = None
    sparse: bool = False

    @property
    def size(self) -> int:
        return prod(self.shape)

    def view(self, vector: Floats) -> Floats:
        """This parameter's values inside `vector`, shaped; a view, never a copy."""
        return vector[self.offset : self.offset + self.size].reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """The parameters of a network in the order they lie in the flat vector, without gaps."""

    parameters: tuple[Parameter, ...]

    @classmethod
    def of(
        cls,
        shapes: Iterable[tuple[str, Sequence[int]]],
        averages: Mapping[str, float] = MappingProxyType({}),
        sparse: Collection[str] = (),
    ) -> "Layout":
        """Lay out (name, shape) pairs one behind the other; a name that occurs twice is our own bug.

        `averages` has the momentum of those that are not learned, by name; `sparse` names the tables with sparse
        gradients.
        """
        parameters, offset, names = [], 0, set()
        for name, shape in shapes:
            assert name not in names, f"parameter name {name} used twice"
            names.add(name)
            parameters.append(Parameter(name, tuple(shape), offset, averages.get(name), name in sparse))
            offset += parameters[-1].size
        return cls(tuple(parameters))

    @property
    def size(self) -> int:
        """Values in the flat vector."""
        return sum(p.size for p in self.parameters)

    @property
    def averages(self) -> dict[str, float]:
        """The momentum of each moving average, by name."""
        return {p.name: p.momentum for p in self.parameters if p.momentum is not None}

    @property
    def sparse(self) -> tuple[str, ...]:
        """Names of the tables whose gradients are sparse."""
        return tuple(p.name for p in self.parameters if p.sparse)

    def views(self, vector: Floats) -> dict[str, Floats]:
        """Every parameter's view of `vector`, by name."""
        return {p.name: p.view(vector) for p in self.parameters}

    def digest(self, vector: Floats) -> str:
        """SHA-256 in hexadecimal over the parameters sorted by name.

        Each contributes its UTF-8 name, a NUL byte, its rank and its shape as little-endian int64 and its values as
        little-endian float32, so that two implementations can compare without sharing a layout.
        """
        sha = hashlib.sha256()
        for p in sorted(self.parameters, key=lambda p: p.name):
            sha.update(p.name.encode() + b"\0" + struct.pack(f"<{1 + len(p.shape)}q", len(p.shape), *p.shape))
            sha.update(np.ascontiguousarray(p.view(vector), dtype="<f4").data)
        return sha.hexdigest()
