"""A graph of ONNX operators under construction: plain data, from which `onnx_export` makes the file."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from raydient.steps.arrays import AnyArray, Floats

Attribute = int | float | str | Sequence[int] | Sequence[float] | Sequence[str]

FLOAT, DOUBLE = 1, 11
"""The element types float32 and float64 of `TensorProto`."""

OPERATOR_SETS = {"": 20, "ai.onnx.ml": 4}
"""Versions of the definitions of operators, by domain: https://onnx.ai/onnx/operators."""


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """An operator applied to values. `outputs[i]` is empty if it is not used; the domain of ONNX itself is empty."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    domain: str = ""


class OnnxGraph:
    """Collects nodes and initializers under unique names. Its methods return names of values in the graph.

    Attributes:
        nodes: the operators, each after those whose outputs it reads.
        initializers: parameters and constants by name: float32, int64, bool or float64.
    """

    def __init__(self) -> None:
        self.nodes: list[OnnxNode] = []
        self.initializers: dict[str, AnyArray] = {}
        self._names: set[str] = set()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}  # by a digest of their values
        self._place, self._parameters_of = "", ""
        self._weights: Mapping[str, Floats] = {}
        self._prefix = ""

    @contextmanager
    def layer(self, name: str, parameters_of: str, weights: Mapping[str, Floats]) -> Iterator[None]:
        """A context in which nodes belong to the layer `name`, with the parameters of the layer `parameters_of`."""
        self._place, self._parameters_of, self._weights = name, parameters_of, weights
        yield
        self._place, self._parameters_of, self._weights = "", "", {}

    @contextmanager
    def part(self, prefix: str) -> Iterator[None]:
        """A context in which the names of parameters within the layer get a prefix."""
        self._prefix = prefix
        yield
        self._prefix = ""

    def node(
        self, operator: str, inputs: Sequence[str], *, output: int = 0, domain: str = "", **attributes: Attribute
    ) -> str:
        """Apply an operator of `OPERATOR_SETS` to values; an empty name leaves out an optional input.

        Args:
            output: index of the output of the operator that is returned.
            domain: domain of the operator.
            attributes: attributes of the operator.
        """
        name = self._unique(operator)
        self.nodes.append(OnnxNode(operator, name, tuple(inputs), (*[""] * output, name), attributes, domain))
        return name

    def parameter(self, name: str) -> str:
        """A parameter of the layer, by its name within it; layers that share it share one initializer."""
        whole = f"{self._parameters_of}.{self._prefix}{name}"
        if whole not in self.initializers:
            self._names.add(whole)
            self.initializers[whole] = np.asarray(self.weights(name), np.float32)
        return whole

    def weights(self, name: str) -> Floats:
        """The values of a parameter, for operators that need them rearranged, by way of `constant`."""
        return self._weights[self._prefix + name]

    def constant(self, values: ArrayLike, *, exact: bool = False) -> str:
        """A constant array: integers become int64, other numbers float32 or, if `exact`, float64. Equal constants share
        one initializer.
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

    def input(self, name: str) -> str:
        """An input of the graph. Add all inputs before anything else, so that their names are free."""
        assert name not in self._names, name
        self._names.add(name)
        return name

    def output(self, value: str, name: str) -> str:
        """Make a value an output of the graph under `name`."""
        assert name not in self._names, name
        self._names.add(name)
        self.nodes.append(OnnxNode("Identity", self._unique("Identity"), (value,), (name,), {}))
        return name

    def _unique(self, what: str) -> str:
        """A unique name with a slash, which names of inputs and outputs do not have."""
        wanted = f"{self._place}/{what}"
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}_{count}"
        self._names.add(name)
        return name
