"""The jobs room: the job store, states, queue and dispatcher, datasets, and what training leaves behind.

Begin reading at `records` (what is kept), `lifecycle` (what happens to it), `dispatcher` (who makes it happen).
"""

from .ageing import oldest_event
from .artifacts import Artifacts, StoredCheckpoint
from .datasets import DatasetStore, check_header
from .directory import StateDirectory
from .disk import Reserve
from .dispatcher import Dispatcher
from .feed import Feed, Subscription
from .manager import JobManager
from .models import StoredModels
from .predictor import Prediction, Predictor, Window
from .records import (
    Change,
    Dataset,
    Job,
    JobEvent,
    JobFilter,
    JobSummary,
    MetricPoint,
    StateChanged,
    UnreadableJob,
)
from .removals import Removals
from .sources import STORED, Sources
from .sqlite import open_database
from .states import IllegalTransition, State
from .store import JobStore

__all__ = [
    "STORED",
    "Artifacts",
    "Change",
    "Dataset",
    "DatasetStore",
    "Dispatcher",
    "Feed",
    "IllegalTransition",
    "Job",
    "JobEvent",
    "JobFilter",
    "JobManager",
    "JobStore",
    "JobSummary",
    "MetricPoint",
    "Prediction",
    "Predictor",
    "Removals",
    "Reserve",
    "Sources",
    "State",
    "StateChanged",
    "StateDirectory",
    "StoredCheckpoint",
    "StoredModels",
    "Subscription",
    "UnreadableJob",
    "Window",
    "check_header",
    "oldest_event",
    "open_database",
]
