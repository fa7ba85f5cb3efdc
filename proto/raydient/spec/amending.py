"""Changes of the settings of a job that is not over: which fields may change, and the specification after a change."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from .clipping import Clipping
from .errors import FieldError, InvalidSpec
from .job import JobSpec
from .training import Training
from .validation import validate_job

RATE = "training.optimizer.*.learning_rate"
CLIPPING = "training.clipping"
EPOCHS, MAX_STEPS, MAX_MINUTES = "training.epochs", "training.max_steps", "training.max_minutes"
PATIENCE = "training.early_stopping.patience"
AMENDABLE = (
    RATE,
    CLIPPING,
    *(f"{CLIPPING}.{kind}.limit" for kind in Clipping.model_fields),
    EPOCHS,
    MAX_STEPS,
    MAX_MINUTES,
    PATIENCE,
)
"""Paths of the fields that may change; `*` is the job's optimizer."""
_REMOVABLE = (CLIPPING, MAX_STEPS, MAX_MINUTES)


def amended(spec: JobSpec, settings: Mapping[str, Any]) -> JobSpec:
    """Return the specification with new values in JSON form, by path; None removes a setting.

    Raises:
        InvalidSpec: fields that may not change, or values that break a rule.
    """
    if errors := list(_refusals(spec.training, settings)):
        raise InvalidSpec(errors)
    data = spec.canonical()
    for path, value in settings.items():
        _set(data, path, value)
    return validate_job(data)


def amended_training(training: Training, settings: Mapping[str, Any]) -> Training:
    """Return the training part of a specification with new values that `amended` has accepted."""
    data = {"training": training.canonical()}
    for path, value in settings.items():
        _set(data, path, value)
    return Training.model_validate(data["training"])


def value_at(spec: JobSpec, path: str) -> Any:
    """Return the value of a field in JSON form; None if the specification does not have it."""
    value: Any = spec.canonical()
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _set(data: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    if path.startswith(f"{CLIPPING}."):  # the kind may be another one
        data["training"]["clipping"] = {parents[-1]: {name: value}}
        return
    for parent in parents:
        data = data[parent]
    data[name] = value
    if value is None:
        del data[name]


def _refusals(training: Training, settings: Mapping[str, Any]) -> Iterator[FieldError]:
    """Yield an error for each field that may not change, or not without a value."""
    own = RATE.replace("*", training.optimizer.kind)
    known = [own if path == RATE else path for path in AMENDABLE]
    if not settings:
        yield FieldError("", f"no field is named: {', '.join(known)} may change")
    for path, value in settings.items():
        if path == PATIENCE and training.early_stopping is None:
            yield FieldError(path, "the job has no training.early_stopping, which cannot be added to it")
        elif path not in known:
            yield FieldError(path, _not_amendable(path, own, known))
        elif value is None and path not in _REMOVABLE:
            yield FieldError(path, "a value is needed: the field cannot be removed")
        elif path.startswith(f"{CLIPPING}.") and any(other.startswith(CLIPPING) for other in settings if other != path):
            yield FieldError(path, f"goes without other fields of {CLIPPING}: a job clips in one way")


def _not_amendable(path: str, own: str, known: list[str]) -> str:
    parts = path.split(".")
    if path.startswith("training.optimizer.") and parts[-1] == "learning_rate":
        return f"the job's optimizer is another one, which cannot be changed: its rate is {own}"
    close = difflib.get_close_matches(path, known, n=1, cutoff=0.8)
    mend = f"did you mean {close[0]}?" if close else f"those that can: {', '.join(known)}"
    return f"cannot be changed once the job exists; {mend}"
