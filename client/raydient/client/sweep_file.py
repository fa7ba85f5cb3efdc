"""Reads sweep files: a job, and the values that its fields are tried with."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydient.spec.document import MAXIMUM_BYTES, Document, parse
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.reading import in_order, located
from raydient.spec.validation import validate_job

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from .job import Job

SAMPLERS = ("grid", "random", "tpe")
KEYS = ("job", "metric", "sampler", "trials", "seed", "parallel", "search")
RANGES = ("uniform", "log_uniform", "integer", "log_integer")
MOST_TRIALS = 10_000
MOST_PARALLEL = 100


@dataclass(frozen=True, slots=True)
class Space:
    """The values of one field.

    Attributes:
        path: of the field in the job file.
        kind: `choice`, or one of `RANGES`.
        values: of a choice, in any form that the field takes; of a range its ends.
    """

    path: str
    kind: str
    values: tuple[Any, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The values of a choice as JSON, which Optuna stores."""
        return tuple(json.dumps(value, sort_keys=True) for value in self.values)

    def distribution(self) -> "BaseDistribution":
        """The form that Optuna takes."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "choice":
            return CategoricalDistribution(self.texts)
        low, high = self.values
        is_log = self.kind.startswith("log_")
        if self.kind.endswith("integer"):
            return IntDistribution(low, high, log=is_log)
        return FloatDistribution(float(low), float(high), log=is_log)

    def value(self, drawn: Any) -> Any:
        """The field's value for one that Optuna has drawn."""
        return json.loads(drawn) if self.kind == "choice" else drawn


@dataclass(frozen=True, slots=True)
class Sweep:
    """The content of a sweep file.

    Attributes:
        path: of the file.
        job: the path of the job file.
        metric: that is compared, such as `test_loss`.
        sampler: one of `SAMPLERS`.
        trials: their number.
        seed: of the sampler.
        parallel: jobs in flight on a service.
        spaces: the fields that are tried.
        document: the content with its lines.
    """

    path: Path
    job: Path
    metric: str
    sampler: str
    trials: int
    seed: int
    parallel: int
    spaces: tuple[Space, ...]
    document: Document

    @property
    def paths(self) -> list[str]:
        """The fields that are tried."""
        return [space.path for space in self.spaces]

    @property
    def identity(self) -> dict[str, Any]:
        """The parts that decide the trials, except their number."""
        spaces = [[space.path, space.kind, list(space.values)] for space in self.spaces]
        return {"metric": self.metric, "sampler": self.sampler, "seed": self.seed, "search": spaces}

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every combination of choices, the last field fastest."""
        for values in itertools.product(*(space.values for space in self.spaces)):
            yield {space.path: value for space, value in zip(self.spaces, values, strict=True)}

    def corners(self) -> Iterator[dict[str, Any]]:
        """Combinations in which each choice and each end of a range occurs, one field at a time."""
        first = {space.path: space.values[0] for space in self.spaces}
        yield first
        for space in self.spaces:
            for value in space.values[1:]:
                yield {**first, space.path: value}

    def locate(self, errors: Sequence[FieldError]) -> InvalidSpec:
        """Add the lines of the file to errors."""
        return InvalidSpec(in_order(located(errors, self.document)))


def open_sweep(path: Path) -> Sweep:
    """Read a sweep file. Raises InvalidSpec with every broken rule."""
    document = _read(path)
    data = document.data
    errors = [*document.errors, *_unknown_keys(data)]
    job = _text(data, "job", "", errors)
    metric = _text(data, "metric", "test_loss", errors)
    sampler = data.get("sampler", "random")
    if sampler not in SAMPLERS:
        errors.append(FieldError("sampler", f"there is no {sampler!r}; there are: {', '.join(SAMPLERS)}"))
    spaces = tuple(_spaces(data.get("search"), errors))
    errors += _overlaps([space.path for space in spaces])
    count = 1
    for space in spaces:
        count *= len(space.values)
    if sampler == "grid":
        errors += [
            FieldError(f"search.{space.path}", f"a grid takes choices, not {space.kind}: list the values as `choice`")
            for space in spaces
            if space.kind != "choice"
        ]
        if "trials" in data:
            errors.append(FieldError("trials", f"a grid tries every combination, {count:,}: leave trials out"))
        elif count > MOST_TRIALS:
            errors.append(FieldError("search", f"{count:,} combinations are more than {MOST_TRIALS:,}"))
        trials = count
    else:
        if "trials" not in data:
            errors.append(FieldError("trials", f"is missing: the number of trials, 1 to {MOST_TRIALS:,}"))
        trials = _whole(data, "trials", 1, (1, MOST_TRIALS), errors)
    seed = _whole(data, "seed", 0, (0, 2**31 - 1), errors)
    parallel = _whole(data, "parallel", 1, (1, MOST_PARALLEL), errors)
    if errors:
        raise InvalidSpec(in_order(located(errors, document)))
    if not metric.startswith(("test_", "train_")):
        metric = f"test_{metric}"
    return Sweep(path, path.parent / job, metric, sampler, trials, seed, parallel, spaces, document)


def _read(path: Path) -> Document:
    """Read a mapping that may be a sweep. Raises InvalidSpec."""
    try:
        with path.open("rb") as file:
            document = parse(file.read(MAXIMUM_BYTES + 1).decode("utf-8-sig"))
    except OSError as error:
        raise InvalidSpec([FieldError("", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise InvalidSpec([FieldError("", "cannot be read: it is not UTF-8 text")]) from None
    if not isinstance(document.data, dict):
        raise InvalidSpec([FieldError("", f"a mapping with the keys {', '.join(KEYS)} is needed")])
    if document.data.keys().isdisjoint(("job", "search")) and "network" in document.data:
        text = "is a job file: a sweep names one by `job`, and the fields to try by `search`"
        raise InvalidSpec([FieldError("", text)])
    return document


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Return for each path its shortest end that is the end of no other."""
    names = {}
    for path in paths:
        parts = path.split(".")
        ends = [".".join(parts[place:]) for place in reversed(range(len(parts)))]
        others = [f".{other}" for other in paths if other != path]
        names[path] = next((end for end in ends if not any(other.endswith(f".{end}") for other in others)), path)
    return names


