"""Encoders of labels: from the numbers or texts of a data file to the array that a loss takes.

Each returns the array and, if labels are texts or categories, the text of each class. Each raises LabelError.
"""

import numpy as np
from numpy.typing import NDArray

from raydient.spec.values import is_number, number_hint, quoted
from raydient.steps.arrays import AnyArray

Labels = AnyArray | list[str]
"""Labels of a data file: numbers, (n,) or (n, k), or n texts."""

Encoded = tuple[AnyArray, tuple[str, ...]]
"""The labels as an array, and the text of each class if labels are texts or categories."""

SHOWN_CLASSES = 5
"""Maximum number of classes that a message lists."""

MOST_NAMES = 1000
"""With more distinct values than this, labels are assumed not to be names of classes."""


COUNTED_CLASSES = 1 << 20
"""With more classes than this, distinct ones are found by sorting."""


class LabelError(ValueError):
    """Labels that do not fit the loss; the message gives the reason and the remedy."""


def class_indices(labels: Labels) -> Encoded:
    """Encode as int32 (n,): whole numbers unchanged, texts as their index in the sorted list of distinct texts."""
    if isinstance(labels, list):
        return categories(labels)
    values = one_column(labels, "softmax_cross_entropy without one_hot")
    bad, too_large = (values < 0) | (values != np.floor(values)), values > np.iinfo(np.int32).max
    hint = names_hint(values, "softmax_cross_entropy") if (bad | too_large).any() else ""
    _refuse(values, bad, f"is no class index: they are 0, 1, 2, ...{hint}")
    _refuse(values, too_large, f"is too large for a class index{hint}")
    return values.astype(np.int32), ()


def distinct(indices: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the distinct class indices, ascending."""
    if len(indices) and indices.max() < COUNTED_CLASSES:
        return np.flatnonzero(np.bincount(indices))  # sorting, as `np.unique` does, takes ten times as long
    return np.unique(indices)


def categories(texts: list[str]) -> Encoded:
    """Encode as int32 (n,): the index of each text in the sorted list of distinct texts; numbers sort as numbers."""
    distinct = set(texts)
    classes = sorted(distinct, key=(lambda text: (float(text), text)) if all(map(is_number, distinct)) else None)
    index = {text: i for i, text in enumerate(classes)}
    return np.array([index[text] for text in texts], np.int32), tuple(classes)


def two_categories(texts: list[str]) -> Encoded:
    """Encode as float32 (n, 1): 0 for the first of two texts in sorted order, 1 for the second."""
    indices, classes = categories(texts)
    if len(classes) != 2:
        some = ", ".join(map(quoted, classes[:SHOWN_CLASSES])) + (", ..." if len(classes) > SHOWN_CLASSES else "")
        message = f"has {len(classes)} classes ({some}), a loss of two classes needs two"
        raise LabelError(f"{message}: softmax_cross_entropy takes any number")
    return indices.astype(np.float32)[:, np.newaxis], classes


def names_hint(values: AnyArray, loss: str) -> str:
    """Return a hint, with a leading semicolon, to declare numbers as classes; empty with too many distinct values."""
    distinct = np.unique(values)
    if len(distinct) > MOST_NAMES:
        return ""
    some = ", ".join(f"{value:g}" for value in distinct[:SHOWN_CLASSES]) + (
        ", ..." if len(distinct) > SHOWN_CLASSES else ""
    )
    setting = f"`loss: {{{loss}: {{categories: true}}}}`"
    return f"; if the {len(distinct)} different values ({some}) are names of classes, say {setting}"


def probabilities(labels: Labels) -> Encoded:
    """Encode as float32 (n, k): a probability for each class."""
    values = _numbers(labels, "one_hot")
    if values.ndim != 2:
        raise LabelError(f"has shape {values.shape}, one_hot needs one value per class a row")
    sums = values.sum(axis=1)
    _refuse(sums, (values < 0).any(axis=1) | (np.abs(sums - 1) > 1e-3), "is the sum; one_hot needs 1, nothing below 0")
    return values.astype(np.float32), ()


def counts(labels: Labels) -> Encoded:
    """Encode as float32 (n, k), none below 0."""
    values, classes = targets(labels)
    least = values.min(axis=1)
    _refuse(least, least < 0, "is below 0, and poisson counts")
    return values, classes


def zeros_and_ones(labels: Labels) -> Encoded:
    """Encode as float32 (n, 1): zeros and ones unchanged; the first of two texts in sorted order becomes 0."""
    if isinstance(labels, list):
        return two_categories(labels)
    values = one_column(labels, "a loss of two classes")
    bad = (values != 0) & (values != 1)
    hint = names_hint(values, "binary_cross_entropy") if bad.any() and len(np.unique(values)) == 2 else ""
    _refuse(values, bad, f"is neither 0 nor 1, as a loss of two classes needs{hint}")
    return values.astype(np.float32)[:, np.newaxis], ()


def targets(labels: Labels) -> Encoded:
    """Encode as float32 (n, k)."""
    values = _numbers(labels, "a loss on numbers")
    if values.ndim > 2:
        raise LabelError(f"has shape {values.shape}, a loss on numbers needs one vector a row: flatten them")
    values = values.reshape(len(values), -1)
    largest = np.abs(values).max(axis=1)
    _refuse(largest, largest > np.finfo(np.float32).max, "is too large for float32")
    return values.astype(np.float32), ()


def _numbers(labels: Labels, loss: str) -> AnyArray:
    """Return labels that are numbers."""
    if not isinstance(labels, list):
        return labels
    # an NPZ file may hold nothing but numbers as texts
    row, text = next(((i, t) for i, t in enumerate(labels, start=1) if not is_number(t)), (1, labels[0]))
    hint = number_hint(text) or ": text labels go with softmax_cross_entropy"
    raise LabelError(f"{quoted(text)} in row {row} is text, {loss} needs numbers{hint}")


def one_column(values: AnyArray, loss: str) -> AnyArray:
    """Return labels (n,) or (n, 1) as (n,); `loss` names the loss in the error."""
    if values.ndim > 2 or (values.ndim == 2 and values.shape[1] != 1):
        raise LabelError(f"has shape {values.shape}, {loss} needs one label a row")
    return values.reshape(-1)


def _refuse(values: AnyArray, bad: NDArray[np.bool_], why: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        more = f" ({np.count_nonzero(bad)} such rows)" if np.count_nonzero(bad) > 1 else ""
        raise LabelError(f"{values[row]:g} in row {row + 1} {why}{more}")
