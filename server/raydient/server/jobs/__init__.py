"""Jobs: their store, states, queue and dispatcher; datasets; checkpoints and models on disk.

Begin reading at `records` (the stored values), `lifecycle` (their changes) and `dispatcher` (the runs behind them).
"""

from .ageing import oldest_event
from .artifacts import Artifacts, StoredCheckpoint
from .directory import StateDirectory
from .disk import Reserve
from .dispatcher import Dispatcher
from .feed import Feed, Subscription
from .headers import Header
from .manager import JobManager
from .models import StoredModels
from .predictor import Prediction, Predictor, Window
from .records import Change, Dataset, Job, JobEvent, JobFilter, JobSummary, MetricPoint, StateChanged, UnreadableJob
from .removals import Removals
from .sources import STORED
from .states import IllegalTransition, State
from .store import JobStore
from .stores import Stores

__all__ = [
    "STORED",
    "Artifacts",
    "Change",
    "Dataset",
    "Dispatcher",
    "Feed",
    "Header",
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
    "State",
    "StateChanged",
    "StateDirectory",
    "StoredCheckpoint",
    "StoredModels",
    "Stores",
    "Subscription",
    "UnreadableJob",
    "Window",
    "oldest_event",
]
