"""A graph of ONNX operators while it is made: plain data, which `onnx_export` turns into the file."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Attribute = int | float | str | Sequence[int] | Sequence[float] | Sequence[str]

OPERATOR_SETS = {"": 20, "ai.onnx.ml": 4}
"""Versions of the operators' definitions by domain: https://onnx.ai/onnx/operators."""


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """An operator at work: `outputs[i]` is empty where nobody wants the i-th. The domain of ONNX itself is empty."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    domain: str = ""


class OnnxGraph:
    """Collects nodes and initializers under unique names. What its methods return are names of values in the graph.

    Attributes:
        nodes: each after those that it takes.
        initializers: parameters and constants by name: float32, int64, bool or float64.
    """

    def __init__(self) -> None:
        self.nodes: list[OnnxNode] = []
        self.initializers: dict[str, NDArray[Any]] = {}
        self._taken: set[str] = set()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}  # by a digest of their values
        self._place, self._parameters_of = "", ""
        self._weights: Mapping[str, NDArray[np.floating]] = {}

    @contextmanager
    def layer(self, name: str, parameters_of: str, weights: Mapping[str, NDArray[np.floating]]) -> Iterator[None]:
        """What is added meanwhile belongs to the layer `name`, which uses the parameters of `parameters_of`."""
        self._place, self._parameters_of, self._weights = name, parameters_of, weights
        yield
        self._place, self._parameters_of, self._weights = "", "", {}

    def node(
        self, operator: str, inputs: Sequence[str], *, output: int = 0, domain: str = "", **attributes: Attribute
    ) -> str:
        """Apply an operator of `OPERATOR_SETS` to values; an empty name leaves out an optional input.

        Args:
            output: which of the operator's outputs is wanted.
            domain: of the operator.
            attributes: as the operator calls them.
        """
        name = self._unique(operator)
        self.nodes.append(OnnxNode(operator, name, tuple(inputs), (*[""] * output, name), attributes, domain))
        return name

    def parameter(self, name: str) -> str:
        """A parameter of the layer, by its name within it: one initializer, however many layers share it."""
        whole = f"{self._parameters_of}.{name}"
        if whole not in self.initializers:
            self._taken.add(whole)
            self.initializers[whole] = np.asarray(self._weights[name], np.float32)
        return whole

    def weights(self, name: str) -> NDArray[np.floating]:
        """The values of a parameter, for `constant` in another arrangement where an operator wants it so."""
        return self._weights[name]

    def constant(self, values: ArrayLike, *, exact: bool = False) -> str:
        """An array that is known: integers become int64, other numbers float32 or, `exact`, float64. Equal ones are
        one.
        """
        array = np.asarray(values)
        if np.issubdtype(array.dtype, np.integer):
            array = array.astype(np.int64)
        elif array.dtype != np.bool_:
            array = array.astype(np.float64 if exact else np.float32)
        key = (array.dtype.str, array.shape, hashlib.sha256(np.ascontiguousarray(array).data).digest())
        if key not in self._constants:
            self._constants[key] = name = self._unique("constant")
            self.initializers[name] = array
        return self._constants[key]

    def feed(self, name: str) -> str:
        """A value that comes from outside; the names of these are to be taken first."""
        assert name not in self._taken, name
        self._taken.add(name)
        return name

    def give(self, value: str, name: str) -> str:
        """Give a value to the outside under a name."""
        assert name not in self._taken, name
        self._taken.add(name)
        self.nodes.append(OnnxNode("Identity", self._unique("Identity"), (value,), (name,), {}))
        return name

    def _unique(self, what: str) -> str:
        """A name with a slash: those of inputs and outputs have none."""
        wanted = f"{self._place}/{what}"
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name
