"""The names of a job's states."""

from raydient.v1.training_job_pb2 import TrainingJobState

_PREFIX = "TRAINING_JOB_STATE_"
FOR_GOOD = frozenset({TrainingJobState.TRAINING_JOB_STATE_SUCCEEDED, TrainingJobState.TRAINING_JOB_STATE_CANCELLED})
"""States that a job never leaves."""
FINAL = FOR_GOOD | {TrainingJobState.TRAINING_JOB_STATE_FAILED}
"""States in which a job has ended; a failed one may be resumed."""


def state_name(state: TrainingJobState) -> str:
    """`RUNNING` for TRAINING_JOB_STATE_RUNNING."""
    return TrainingJobState.Name(state).removeprefix(_PREFIX)


def state_label(name: object) -> str:
    """Inverse of `state_name`: the label in the enum.

    Raises:
        ValueError: the state is unknown; the message lists the names.
    """
    label = _PREFIX + name.upper().removeprefix(_PREFIX) if isinstance(name, str) else ""
    states = [known.removeprefix(_PREFIX) for known, value in TrainingJobState.items() if value]
    if label.removeprefix(_PREFIX) not in states:
        raise ValueError(f"there is no state {name!r}; there are: {', '.join(states)}")
    return label
