"""Checks the metrics that a job watches against its network and its data."""

from collections.abc import Iterator

from raydient.spec.errors import FieldError
from raydient.spec.monitored import part_of
from raydient.spec.training import Training
from raydient.workers.network import Network

PLATEAU = "training.schedule.plateau"
NO_HELD_OUT_PART = "there is none: set `dataset.split.test` above 0 or name `dataset.validation`"


def monitor_problems(training: Training, network: Network, test_rows: int) -> Iterator[FieldError]:
    """Yield an error for each watched metric that the job does not have."""
    names = network.larger_is_better
    for path, monitor, needs_test in _monitors(training):
        part, metric = part_of(monitor, names)
        if path == PLATEAU and part == "train":
            yield FieldError(
                f"{path}.monitor", f'"{monitor}" is of the training part: watch {metric}, of the held-out part'
            )
        elif metric not in names:
            known = f"{', '.join(names)}, and with train_ before them those of the training part"
            yield FieldError(f"{path}.monitor", f'"{monitor}" is no metric of this job, there are: {known}')
        elif not test_rows and needs_test:
            yield FieldError(path, f"needs a held-out part, and {NO_HELD_OUT_PART}")
        elif not test_rows and part == "test":
            text = f'"{monitor}" is of the held-out part, and {NO_HELD_OUT_PART}, or watch train_{metric}'
            yield FieldError(f"{path}.monitor", text)


def _monitors(training: Training) -> Iterator[tuple[str, str, bool]]:
    """Yield the path of each rule that watches a metric, the metric, and True if it needs a held-out part."""
    if training.early_stopping is not None:
        yield "training.early_stopping", training.early_stopping.monitor, False
    if training.keeps_best:
        yield "training.keep.best", training.keep.value.monitor, True
    if training.schedule.kind == "plateau":
        yield PLATEAU, training.schedule.value.monitor, True
    if training.consistency.safeguard is not None:
        yield f"training.consistency.{training.consistency.kind}.safeguard", "train_loss", True
