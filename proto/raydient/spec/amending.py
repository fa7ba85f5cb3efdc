"""Changes of the settings of a job that is not over: which fields may change, and the specification after a change."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .clipping import Clipping
from .errors import FieldError, InvalidSpec
from .job import JobSpec
from .training import Training
from .validation import validate_job

RATE = "training.optimizer.*.learning_rate"
CLIPPING = "training.clipping"
EPOCHS, MAX_STEPS, MAX_MINUTES = "training.epochs", "training.max_steps", "training.max_minutes"
PATIENCE, CONSISTENCY = "training.early_stopping.patience", "training.consistency"
AMENDABLE = (
    RATE,
    CLIPPING,
    *(f"{CLIPPING}.{kind}.limit" for kind in Clipping.model_fields),
    EPOCHS,
    MAX_STEPS,
    MAX_MINUTES,
    PATIENCE,
    CONSISTENCY,
    f"{CONSISTENCY}.bounded_staleness.limit",
)
"""Paths of the fields that may change; `*` is the job's optimizer."""
_REMOVABLE = (CLIPPING, MAX_STEPS, MAX_MINUTES)


def amended(spec: JobSpec, *changes: Mapping[str, Any]) -> JobSpec:
    """Return the specification after changes, one after the other: new values in JSON form, by path; None removes one.

    Raises:
        InvalidSpec: fields that may not change, or values that break a rule after the last change.
    """
    if errors := [error for settings in changes for error in _refusals(spec, settings)]:
        raise InvalidSpec(errors)
    data = spec.canonical()
    _set_all(data, changes)
    return validate_job(data)


def amended_training(training: Training, *changes: Mapping[str, Any]) -> Training:
    """Return the training part of a specification after changes that `amended` has accepted."""
    data = {"training": training.canonical()}
    _set_all(data, changes)
    return Training.model_validate(data["training"])


def value_at(spec: JobSpec, path: str) -> Any:
    """Return the value of a field in JSON form; None if the specification does not have it."""
    return field_of(spec.canonical(), path)


def field_of(data: Any, path: str) -> Any:
    """Return the value at a path of a specification in JSON form; None if there is none."""
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _set_all(data: dict[str, Any], changes: Iterable[Mapping[str, Any]]) -> None:
    for settings in changes:
        for path, value in settings.items():
            _set(data, path, value)


def _set(data: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    if path.startswith((f"{CLIPPING}.", f"{CONSISTENCY}.")):  # the kind may be another one
        _, choice, kind = parents
        settings = data["training"].get(choice, {}).get(kind, {})
        data["training"][choice] = {kind: {**settings, name: value}}
        return
    for parent in parents:
        data = data[parent]
    data[name] = value
    if value is None:
        del data[name]


def _refusals(spec: JobSpec, settings: Mapping[str, Any]) -> Iterator[FieldError]:
    """Yield an error for each field that may not change, or not without a value."""
    training = spec.training
    own = RATE.replace("*", training.optimizer.kind)
    known = [own if path == RATE else path for path in AMENDABLE]
    if not settings:
        yield FieldError("", f"no field is named: {', '.join(known)} may change")
    for path, value in settings.items():
        if path == PATIENCE and training.early_stopping is None:
            yield FieldError(path, "the job has no training.early_stopping, which cannot be added to it")
        elif path not in known:
            yield FieldError(path, _not_amendable(path, own, known, exists=value_at(spec, path) is not None))
        elif value is None and path not in _REMOVABLE:
            yield FieldError(path, "a value is needed: the field cannot be removed")
        elif path.startswith(f"{CLIPPING}.") and any(other.startswith(CLIPPING) for other in settings if other != path):
            yield FieldError(path, f"goes without other fields of {CLIPPING}: a job clips in one way")
        elif path.startswith(CONSISTENCY):
            yield from _kept_consistency(spec, path, value)


def _kept_consistency(spec: JobSpec, path: str, value: Any) -> Iterator[FieldError]:
    """Yield an error if a job has to keep its consistency."""
    becomes_local = isinstance(value, str | dict) and "local" in value
    if spec.training.consistency.local is not None:
        yield FieldError(path, "a job with local steps keeps them: its steps have other batches")
    elif becomes_local:
        yield FieldError(path, "only a new job can have local steps: its steps have other batches")
    elif spec.exchange.codec.feeds_back:
        yield FieldError(path, f"a job with exchange.codec {spec.exchange.codec.kind} remains synchronous")
    elif any(layer.kind == "embedding" for layer in spec.network.layers):
        yield FieldError(
            path, "a job with an embedding keeps its consistency: its workers receive tables in another way"
        )


def _not_amendable(path: str, own: str, known: list[str], *, exists: bool) -> str:
    parts = path.split(".")
    if path.startswith("training.optimizer.") and parts[-1] == "learning_rate":
        return f"the job's optimizer is another one, which cannot be changed: its rate is {own}"
    close = [] if exists else difflib.get_close_matches(path, known, n=1, cutoff=0.8)
    mend = f"did you mean {close[0]}?" if close else f"those that can: {', '.join(known)}"
    return f"cannot be changed once the job exists; {mend}"
