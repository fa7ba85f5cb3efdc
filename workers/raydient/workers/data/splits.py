"""The rows of a data file that are held out: a function of the data, the specification and the seed alone."""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import LABEL, SPLIT
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.splits import Folds
from raydient.spec.values import is_number, quoted
from raydient.workers.network import category_places, category_texts
from raydient.workers.network.losses import Labels
from raydient.workers.row_errors import RowError
from raydient.workers.streams import Purpose, stream

from .raw import RawData, label_path
from .source import Rows, split_rows

Moment = int | float | datetime
Value = TypeVar("Value", str, Moment)


def split(spec: DatasetSpec, raw: RawData, seed: int) -> tuple[Rows, Rows]:
    """Return the training part and the held-out part of a file's rows, both ascending.

    Args:
        spec: has the share and the method.
        raw: the data, with the values of the method's column as texts.
        seed: of the draw.

    Raises:
        InvalidSpec: the values do not fit the method. Values that have errors already are split as at random.
    """
    method, share, path = spec.split.method, spec.split.test, label_path(spec, SPLIT)
    texts = _texts(spec, raw, path)
    try:
        if method.folds is not None:
            held_out = _fold(texts, method.folds, raw.rows, seed)
        elif texts is None or not (share or method.column):
            return split_rows(seed, raw.rows, share)
        elif method.column is not None:
            held_out = _named(texts, method.column.train, method.column.test)
        elif method.stratified is not None:
            held_out = _stratified(texts, share, seed)
        elif method.grouped is not None:
            held_out = _grouped(texts, max(1, round(raw.rows * share)), seed)
        else:
            held_out = _ordered(texts, max(1, round(raw.rows * share)))
    except _UnfitError as problem:
        column = quoted(spec.split.column or spec.named_labels[LABEL]) + ": " if texts is not None else ""
        raise InvalidSpec([FieldError(path, f"{column}{problem.sentence(raw.row_name)}")]) from problem
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


class _UnfitError(RowError):
    """The values of a column do not fit the method; the message says why."""


def _texts(spec: DatasetSpec, raw: RawData, path: str) -> list[str] | None:
    """Return the value of each row that decides; None if there is none or it has errors already."""
    if spec.split.column is not None:
        texts = raw.texts.get(SPLIT)
        if texts is not None and len(texts) != raw.rows:
            text = f"{quoted(spec.split.column)} has several values a row, but a split needs one"
            raise InvalidSpec([FieldError(path, text)])
        return None if texts is None else [text.strip() for text in texts]
    if spec.split.method.classes is None:
        return None
    if len(spec.named_labels) != 1:
        raise InvalidSpec([FieldError(path, "there are several labels: name the column whose classes count in `by`")])
    (name,) = spec.named_labels
    return _label_texts(raw.labels[name], path) if name in raw.labels else None


def _label_texts(labels: Labels, path: str) -> list[str]:
    if isinstance(labels, list):
        return labels
    if labels.size != len(labels):
        text = f"a label has shape {labels.shape[1:]}: name a column of classes in `by`"
        raise InvalidSpec([FieldError(path, text)])
    return category_texts(labels)


def _fold(texts: Sequence[str] | None, folds: Folds, rows: int, seed: int) -> NDArray[np.bool_]:
    """Hold out a fold: rows are dealt to the folds in a drawn order, those of one class after those of another.

    Folds of classes or of single rows differ by one row at most. Of groups the largest is dealt first, each to the fold
    with the fewest rows.
    """
    held_out, number = np.zeros(rows, np.bool_), folds.number
    if number > rows:
        raise _UnfitError(f"{number} folds of {rows} rows leave some without a row: at most {rows}")
    order = stream(Purpose.SPLIT, seed).permutation(rows)
    if texts is not None and folds.grouped is not None:
        return _fold_of_groups(texts, folds, seed)
    if texts is not None:
        _, numbers, _ = _classes(texts)
        order = order[np.argsort(numbers[order], kind="stable")]
    held_out[order[folds.fold - 1 :: number]] = True
    return held_out


def _fold_of_groups(texts: Sequence[str], folds: Folds, seed: int) -> NDArray[np.bool_]:
    groups, numbers, counts = _counted(texts)
    if len(groups) < folds.number:
        raise _UnfitError(f"{folds.number} folds need a group each, but there are {len(groups)}: at most {len(groups)}")
    order = stream(Purpose.SPLIT, seed).permutation(len(groups))
    sizes = np.zeros(folds.number, np.int64)
    fold_of = np.zeros(len(groups), np.int64)
    for group in order[np.argsort(-counts[order], kind="stable")].tolist():
        fold_of[group] = np.argmin(sizes)
        sizes[fold_of[group]] += counts[group]
    return np.asarray(fold_of[numbers] == folds.fold - 1)


