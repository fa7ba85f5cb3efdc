"""Encoders of labels: from the numbers or texts of a data file to the array that a loss takes.

Each encoder returns the array and, if labels are texts or categories, the text of each class. It raises LabelError.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raydient.spec.values import is_number, number_hint, quoted
from raydient.steps.arrays import AnyArray
from raydient.workers.row_errors import RowError

from .places import SKIPPED

Labels = AnyArray | list[str]
"""Labels of a data file: numbers (n, ...), n texts, or an array of texts (n, ...) of Python objects."""

Encoded = tuple[AnyArray, tuple[str, ...]]
"""The labels as an array, and the text of each class if labels are texts or categories."""

SHOWN_CLASSES = 5
"""Maximum number of classes that a message lists."""

MOST_NAMES = 1000
"""With more distinct values than this, labels are assumed not to be names of classes."""

BOOLEANS = ("False", "True")
"""The classes of labels that are booleans, as `category_text` writes them."""

COUNTED_AT_ONCE = 2**20
"""Labels whose classes are counted at a time."""
COUNTED_CLASSES = 1 << 20
"""With more classes than this, `distinct` sorts the labels instead of counting each class."""


class LabelError(RowError):
    """Labels that do not fit the loss; the message gives the reason and the remedy."""


def class_indices(labels: Labels, ignored: int | None = None) -> Encoded:
    """Encode as int32, (n,) for one label a row, else (n, *positions): whole numbers unchanged, booleans as 0 and 1,
    texts as their index in the sorted list of distinct texts. The label `ignored` becomes SKIPPED.
    """
    if are_texts(labels):
        texts = labels if isinstance(labels, list) else labels.reshape(-1).tolist()
        if ignored is not None:
            raise LabelError(f"{quoted(texts[0])} in ", 0, " is text, but ignore_class is a number: leave it out")
        return named(labels, texts)
    assert isinstance(labels, np.ndarray)
    values = _by_position(labels)
    counts = np.ones(values.shape, np.bool_) if ignored is None else values != ignored
    bad = counts & ((values < 0) | (values != np.floor(values)))
    too_large = counts & (values > np.iinfo(np.int32).max)
    hint = names_hint(values, "softmax_cross_entropy") if (bad | too_large).any() else ""
    _refuse(values, bad, f"is not a class index, which is 0, 1, 2, ...{hint}")
    _refuse(values, too_large, f"is too large for a class index{hint}")
    if not counts.any():
        raise LabelError(f"every label is {ignored}, the class to ignore, so there is nothing to learn")
    return np.where(counts, values, SKIPPED).astype(np.int32), BOOLEANS if values.dtype == np.bool_ else ()


def are_texts(labels: Labels) -> bool:
    """Return True if labels are texts."""
    return isinstance(labels, list) or labels.dtype.kind == "O"


def named(labels: Labels, texts: list[str]) -> Encoded:
    """Encode as int32, like `class_indices`, labels whose texts in row-major order are `texts`."""
    indices, classes = categories(texts)
    return (indices, classes) if isinstance(labels, list) else (_by_position(indices.reshape(labels.shape)), classes)


def _by_position(labels: AnyArray) -> AnyArray:
    """Return labels (n, *positions); of one label a row, (n,)."""
    return labels.reshape(-1) if labels.shape[1:] == (1,) else labels


def distinct(indices: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the distinct class indices, ascending, without SKIPPED."""
    indices = indices.reshape(-1)
    if len(indices) > COUNTED_AT_ONCE:  # NumPy counts a copy of them, of twice their size
        starts = range(0, len(indices), COUNTED_AT_ONCE)
        return np.unique(np.concatenate([distinct(indices[start : start + COUNTED_AT_ONCE]) for start in starts]))
    if len(indices) and indices.min() < 0:
        indices = indices[indices >= 0]
    if len(indices) and indices.max() < COUNTED_CLASSES:
        return np.flatnonzero(np.bincount(indices))  # sorting, as `np.unique` does, takes ten times as long
    return np.unique(indices)


def categories(texts: list[str]) -> Encoded:
    """Encode as int32 (n,): the index of each text in the sorted list of distinct texts; numbers sort as numbers."""
    different = set(texts)
    classes = sorted(different, key=(lambda text: (float(text), text)) if all(map(is_number, different)) else None)
    index = {text: i for i, text in enumerate(classes)}
    return np.array([index[text] for text in texts], np.int32), tuple(classes)


def two_categories(texts: list[str]) -> Encoded:
    """Encode as float32 (n, 1): 0 for the first of two texts in sorted order, 1 for the second."""
    indices, classes = categories(texts)
    if len(classes) != 2:
        message = f"has {len(classes)} classes ({shown_classes(classes)}), but a loss of two classes needs two"
        raise LabelError(f"{message}: softmax_cross_entropy takes any number of classes")
    return indices.astype(np.float32)[:, np.newaxis], classes


