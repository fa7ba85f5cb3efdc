"""The arrangement of parameters in the flat float32 vector, and the digest that proves two vectors equal."""

import hashlib
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Literal

import numpy as np

from .arrays import Floats


@dataclass(frozen=True, slots=True)
class Learned:
    """The optimizer updates the parameter from the gradient of the loss and of the penalty l1 · Σ |w| + l2 · Σ w²."""

    l1: float = 0.0
    l2: float = 0.0
    name: Literal["learned"] = "learned"


@dataclass(frozen=True, slots=True)
class Average:
    """A moving average of statistics g, which travel where a gradient would: w <- momentum w + (1 - momentum) g."""

    momentum: float
    name: Literal["average"] = "average"


@dataclass(frozen=True, slots=True)
class Frozen:
    """The parameter keeps its values, bit by bit; its gradient is 0."""

    name: Literal["frozen"] = "frozen"


Kind = Learned | Average | Frozen
"""How an update changes a parameter. The names tell the kinds apart in JSON."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One named array inside the flat vector.

    Attributes:
        name: unique within the network, for example `dense_1.kernel`.
        shape: its shape, row-major.
        offset: index of its first value in the flat vector.
        kind: how an update changes it.
        sparse: a table, (rows, width), whose gradient is zero except in a few rows; see `sparse`.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    kind: Kind = Learned()
    sparse: bool = False

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def stop(self) -> int:
        """Index of the first value behind it in the flat vector."""
        return self.offset + self.size

    def view(self, vector: Floats) -> Floats:
        """Return this parameter's values inside `vector`, in its shape; a view, never a copy."""
        return vector[self.offset : self.stop].reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """The parameters of a network in the order in which they lie in the flat vector, without gaps."""

    parameters: tuple[Parameter, ...]

    @classmethod
    def of(
        cls,
        shapes: Iterable[tuple[str, Sequence[int]]],
        kinds: Mapping[str, Kind] = MappingProxyType({}),
        sparse: Collection[str] = (),
    ) -> "Layout":
        """Lay out (name, shape) pairs one behind the other. Names must be unique.

        `kinds` has the kinds of parameters by name, `Learned()` where it has none; `sparse` names the tables with
        sparse gradients.
        """
        parameters, offset, names = [], 0, set()
        for name, shape in shapes:
            assert name not in names, f"parameter name {name} used twice"
            names.add(name)
            parameters.append(Parameter(name, tuple(shape), offset, kinds.get(name, Learned()), name in sparse))
            offset += parameters[-1].size
        return cls(tuple(parameters))

    def within(self, start: int, stop: int) -> "Layout":
        """Return the layout of values `start`..`stop` - 1 as a vector of their own.

        Of a parameter that is cut, the part inside is flat; a table is cut between rows, and its part has these rows.
        """
        parts = []
        for p in self.parameters:
            first, last = max(p.offset, start), min(p.stop, stop)
            if first >= last and not (p.size == 0 and start <= p.offset < stop):
                continue
            shape: tuple[int, ...] = p.shape
            if last - first < p.size:
                shape = ((last - first) // p.shape[1], p.shape[1]) if p.sparse else (last - first,)
            parts.append(Parameter(p.name, shape, first - start, p.kind, p.sparse))
        return Layout(tuple(parts))

    def by_rows(self) -> "Layout":
        """Return the layout of a vector with one value for each row of a table, and the values outside tables."""
        return Layout.of((p.name, p.shape[:1] if p.sparse else p.shape) for p in self.parameters)

    @property
    def size(self) -> int:
        """Values in the flat vector."""
        return sum(p.size for p in self.parameters)

    def views(self, vector: Floats) -> dict[str, Floats]:
        """Return the view of each parameter inside `vector`, by name."""
        return {p.name: p.view(vector) for p in self.parameters}

    def digest(self, vector: Floats) -> str:
        """Return the SHA-256 over the parameters sorted by name, in hexadecimal.

        Each contributes its UTF-8 name, a NUL byte, its rank and its shape as little-endian int64 and its values as
        little-endian float32, so that two implementations can compare without sharing a layout.
        """
        sha = hashlib.sha256()
        for p in sorted(self.parameters, key=lambda p: p.name):
            sha.update(p.name.encode() + b"\0" + struct.pack(f"<{1 + len(p.shape)}q", len(p.shape), *p.shape))
            sha.update(np.ascontiguousarray(p.view(vector), dtype="<f4").data)
        return sha.hexdigest()
