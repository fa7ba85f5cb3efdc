"""The residuals of a worker's leaves, where the codec of a job feeds back what it does not send."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from raydient.steps.arrays import AnyArray, Vector
from raydient.steps.residuals import residual_name


class Residuals:
    """The residuals of the leaves that a worker computes in one generation, in which no other one computes them."""

    def __init__(
        self,
        start: Mapping[str, AnyArray] = MappingProxyType({}),
        send: Callable[[int, Mapping[str, AnyArray]], Any] = lambda round_, arrays: None,
    ) -> None:
        """Allocate nothing yet.

        Args:
            start: the residuals of the checkpoint at which the generation begins, by name; others are 0.
            send: sends the coordinator residuals before a round, which it copies.
        """
        self._start, self._send = start, send
        self._own: dict[str, Vector] = {}

    def of(self, leaf: int, size: int) -> Vector:
        """Return the residual of a leaf, float32 (size,), which the encoder of its gradient changes."""
        name = residual_name(leaf)
        if name not in self._own:
            start = self._start.get(name)
            self._own[name] = np.zeros(size, np.float32) if start is None else start.copy()
        return self._own[name]

    def send(self, round_: int) -> None:
        """Send all as they are before a round."""
        self._send(round_, self._own)
