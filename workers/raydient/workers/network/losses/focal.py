"""Focal losses: cross-entropies whose samples count less the more probable the true class is already.

(1 - p)^γ (-log p), with p the probability of the true class (Lin, Goyal, Girshick, He and Dollár 2017, Focal Loss for
Dense Object Detection, equation 4).
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from raydient.steps.arrays import Floats
from raydient.workers.functions import log1p

from .loss import Loss
from .softmax import SoftmaxCrossEntropy
from .two_classes import Logits


class _Focus:
    """The focal loss α (1 - p)^γ (-log p) with p = sigmoid(z) as a function of the margin z.

    With -log p = log(1 + exp(-z)) and -log(1 - p) = log(1 + exp(z)) the power is exp(γ log(1 - p)), and
    nothing overflows or cancels for any z. The derivative by z is -α (1 - p)^γ (γ p (-log p) + 1 - p).
    """

    def __init__(self, gamma: float, alpha: float, count: int, dtype: DTypeLike) -> None:
        self._gamma, self._alpha = gamma, alpha
        self._right, self._wrong, self._power = np.zeros((3, count), dtype)

    def inplace_slopes(self, margins: Floats, losses: Floats) -> None:
        """Write the loss of each margin to `losses` and replace the margin by the derivative. Both are (count,)."""
        right, wrong, power = self._right, self._wrong, self._power
        np.copysign(margins, -1, out=wrong)
        np.exp(wrong, out=wrong)
        log1p(wrong, wrong)
        np.maximum(margins, 0, out=right)
        np.add(right, wrong, out=right)  # -log(1 - p)
        np.negative(margins, out=margins)
        np.maximum(margins, 0, out=margins)
        np.add(wrong, margins, out=wrong)  # -log p
        np.multiply(right, -self._gamma, out=power)
        np.exp(power, out=power)
        np.multiply(power, self._alpha, out=power)
        np.multiply(power, wrong, out=losses)
        np.negative(wrong, out=margins)
        np.exp(margins, out=margins)
        np.multiply(margins, wrong, out=margins)
        np.multiply(margins, self._gamma, out=margins)
        np.negative(right, out=right)
        np.exp(right, out=right)
        np.add(margins, right, out=margins)
        np.multiply(margins, power, out=margins)
        np.negative(margins, out=margins)


class BinaryFocalCrossEntropy(Logits):
    """(1 - p)^γ (-log p) for each output y, with p = sigmoid(y) for the label 1 and sigmoid(-y) for 0.

    With `apply_class_balancing` times α for the label 1 and 1 - α for 0 (equation 5 of the paper). `gradient` holds the
    derivative by the margin, y or -y, between the passes.
    """

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        self._focus = _Focus(settings.gamma, 1.0, len(self.outputs), outputs.dtype)
        if settings.apply_class_balancing:
            zero, one = self.class_weight or (1.0, 1.0)
            self.class_weight = zero * (1 - settings.alpha), one * settings.alpha

    def _signs(self, out: Floats) -> None:
        np.multiply(self.place_labels, 2, out=out)
        np.subtract(out, 1, out=out)

    def measure(self) -> None:
        margins = self.gradient
        self._signs(margins)
        np.multiply(margins, self.outputs, out=margins)
        self._focus.inplace_slopes(margins[:, 0], self.losses)
        self.weigh_and_count()

    def differentiate(self, factors: Floats) -> None:
        gradient, signs = self.gradient, self.scratch
        self._signs(signs)
        np.multiply(gradient, signs, out=gradient)
        np.multiply(gradient, factors, out=gradient)


class CategoricalFocalCrossEntropy(SoftmaxCrossEntropy):
    """α (1 - p)^γ (-log p) at each place, with p = softmax(y)_t and a class index t as label.

    With e = exp(y - m), m the largest output, and r = Σ_k≠t e_k it is p = sigmoid(z) for the margin z = log(e_t / r).
    The derivative of z by y_t is 1, by any other y_k it is -e_k / r. `gradient` holds e between the passes, but r at
    the true class.
    """

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        places = len(self.outputs)
        self._focus = _Focus(settings.gamma, settings.alpha, places, outputs.dtype)
        self._slopes = np.zeros((places, 1), outputs.dtype)
        self._least = np.finfo(outputs.dtype).tiny

    @classmethod
    def of(cls, settings: Any) -> type[Loss]:
        return cls

    def measure(self) -> None:
        exponentials, flat, margins, rest = self.gradient, self.gradient.reshape(-1), self._slopes[:, 0], self._total
        np.maximum(self.place_labels, 0, out=self._indices)  # any class at places that do not count
        self._shift(self.outputs, exponentials)
        np.add(self._row_starts, self._indices, out=self._places)
        flat.take(self._places, out=margins, mode="clip")
        np.exp(exponentials, out=exponentials)
        flat[self._places] = 0
        np.add.reduce(exponentials, axis=1, keepdims=True, out=rest)
        np.maximum(rest, self._least, out=rest)  # so that the logarithm is finite
        flat[self._places] = rest[:, 0]
        np.log(rest, out=self._row)
        np.subtract(margins, self._row[:, 0], out=margins)
        self._focus.inplace_slopes(margins, self.losses)
        if self._class_weight.size:
            self._class_weight.take(self._indices, out=self.weights, mode="clip")
        self._count_hits(self._indices)

    def differentiate(self, factors: Floats) -> None:
        gradient, flat, slopes = self.gradient, self.gradient.reshape(-1), self._slopes
        np.multiply(slopes, factors, out=slopes)
        np.divide(slopes, self._total, out=self._row)
        np.negative(self._row, out=self._row)
        np.multiply(gradient, self._row, out=gradient)
        flat[self._places] = slopes[:, 0]
