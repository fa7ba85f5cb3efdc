"""Labels as each loss wants them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.losses import Loss

from .raw import Labels, is_number

Encoded = tuple[NDArray[Any], tuple[str, ...]]
"""The labels as an array, and the text of each class where labels are texts."""


class LabelError(ValueError):
    """Labels that do not fit the loss; the text says why, and the mend."""


def class_indices(labels: Labels) -> Encoded:
    """int32 (n,): whole numbers as they are, texts as their place in the sorted list of all texts."""
    if isinstance(labels, list):
        classes = sorted(set(labels))
        index = {text: i for i, text in enumerate(classes)}
        return np.array([index[text] for text in labels], np.int32), tuple(classes)
    values = _one_column(labels, "softmax_cross_entropy without one_hot")
    _refuse(values, (values < 0) | (values != np.floor(values)), "is no class index: they are 0, 1, 2, ...")
    _refuse(values, values > np.iinfo(np.int32).max, "is no class index: it is too large")
    return values.astype(np.int32), ()


def probabilities(labels: Labels) -> Encoded:
    """float32 (n, k): a probability for each class."""
    values = _numbers(labels, "one_hot")
    if values.ndim != 2:
        raise LabelError(f"has shape {values.shape}, one_hot needs one value per class a row")
    sums = values.sum(axis=1)
    _refuse(sums, (values < 0).any(axis=1) | (np.abs(sums - 1) > 1e-3), "is the sum; one_hot needs 1, nothing below 0")
    return values.astype(np.float32), ()


def counts(labels: Labels) -> Encoded:
    """float32 (n, k), nothing below 0."""
    values, classes = targets(labels)
    least = values.min(axis=1)
    _refuse(least, least < 0, "is below 0, and poisson counts")
    return values, classes


def zeros_and_ones(labels: Labels) -> Encoded:
    """float32 (n, 1)."""
    values = _one_column(_numbers(labels, "a loss of two classes"), "a loss of two classes")
    _refuse(values, (values != 0) & (values != 1), "is neither 0 nor 1, as a loss of two classes needs")
    return values.astype(np.float32)[:, np.newaxis], ()


def targets(labels: Labels) -> Encoded:
    """float32 (n, k)."""
    values = _numbers(labels, "a loss on numbers")
    if values.ndim > 2:
        raise LabelError(f"has shape {values.shape}, a loss on numbers needs one vector a row: flatten them")
    values = values.reshape(len(values), -1)
    largest = np.abs(values).max(axis=1)
    _refuse(largest, largest > np.finfo(np.float32).max, "is too large for float32")
    return values.astype(np.float32), ()


ENCODERS: dict[str, Callable[[Labels], Encoded]] = {
    "sum_squared_error": targets,
    "mean_squared_error": targets,
    "softmax_cross_entropy": class_indices,
    "binary_cross_entropy": zeros_and_ones,
    "mean_absolute_error": targets,
    "huber": targets,
    "hinge": zeros_and_ones,
    "poisson": counts,
}


def encode(loss: Loss, labels: Labels) -> Encoded:
    """The labels as `loss` wants them.

    Raises:
        LabelError: they do not fit it.
    """
    one_hot = loss.kind == "softmax_cross_entropy" and loss.value.one_hot
    return probabilities(labels) if one_hot else ENCODERS[loss.kind](labels)


def _numbers(labels: Labels, loss: str) -> NDArray[Any]:
    if not isinstance(labels, list):
        return labels
    # an NPZ file may hold nothing but numbers as texts
    row, text = next(((i, t) for i, t in enumerate(labels, start=1) if not is_number(t)), (1, labels[0]))
    message = f"{text!r} in row {row} is text, {loss} needs numbers: text labels go with softmax_cross_entropy"
    raise LabelError(message)


def _one_column(values: NDArray[Any], loss: str) -> NDArray[Any]:
    if values.ndim > 2 or (values.ndim == 2 and values.shape[1] != 1):
        raise LabelError(f"has shape {values.shape}, {loss} needs one label a row")
    return values.reshape(-1)


def _refuse(values: NDArray[Any], bad: NDArray[np.bool_], why: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        more = f" ({np.count_nonzero(bad)} such rows)" if np.count_nonzero(bad) > 1 else ""
        raise LabelError(f"{values[row]:g} in row {row + 1} {why}{more}")
