"""Python client of raydient.

    from raydient.client import Client

    with Client("127.0.0.1:50051") as client:
        job = client.submit("digits.yaml")
        job.wait()
        print(job.history().curve("loss", "test"))
        job.download("digits.safetensors")

Names are imported when they are first used, so that the command line, which lives in this package, starts quickly.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raydient.spec.csv_text import Dialect
    from raydient.spec.errors import FieldError, InvalidSpec
    from raydient.spec.job import JobSpec

    from .building import Graph, Node, layer, sequential
    from .client import Client
    from .cross_validation import CrossValidation, cross_validate
    from .errors import (
        JobNotSucceeded,
        LimitReached,
        MissingExtra,
        ModelUnreadable,
        NotAllowed,
        NotFound,
        NotPermitted,
        NotSupported,
        RaydientError,
        RequestRefused,
        ServerFault,
        TimedOut,
        TransferBroken,
        Unreachable,
    )
    from .events import CheckpointTaken, EpochEnded, Event, Noticed, Progressed, StateChanged
    from .history import History
    from .job import Job
    from .local_model import LocalModel, load_model
    from .prediction import Prediction
    from .report import Report
    from .training import Trained, train

_HOME = {
    "CheckpointTaken": "raydient.client.events",
    "Client": "raydient.client.client",
    "CrossValidation": "raydient.client.cross_validation",
    "Dialect": "raydient.spec.csv_text",
    "EpochEnded": "raydient.client.events",
    "Event": "raydient.client.events",
    "FieldError": "raydient.spec.errors",
    "Graph": "raydient.client.building",
    "History": "raydient.client.history",
    "InvalidSpec": "raydient.spec.errors",
    "Job": "raydient.client.job",
    "JobNotSucceeded": "raydient.client.errors",
    "JobSpec": "raydient.spec.job",
    "LimitReached": "raydient.client.errors",
    "LocalModel": "raydient.client.local_model",
    "MissingExtra": "raydient.client.errors",
    "ModelUnreadable": "raydient.client.errors",
    "Node": "raydient.client.building",
    "NotAllowed": "raydient.client.errors",
    "NotFound": "raydient.client.errors",
    "NotPermitted": "raydient.client.errors",
    "NotSupported": "raydient.client.errors",
    "Noticed": "raydient.client.events",
    "Prediction": "raydient.client.prediction",
    "Progressed": "raydient.client.events",
    "RaydientError": "raydient.client.errors",
    "Report": "raydient.client.report",
    "RequestRefused": "raydient.client.errors",
    "ServerFault": "raydient.client.errors",
    "StateChanged": "raydient.client.events",
    "TimedOut": "raydient.client.errors",
    "Trained": "raydient.client.training",
    "TransferBroken": "raydient.client.errors",
    "Unreachable": "raydient.client.errors",
    "cross_validate": "raydient.client.cross_validation",
    "layer": "raydient.client.building",
    "load_model": "raydient.client.local_model",
    "sequential": "raydient.client.building",
    "train": "raydient.client.training",
}

__all__ = [  # noqa: RUF022  (the order of use)
    "Client",
    "Job",
    "JobSpec",
    "Graph",
    "Node",
    "layer",
    "sequential",
    "Event",
    "StateChanged",
    "Progressed",
    "EpochEnded",
    "CheckpointTaken",
    "Noticed",
    "History",
    "Prediction",
    "Dialect",
    "LocalModel",
    "load_model",
    "Report",
    "Trained",
    "train",
    "CrossValidation",
    "cross_validate",
    "RaydientError",
    "Unreachable",
    "RequestRefused",
    "NotFound",
    "NotPermitted",
    "NotAllowed",
    "NotSupported",
    "LimitReached",
    "ServerFault",
    "TransferBroken",
    "ModelUnreadable",
    "JobNotSucceeded",
    "TimedOut",
    "MissingExtra",
    "InvalidSpec",
    "FieldError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
