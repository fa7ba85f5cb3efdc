"""Losses on labels that are numbers: one output per value of the label."""

from abc import abstractmethod
from typing import Any

import numpy as np

from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .labels import Encoded, Labels, counts
from .loss import Loss, Shape


class _Difference(Loss):
    """A function of the errors e = y - t, averaged over a row's outputs. `gradient` holds e between the passes."""

    metric_names = ("loss", "mean_absolute_error")

    @property
    def share(self) -> float:
        """Factor of each value in its row's loss."""
        return 1 / int(self.outputs.shape[1])

    def measure(self) -> None:
        error, scratch = self.gradient, self.scratch
        np.subtract(self.outputs, self.labels, out=error)
        self.add_up(error, scratch)
        np.multiply(self.losses, self.share, out=self.losses)
        np.absolute(error, out=scratch)
        if self.unit is None:
            self.sums[1] = np.add.reduce(scratch, axis=None, dtype=np.float64) / error.shape[1]
        else:
            self.sums[1] = np.vecdot(np.add.reduce(scratch, axis=0, dtype=np.float64), self.unit) / error.shape[1]

    def differentiate(self, factors: Floats) -> None:
        np.multiply(factors, self.share, out=factors)
        self.inplace_slopes(self.gradient)
        np.multiply(self.gradient, factors, out=self.gradient)

    @abstractmethod
    def add_up(self, error: Floats, scratch: Floats) -> None:
        """Write the summed costs of each row's errors to `losses`."""

    @abstractmethod
    def inplace_slopes(self, error: Floats) -> None:
        """Replace each error by the derivative of its cost."""

    def inplace_predict(self, outputs: Floats) -> None:
        """Do nothing: outputs are predictions."""


class MeanSquaredError(_Difference):
    """e², without a factor 1/2; derivative 2 e."""

    def add_up(self, error: Floats, scratch: Floats) -> None:
        np.vecdot(error, error, out=self.losses)

    def inplace_slopes(self, error: Floats) -> None:
        np.multiply(error, 2, out=error)


class SumSquaredError(MeanSquaredError):
    """e², summed instead of averaged over the outputs of a row."""

    @property
    def share(self) -> float:
        return 1.0


class MeanAbsoluteError(_Difference):
    """|e|; derivative the sign of e, 0 at 0."""

    def add_up(self, error: Floats, scratch: Floats) -> None:
        np.absolute(error, out=scratch)
        np.add.reduce(scratch, axis=1, out=self.losses)

    def inplace_slopes(self, error: Floats) -> None:
        np.sign(error, out=error)


class Huber(_Difference):
    """e² / 2 where |e| <= δ and δ |e| - δ² / 2 elsewhere (Huber 1964); derivative c, which is e clipped to ±δ.

    Both are c e - c² / 2.
    """

    def add_up(self, error: Floats, scratch: Floats) -> None:
        squares = self._factors[:, 0]
        error.clip(-self.settings.delta, self.settings.delta, out=scratch)
        np.vecdot(scratch, error, out=self.losses)
        np.vecdot(scratch, scratch, out=squares)
        np.multiply(squares, 0.5, out=squares)
        np.subtract(self.losses, squares, out=self.losses)

    def inplace_slopes(self, error: Floats) -> None:
        error.clip(-self.settings.delta, self.settings.delta, out=error)


class Quantile(_Difference):
    """(1 - q) e for errors e = y - t above 0 and -q e below (Koenker and Bassett 1978); derivative 1 - q or -q, 0 at 0.

    The value is smallest where y is the quantile q of the labels. Both parts are (|e| + (1 - 2 q) e) / 2.
    """

    def add_up(self, error: Floats, scratch: Floats) -> None:
        np.absolute(error, out=scratch)
        np.multiply(scratch, 0.5, out=scratch)
        np.add.reduce(scratch, axis=1, out=self.losses)
        np.multiply(error, 0.5 - self.settings.quantile, out=scratch)
        sums = self._factors[:, 0]
        np.add.reduce(scratch, axis=1, out=sums)
        np.add(self.losses, sums, out=self.losses)

    def inplace_slopes(self, error: Floats) -> None:
        signs = np.sign(error, out=self.scratch)
        np.multiply(signs, 0.5, out=error)
        np.multiply(signs, signs, out=signs)
        np.multiply(signs, 0.5 - self.settings.quantile, out=signs)
        np.add(error, signs, out=error)