def _classes(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return what `_counted` returns. Raises _UnfitError for a class of a single row."""
    classes, numbers, counts = _counted(texts)
    single = np.flatnonzero(counts == 1)
    if len(single):
        more = f" ({len(single)} such classes)" if len(single) > 1 else ""
        text = f" is the only one of the class {quoted(classes[single[0]])}{more}"
        row = int(np.flatnonzero(numbers == single[0])[0])
        raise _UnfitError(row, f"{text}: a class needs a row in each part; add rows, or split by another method")
    return classes, numbers, counts


def _stratified(texts: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Hold out a share of the rows of each class, at least one and not all.

    The share is rounded for each class, so that of all rows may differ by half a row for each class.
    """
    held_out = np.zeros(len(texts), np.bool_)
    order = stream(Purpose.SPLIT, seed).permutation(len(texts))
    _, numbers, counts = _classes(texts)
    by_class = order[np.argsort(numbers[order], kind="stable")]
    start = 0
    for count in counts.tolist():
        held_out[by_class[start : start + min(max(1, round(count * share)), count - 1)]] = True
        start += count
    return held_out


def _grouped(texts: Sequence[str], wanted: int, seed: int) -> NDArray[np.bool_]:
    """Hold out whole groups, drawn one after the other; one that would lead away from the wanted rows is left out."""
    groups, numbers, counts = _counted(texts)
    if len(groups) < 2:
        raise _UnfitError(f"every row has the value {quoted(groups[0])}, but each part needs a group of its own")
    order, missing = stream(Purpose.SPLIT, seed).permutation(len(groups)), wanted
    drawn: list[int] = []
    for group in order.tolist():
        if counts[group] < 2 * missing and len(drawn) < len(groups) - 1:
            drawn.append(group)
            missing -= int(counts[group])
    return np.isin(numbers, drawn or [order[np.argmin(counts[order])]])


def _ordered(texts: Sequence[str], wanted: int) -> NDArray[np.bool_]:
    """Hold out the last rows; rows of the same moment stay together, where the cut is nearest to the wanted rows."""
    distinct, numbers, counts = _counted(_moments(texts))
    if len(distinct) < 2:
        raise _UnfitError(f"every row has the value {quoted(texts[0])}, so none is later than another")
    later = np.cumsum(counts[:0:-1])[::-1]  # rows after each moment but the last
    return numbers > int(np.argmin(np.abs(later - wanted)))


def _named(texts: Sequence[str], train: Sequence[str], test: Sequence[str]) -> NDArray[np.bool_]:
    """Hold out the rows whose value is one of `test`; values are compared as categories are."""
    words = (*train, *test)
    known = {text: place >= len(train) for text, place in category_places(words).items()}
    for row, text in enumerate(texts):
        if text not in known:
            raise _UnfitError(f"{quoted(text)} in ", row, f" names no part; these are {', '.join(map(quoted, words))}")
    held_out = np.array([known[text] for text in texts], np.bool_)
    for part, names, there in (("training", train, ~held_out), ("held-out", test, held_out)):
        if not there.any():
            raise _UnfitError(f"no row is in the {part} part, {' or '.join(map(quoted, names))}")
    return held_out


def _counted(values: Sequence[Value]) -> tuple[list[Value], NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct values in order, the place of each row's value among them, and the rows of each."""
    distinct = sorted(set(values))
    place = {value: number for number, value in enumerate(distinct)}
    numbers = np.array([place[value] for value in values], np.int64)
    return distinct, numbers, np.bincount(numbers)


def _moments(texts: Sequence[str]) -> list[Moment]:
    """Return what rows are ordered by: numbers if all are numbers, else dates in ISO 8601."""
    are_numbers = all(map(is_number, texts))
    moments: list[Moment] = []
    for row, text in enumerate(texts):
        try:
            moments.append(_number(text) if are_numbers else datetime.fromisoformat(text))
        except ValueError:
            kind = "a finite number" if are_numbers else "a number or a date such as 2026-11-30 or 2026-11-30T08:30"
            raise _UnfitError(f"{quoted(text)} in ", row, f" is not {kind}") from None
    zones = [isinstance(moment, datetime) and moment.tzinfo is not None for moment in moments]
    if any(zones) and not all(zones):
        rows = zones.index(True), zones.index(False)
        raise _UnfitError(rows[0], " has a time zone and ", rows[1], " has none: all or none need one")
    return moments


def _number(text: str) -> int | float:
    """Return a number; a whole one exactly, as times in nanoseconds are. Raises ValueError if it is not finite."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number
