"""Reads updates of jobs: a field mask and the values that it names."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from raydient.server.errors import InvalidRequest
from raydient.spec.amending import field_of
from raydient.v1.training_service_pb2 import UpdateTrainingJobRequest

PREFIX = "spec."
MOST_PATHS = 20


def read_update(request: UpdateTrainingJobRequest) -> dict[str, Any]:
    """Return the new values in JSON form by the path in the specification; None for a field that is absent.

    Raises InvalidRequest.
    """
    paths = request.update_mask.paths
    if not 1 <= len(paths) <= MOST_PATHS:
        raise _invalid(f"it names {len(paths)} fields: 1 to {MOST_PATHS}, such as spec.training.max_steps")
    for path in paths:
        if not path.startswith(PREFIX):
            raise _invalid(f"{path[:100]!r} is no field of spec: paths are such as spec.training.max_steps")
    data = MessageToDict(request.training_job.spec, preserving_proto_field_name=True)
    names = [path.removeprefix(PREFIX) for path in paths]
    return {name: field_of(data, name) for name in names}


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest.of("update_mask", message, reason="INVALID_MASK")