def with_values(job: JobSpec, values: Mapping[str, Any]) -> JobSpec:
    """Return a job with other values of fields, by their paths. Raises InvalidSpec with paths of the sweep file."""
    data, errors = job.canonical(), []
    for path, value in values.items():
        try:
            _set(data, path, value)
        except ValueError as error:
            errors.append(FieldError(f"search.{path}", str(error)))
    if errors:
        raise InvalidSpec(errors)
    try:
        return validate_job(data)
    except InvalidSpec as invalid:
        raise InvalidSpec(of_search(invalid.errors, values)) from None


def of_search(errors: Sequence[FieldError], values: Mapping[str, Any]) -> list[FieldError]:
    """Return the errors of a job with these values, with the paths of the sweep file where a value is the cause."""
    of_values: list[FieldError] = []
    tried = ", ".join(f"{path}={json.dumps(value)}" for path, value in values.items())
    for error in errors:
        cause = next((path for path in values if error.path.startswith(path) or path.startswith(error.path)), "")
        path = f"search.{cause}" if cause else "search"
        where = "" if error.path == cause else f"{error.path}: "
        of_values.append(FieldError(path, f"with {tried}: {where}{error.message}"))
    return of_values


def _unknown_keys(data: Mapping[str, Any]) -> Iterator[FieldError]:
    import difflib

    for key in data:
        if key not in KEYS:
            close = difflib.get_close_matches(str(key), KEYS, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"known: {', '.join(KEYS)}"
            yield FieldError(str(key), f"unknown key; {remedy}")


def _text(data: Mapping[str, Any], key: str, default: str, errors: list[FieldError]) -> str:
    value = data.get(key, default)
    if not isinstance(value, str) or not value:
        what = "the path of a job file" if key == "job" else "the name of a metric"
        errors.append(FieldError(key, f"{value!r}: {what} is needed" if key in data else f"is missing: {what}"))
        return ""
    return value


def _whole(data: Mapping[str, Any], key: str, default: int, limits: tuple[int, int], errors: list[FieldError]) -> int:
    value = data.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not limits[0] <= value <= limits[1]:
        errors.append(FieldError(key, f"{value!r}: a whole number is needed, {limits[0]:,} to {limits[1]:,}"))
        return default
    return value


def _spaces(search: Any, errors: list[FieldError]) -> Iterator[Space]:
    if not isinstance(search, dict) or not search:
        text = "fields of the job with their values are needed, such as training.batch_size: {choice: [64, 128]}"
        errors.append(FieldError("search", text))
        return
    for path, space in search.items():
        field = f"search.{path}"
        if not isinstance(space, dict) or len(space) != 1 or next(iter(space)) not in ("choice", *RANGES):
            kinds = ", ".join(("choice", *RANGES))
            errors.append(FieldError(field, f"one of {kinds} is needed, such as {{choice: [1, 2]}}"))
            continue
        ((kind, values),) = space.items()
        problem = _problem(kind, values)
        if problem:
            errors.append(FieldError(f"{field}.{kind}", f"{json.dumps(values)}: {problem}"))
        else:
            yield Space(path, kind, tuple(values))


def _overlaps(paths: Sequence[str]) -> Iterator[FieldError]:
    """Yield an error for each field that is a part of another one, whose values would replace it."""
    for path in paths:
        for whole in paths:
            if path.startswith((f"{whole}.", f"{whole}[")):
                yield FieldError(
                    f"search.{path}", f"is a part of {whole}, which is searched too: leave one of them out"
                )


def _problem(kind: str, values: Any) -> str:
    """Return the rule that values break; empty if none."""
    if kind == "choice":
        if not isinstance(values, list) or not values:
            return "a list of values is needed"
        texts = [json.dumps(value, sort_keys=True) for value in values]
        return "a value is there twice" if len(set(texts)) < len(texts) else ""
    is_whole = kind.endswith("integer")
    types = int if is_whole else (int, float)
    what = "two whole numbers, the smaller one first" if is_whole else "two numbers, the smaller one first"
    if not isinstance(values, list) or len(values) != 2:
        return f"{what}, are needed"
    if not all(isinstance(value, types) and not isinstance(value, bool) and isfinite(value) for value in values):
        return f"{what}, are needed"
    if values[0] >= values[1]:
        return f"{what}, are needed"
    return "a logarithmic range is above 0" if kind.startswith("log_") and values[0] <= 0 else ""


def _set(data: Any, path: str, value: Any) -> None:
    """Set a field of plain data. Raises ValueError if the path leads nowhere."""
    if not re.fullmatch(r"\w+(\.\w+|\[\d+\])*", path):
        raise ValueError("is no path of a field, such as training.batch_size or network.layers[0].dense.units")
    steps: list[str | int] = [int(step[1:-1]) if step[0] == "[" else step for step in re.findall(r"\w+|\[\d+\]", path)]
    at = ""
    for place, step in enumerate(steps):
        is_last = place == len(steps) - 1
        if isinstance(step, int):
            if not isinstance(data, list) or step >= len(data):
                has = f"has {len(data)} items, from [0] on" if isinstance(data, list) else "is no list"
                raise ValueError(f"{at} {has}")
        elif not isinstance(data, dict):
            raise ValueError(f"{at} has no fields")
        elif not is_last:
            data.setdefault(step, [] if isinstance(steps[place + 1], int) else {})
        at = f"{at}[{step}]" if isinstance(step, int) else f"{at}.{step}" if at else step
        if is_last:
            data[step] = value
        else:
            data = data[step]


def metric_of(job: "Job", metric: str) -> dict[str, float]:
    """Return the metrics of a job that has succeeded: those of the epoch whose weights its model has.

    Raises ValueError if the job has not the metric.
    """
    from raydient.spec.monitored import larger_is_better, part_of

    keep = job.spec.training.keep
    metrics = job.metrics
    if keep.kind == "best":
        history = job.history()
        split, name = part_of(keep.value.monitor, history.metrics)
        epochs, values = history.curve(name, split)
        mode = keep.value.mode.kind
        rises = larger_is_better(name) if mode == "auto" else mode == "max"
        best = epochs[values.index(max(values) if rises else min(values))]
        metrics = {f"{p.split}_{p.name}": p.value for p in history.points if p.epoch == best}
    if metric not in metrics:
        raise ValueError(f"{job.name} has no metric {metric}; there are: {', '.join(metrics)}")
    return metrics
