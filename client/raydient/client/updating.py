"""Requests to change settings of a job: new values by path, as a job file has them."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict, ParseError

from raydient.spec.amending import AMENDABLE
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.v1.training_job_pb2 import TrainingJob
from raydient.v1.training_job_spec_pb2 import TrainingJobSpec
from raydient.v1.training_service_pb2 import UpdateTrainingJobRequest


def update_request(name: str, settings: Mapping[str, Any]) -> UpdateTrainingJobRequest:
    """Return the request that sets fields of a job, by path; None removes a field.

    Raises:
        InvalidSpec: a value has another type than its field. The service refuses fields that may not change.
    """
    spec, errors = TrainingJobSpec(), []
    for path, value in settings.items():
        if value is None or not any(fnmatchcase(path, pattern) for pattern in AMENDABLE):
            continue
        try:
            spec.MergeFrom(_parsed(path, value))
        except ParseError:
            errors.append(FieldError(path, f"{value!r} is no value of this field"))
    if errors:
        raise InvalidSpec(errors)
    mask = FieldMask(paths=[f"spec.{path}" for path in settings])
    return UpdateTrainingJobRequest(training_job=TrainingJob(name=name, spec=spec), update_mask=mask)


def _parsed(path: str, value: Any) -> TrainingJobSpec:
    """Return a specification with one field. Raises ParseError."""

    def parse(nested: Any) -> TrainingJobSpec:
        for part in reversed(path.split(".")):
            nested = {part: nested}
        return ParseDict(nested, TrainingJobSpec())

    try:
        return parse(value)
    except ParseError:
        if not isinstance(value, str):
            raise
        return parse({value: {}})  # an option without settings, by its bare name