def shown_classes(classes: Sequence[str]) -> str:
    """Return the first classes in quotes, for messages."""
    return ", ".join(map(quoted, classes[:SHOWN_CLASSES])) + (", ..." if len(classes) > SHOWN_CLASSES else "")


def names_hint(values: AnyArray, loss: str) -> str:
    """Return a hint, with a leading semicolon, to declare numbers as classes; empty with too many distinct values."""
    different = np.unique(values)
    if len(different) > MOST_NAMES:
        return ""
    more = ", ..." if len(different) > SHOWN_CLASSES else ""
    some = ", ".join(f"{value:g}" for value in different[:SHOWN_CLASSES]) + more
    setting = f"`loss: {{{loss}: {{categories: true}}}}`"
    return f"; if the {len(different)} different values ({some}) are names of classes, write {setting}"


def probabilities(labels: Labels, setting: str = "one_hot") -> Encoded:
    """Encode as float32 (n, ..., k): a probability for each class. `setting` is named in errors."""
    values = _numbers(labels, setting)
    if values.ndim < 2:
        raise LabelError(f"has shape {values.shape}, but {setting} needs one value per class in each row")
    sums = values.sum(axis=-1)
    _refuse(
        sums,
        (values < 0).any(axis=-1) | (np.abs(sums - 1) > 1e-3),
        f"is the sum of the probabilities; {setting} needs a sum of 1 and no value below 0",
    )
    return values.astype(np.float32), ()


def counts(labels: Labels) -> Encoded:
    """Encode as float32 (n, k), none below 0."""
    values, classes = targets(labels)
    least = values.min(axis=1)
    _refuse(least, least < 0, "is below 0, but poisson needs counts")
    return values, classes


def zeros_and_ones(labels: Labels) -> Encoded:
    """Encode as float32 (n, ...), at least (n, 1): zeros and ones unchanged; of two texts the first in order is 0."""
    if isinstance(labels, list):
        return two_categories(labels)
    values = _numbers(labels, "a loss of two classes by position")
    bad = (values != 0) & (values != 1)
    is_one = values[0].size == 1
    hint = names_hint(values, "binary_cross_entropy") if bad.any() and is_one and len(np.unique(values)) == 2 else ""
    _refuse(values, bad, f"is neither 0 nor 1, the labels of a loss of two classes{hint}")
    classes = BOOLEANS if is_one and values.dtype == np.bool_ else ()
    return values.astype(np.float32).reshape(len(values), *(values.shape[1:] or (1,))), classes


def targets(labels: Labels) -> Encoded:
    """Encode as float32 (n, k)."""
    return measured(labels).astype(np.float32), ()


def measured(labels: Labels) -> AnyArray:
    """Return the labels of a loss on numbers, (n, k), in their own type, in the range of float32."""
    values = _numbers(labels, "a loss on numbers")
    if values.ndim > 2:
        raise LabelError(f"has shape {values.shape}, but a loss on numbers needs one vector a row: flatten the labels")
    values = values.reshape(len(values), -1)
    largest = np.abs(values).max(axis=1)
    _refuse(largest, largest > np.finfo(np.float32).max, "is too large for float32")
    return values


def _numbers(labels: Labels, loss: str) -> AnyArray:
    """Return labels that are numbers."""
    if not are_texts(labels):
        assert isinstance(labels, np.ndarray)
        return labels
    texts = labels if isinstance(labels, list) else labels.reshape(-1).tolist()
    per_row = len(texts) // len(labels)
    # if every text is a number, as an NPZ file may store them, the error shows the first
    place, text = next(((i, t) for i, t in enumerate(texts) if not is_number(t)), (0, texts[0]))
    hint = number_hint(text) or ": text labels go with softmax_cross_entropy"
    raise LabelError(f"{quoted(text)} in ", place // per_row, f" is text, but {loss} needs numbers{hint}")


def one_column(values: AnyArray, loss: str) -> AnyArray:
    """Return labels (n,) or (n, 1) as (n,); `loss` names the loss in the error."""
    if values.ndim > 2 or (values.ndim == 2 and values.shape[1] != 1):
        raise LabelError(f"has shape {values.shape}, but {loss} needs one label a row")
    return values.reshape(-1)


def _refuse(values: AnyArray, bad: NDArray[np.bool_], why: str) -> None:
    """Raise LabelError with the first bad value. Both arrays are (n, ...), one row for each sample."""
    if bad.any():
        row, *place = (int(i) for i in np.argwhere(bad)[0])
        at = f", position {tuple(place)}," if values.ndim > 1 and values.shape[1:] != (1,) else ""
        count = np.count_nonzero(bad)
        more = f" ({count} such {'labels' if at else 'rows'})" if count > 1 else ""
        raise LabelError(f"{values[(row, *place)]:g} in ", row, f"{at} {why}{more}")
