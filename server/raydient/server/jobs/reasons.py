"""The stable words of a job's events, with their meaning for users; `make docs` writes them into docs/operations.md."""

from collections.abc import Mapping

REASONS: Mapping[str, tuple[str, str]] = {
    "SERVER_RESTARTED": ("`QUEUED`", "the service was restarted"),
    "INTERRUPTED": ("`QUEUED`", "the service was stopped; the job took a checkpoint"),
    "COORDINATOR_LOST": (
        "`QUEUED`, `FAILED`",
        "the coordinator died or was stopped; after repeated losses the job fails",
    ),
    "RESUMED_BY_USER": ("`QUEUED`", "by command"),
    "PAUSED_BY_USER": ("`PAUSED`", "by command"),
    "CANCELLED_BY_USER": ("`CANCELLED`", "by command"),
    "REBUILT": ("`PAUSED`", "[the database was lost](#a-damaged-or-lost-database)"),
    "PAUSING": ("`RUNNING`", "the job takes a checkpoint to be paused"),
    "WAITING_FOR_WORKERS": ("`RUNNING`", "training is suspended"),
    "UNREADABLE": ("any", "[this version cannot read the job](#a-job-that-cannot-be-read)"),
    "NON_FINITE": ("`FAILED`", "the loss, a gradient or a weight is NaN or infinite"),
    "INVALID_SPEC": ("`FAILED`", "the specification and the data do not fit"),
    "OTHER_NUMERICS": (
        "`FAILED`",
        "the checkpoint was computed with [other bits](determinism.md#unlike-machines)",
    ),
    "STOPPED_EARLY": ("`SUCCEEDED`", "[early stopping](job-file.md#the-end-of-training)"),
    "MAX_STEPS": ("`SUCCEEDED`", "training ended by [`max_steps`](job-file.md#the-end-of-training)"),
    "MAX_MINUTES": ("`SUCCEEDED`", "training ended by [`max_minutes`](job-file.md#the-end-of-training)"),
    "NUMERICS_MIXED": ("`SUCCEEDED`", "machines that compute [other bits](determinism.md#unlike-machines) took part"),
    "STORAGE": ("`FAILED`", "a file cannot be read or written"),
    "OUT_OF_MEMORY": ("`FAILED`", "processes were lost repeatedly for want of memory"),
    "WORKER_LOST": ("`FAILED`", "workers were lost repeatedly"),
    "PARAMETER_SERVER_LOST": ("`FAILED`", "the parameter server was lost repeatedly"),
}
"""By reason: the states in which a job has it, and why."""

NOTICES: Mapping[str, str] = {
    "WARNING": "a setting is valid and almost always a mistake, see [warnings](job-file.md#network)",
    "READING_DATA": "reading the data takes more than three seconds",
    "WORKER_JOINED": "a worker takes part in training",
    "WORKER_LEFT": "a worker left by a plan without it",
    "UPDATE_ACCEPTED": "new values of settings were accepted; they take effect before the next step",
    "UPDATED": "new values of settings are in force, from the step in the message on",
    "SCALED": "the number of workers was changed by command",
    "WORKER_LOST": "a worker was lost and is replaced; the message says how it ended",
    "PARAMETER_SERVER_LOST": "a parameter server, or its connection to another one, was lost; the message says why",
    "WAITING_FOR_WORKERS": "training is suspended because there are too few workers",
    "WORKERS_ARE_BACK": "training continues after `WAITING_FOR_WORKERS`",
    "PAUSING": "the job takes a checkpoint to be paused",
    "RESUMED": "training continues from a checkpoint",
    "CHECKPOINT_FAILED": "a checkpoint could not be written",
    "CHECKPOINT_DAMAGED": "a damaged checkpoint was set aside",
    "FALLEN_BACK": "training continues from an earlier step than that of the newest checkpoint",
    "STARTED_OVER": "there is no good checkpoint: training begins again at step 0",
    "NUMERICS_CHANGED": "the checkpoint was computed with another [fingerprint](determinism.md#what-changes-bits)",
    "NUMERICS_REFUSED": "a machine computes [other bits](determinism.md#unlike-machines), so its process gets no work",
    "NUMERICS_MIXED": "by `numerics: any` machines that compute [other bits](determinism.md#unlike-machines) take part",
    "METRICS_RESTARTED": "another version made the checkpoint; metrics of the unfinished epoch begin anew",
    "STEP_SKIPPED": "a step changed nothing, by [`on_non_finite: skip_step`](job-file.md#the-end-of-training); "
    "the first, second, fourth, eighth and so on is reported",
    "SAFEGUARD_ACTED": "the loss rises, so the [safeguard](consistency.md#safeguard) has lowered the bound of the "
    "staleness or the learning rate",
    "LEARNING_RATE_REDUCED": "the schedule [`plateau`](job-file.md#learning-rate) has lowered the learning rate",
    "ROLLED_BACK": "a loss or a gradient was not finite, and the weights are again those at the end of the last epoch, "
    "by [`on_non_finite: rollback`](job-file.md#the-end-of-training)",
    "BEST_EPOCH": "the epoch whose weights the model has, by [`training.keep`](job-file.md#the-end-of-training)",
    "HISTORY_DAMAGED": "lines of `history.log` cannot be read; their epochs are missing there",
    "NOTICES_DROPPED": "more than 4,096 reports waited for an absent service; further notices were only counted",
    "EVENT_UNREADABLE": "stands for a stored event that this version cannot read",
}
"""By the reason of a notice: what it means."""
