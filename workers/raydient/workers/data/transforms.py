"""Fits the steps of the preparation of an input to its training part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.values import quoted
from raydient.workers.network import (
    Bounding,
    Dates,
    FitError,
    Imputation,
    Logarithm,
    Rescaling,
    Scaling,
    Settings,
    Transform,
)

from .blocks import blocks
from .limits import Budget
from .raw import RawInput

Fit = Callable[[NDArray[np.number]], Transform]


@dataclass(frozen=True, slots=True)
class _Step:
    """A step that the specification asks for.

    Attributes:
        settings: those of the transform.
        name: of the setting in `dataset.columns`, for the errors of a fit.
        sources: the column, by its place, of each feature to which the step is fitted; empty for an array.
        fit: computes its figures from training samples, as the steps before leave them.
    """

    settings: Settings
    name: str
    sources: Sequence[int]
    fit: Fit


def fit(
    spec: DatasetSpec, raw: RawInput, train: NDArray[np.int64], kept: Sequence[Transform] = (), *, budget: Budget
) -> tuple[Transform, ...]:
    """Return the steps that a specification asks for, fitted in order, each on the result of those before.

    Args:
        spec: asks for the steps.
        raw: the samples of an input of numbers.
        train: rows of the training part.
        kept: fitted steps of another model of the same columns. A step with the same settings is used as it is, and a
            number in place of missing values where that column has one.
        budget: limit on the memory.

    Raises:
        InvalidSpec: a step cannot be fitted to a feature.
    """
    fitted: list[Transform] = []
    spent = budget.spent
    x, applied = None, 0  # training samples, as the first steps leave them
    for step in _steps(spec, raw, kept):
        transform = next((one for one in kept if one.settings == step.settings), None)
        if transform is None:
            x = _gathered(raw.values, train, budget) if x is None else x
            for before in fitted[applied:]:
                x = _applied(before, x, budget)
            applied = len(fitted)
            try:
                transform = step.fit(x)
            except FitError as error:
                place = (step.sources[error.place[0]],) if step.sources else error.place
                path = setting_path(spec, raw, place, step.name)
                raise InvalidSpec([FieldError(path, f"{feature_text(raw, place)}: {error}")]) from None
        fitted.append(transform)
    budget.spent = spent  # the training samples are needed no more
    return tuple(fitted)


def _gathered(values: NDArray[np.number], rows: NDArray[np.int64], budget: Budget) -> NDArray[np.number]:
    """Return some rows."""
    gathered = budget.empty((len(rows), *values.shape[1:]), values.dtype)
    for block in blocks(len(rows), values.shape[1:]):
        gathered[block] = values[rows[block]]
    return gathered


def _applied(transform: Transform, x: NDArray[np.number], budget: Budget) -> NDArray[np.number]:
    """Return samples after a step."""
    applied = budget.empty((len(x), *transform.shape(x.shape[1:])), np.float64)
    for block in blocks(len(x), x.shape[1:]):
        applied[block] = transform.apply(x[block].astype(np.float64, copy=False))
    return applied


def _steps(spec: DatasetSpec, raw: RawInput, kept: Sequence[Transform]) -> Iterator[_Step]:
    shape = raw.values.shape[1:]
    columns = raw.columns if raw.is_table else ()
    sources = list(range(len(columns)))
    if raw.is_image:
        rescaling = Rescaling.to_unit()
        yield _Step(rescaling.settings, "scale", sources, lambda _: rescaling)
    rules = {place: rule for place, name in enumerate(columns) if (rule := spec.imputes(name))}
    if not (raw.is_table or raw.is_image) and spec.impute:
        rules = dict.fromkeys(range(prod(shape)), spec.impute)
    indicators = tuple(columns.index(name) for name in spec.indicators(columns))
    if rules:
        before = next((one for one in kept if isinstance(one, Imputation)), None)
        known = dict(zip(before.places.tolist(), before.values.tolist(), strict=True)) if before else {}
        settings = Imputation.settings_of(rules, indicators)
        yield _Step(settings, "impute", sources, lambda x: Imputation.fit(x, rules, indicators, known))
    if forms := {place: form for place, name in enumerate(columns) if (form := spec.date_of(name))}:
        dates = Dates.of(forms)
        sources = [place for place, _ in dates.sources(len(columns))]
        yield _Step(dates.settings, "date", sources, lambda _: dates)
    features = [columns[place] for place in sources]
    if raw.is_table:
        yield from _bending(spec, features, sources)
    kinds = [spec.scale_of(name) for name in features]
    if indicators or len(set(kinds)) > 1 or "min_max" in kinds:
        each = [*kinds, *("none" for _ in indicators)]  # indicators, which follow the columns, stay 0 and 1
        if set(kinds) != {"none"}:
            yield _Step(Scaling.settings_of(each), "scale", sources, lambda x: Scaling.fit_each(x, each))
    elif "standardize" in kinds or (not raw.is_table and spec.standardize):
        count = len(kinds) if raw.is_table else prod(shape)
        yield _Step(Scaling.settings_of(["standardize"] * count), "scale", sources, Scaling.fit)


def _bending(spec: DatasetSpec, features: Sequence[str], sources: Sequence[int]) -> Iterator[_Step]:
    """Yield the steps of bounds and logarithms; `features` are the columns of the features."""
    settings = {place: spec.columns[name] for place, name in enumerate(features) if name in spec.columns}
    if bounds := {place: one.clip for place, one in settings.items() if one.clip}:
        bounding = Bounding.of(bounds)
        yield _Step(bounding.settings, "clip", sources, lambda _: bounding)
    if logarithms := [place for place, one in settings.items() if one.log]:
        places = np.array(logarithms, np.int64)
        yield _Step(Logarithm(places).settings, "log", sources, lambda x: Logarithm.fit(x, places))


def added_features(spec: DatasetSpec, name: str) -> int:
    """Return the number of features that an input has besides one for each column."""
    columns = spec.inputs[name].columns if name in spec.inputs else tuple(spec.columns)
    parts = sum(len(form.names) - 1 for column in columns if (form := spec.date_of(column)))
    return len(spec.indicators(columns)) + parts


def setting_path(spec: DatasetSpec, raw: RawInput, place: tuple[int, ...], name: str) -> str:
    """Return the path of a setting of `dataset.columns` that a feature has, or of the setting of all features."""
    column = raw.columns[place[0]] if raw.is_table else ""
    if column in spec.columns and getattr(spec.columns[column], name):
        return f"dataset.columns.{column}.{name}"
    return {"impute": "dataset.impute", "scale": "dataset.standardize"}[name]


def feature_text(raw: RawInput, place: tuple[int, ...]) -> str:
    """Return the name of one feature of a sample, for messages."""
    if raw.is_table:
        return f"column {quoted(raw.columns[place[0]])}"
    return f"{quoted(raw.columns[0])}, position {place}"