class Poisson(Loss):
    """exp(y) - t y, averaged over the outputs y of a row, which are logarithms of rates, with counts t as labels.

    This is -log of the Poisson probability of t, without log t!, which does not depend on y; derivative exp(y) - t.
    Outputs are logarithms so that rates are positive. `gradient` holds exp(y) between the passes.
    """

    metric_names = ("loss", "mean_absolute_error")

    @classmethod
    def encode(cls, labels: Labels, texts: list[str] | None = None, settings: Any = None) -> Encoded:
        return counts(labels)

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> AnyArray:
        return generator.poisson(2, (rows, *output_shape))

    def measure(self) -> None:
        rate, scratch, outputs = self.gradient, self.scratch, self.outputs.shape[1]
        np.exp(self.outputs, out=rate)
        np.multiply(self.outputs, self.labels, out=scratch)
        np.subtract(rate, scratch, out=scratch)
        np.add.reduce(scratch, axis=1, out=self.losses)
        np.divide(self.losses, outputs, out=self.losses)
        np.subtract(rate, self.labels, out=scratch)
        np.absolute(scratch, out=scratch)
        self.sums[1] = np.add.reduce(scratch, axis=None, dtype=np.float64) / outputs

    def differentiate(self, factors: Floats) -> None:
        np.divide(factors, self.outputs.shape[1], out=factors)
        np.subtract(self.gradient, self.labels, out=self.gradient)
        np.multiply(self.gradient, factors, out=self.gradient)

    def inplace_predict(self, outputs: Floats) -> None:
        np.exp(outputs, out=outputs)

    @classmethod
    def to_onnx(cls, graph: OnnxGraph, outputs: str) -> str:
        return graph.node("Exp", [outputs])


class CosineSimilarity(Loss):
    """-t·y / (|t| |y|), the negated cosine of the angle between outputs y and label t; -1 if they have one direction.

    The derivative by y is (c y / |y| - t / |t|) / |y| with the cosine c. As in Keras the least length is 1e-7.
    `gradient` holds t / |t| between the passes.
    """

    metric_names = ("loss", "mean_absolute_error")
    least_length = 1e-7

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        self._length, self._cosine = np.zeros((2, len(outputs), 1), outputs.dtype)
        self._is_short = np.zeros((len(outputs), 1), np.bool_)

    def measure(self) -> None:
        direction, scratch, outputs = self.gradient, self.scratch, self.outputs.shape[1]
        np.subtract(self.outputs, self.labels, out=scratch)
        np.absolute(scratch, out=scratch)
        self.sums[1] = np.add.reduce(scratch, axis=None, dtype=np.float64) / outputs
        self._measure_length(self.labels)
        np.divide(self.labels, self._length, out=direction)
        self._measure_length(self.outputs)
        np.divide(self.outputs, self._length, out=scratch)
        cosine = self._cosine[:, 0]
        np.vecdot(direction, scratch, out=cosine)
        np.negative(cosine, out=self.losses)

    def _measure_length(self, vectors: Floats) -> None:
        length = self._length[:, 0]
        np.vecdot(vectors, vectors, out=length)
        np.sqrt(length, out=length)
        np.less(self._length, self.least_length, out=self._is_short)
        np.maximum(length, self.least_length, out=length)

    def differentiate(self, factors: Floats) -> None:
        gradient, scratch = self.gradient, self.scratch
        np.copyto(self._cosine, 0, where=self._is_short)  # there the length in the quotient is a constant
        np.divide(self.outputs, self._length, out=scratch)
        np.multiply(scratch, self._cosine, out=scratch)
        np.subtract(scratch, gradient, out=gradient)
        np.divide(factors, self._length, out=factors)
        np.multiply(gradient, factors, out=gradient)

    def inplace_predict(self, outputs: Floats) -> None:
        """Do nothing: outputs are predictions."""
