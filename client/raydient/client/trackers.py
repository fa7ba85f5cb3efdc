"""Trackers of experiments: CSV, TensorBoard, MLflow, and Weights & Biases without its service."""

import csv
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from .errors import MissingExtra

POSITION = "position.json"
"""File beside the events of a run with the last epoch that was written."""


class Tracker(Protocol):
    """Writes the metrics of epochs. One thread uses it.

    Attributes:
        last: number of the newest epoch that was written before; 0 if there is none.
    """

    last: int

    def write(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of an epoch, named as `test_loss`."""

    def close(self) -> None:
        """Write what is buffered."""


def opener(target: str) -> Callable[[str], Tracker]:
    """Return the function that opens a tracker for a run of a name.

    Args:
        target: `csv:DIR`, `tensorboard:DIR` or `wandb:DIR`, whose folder receives a file or a folder for each run, or
            `mlflow:URI`, a tracking server or a database.

    Raises:
        ValueError: there is no such tracker.
        MissingExtra: its package is not installed.
    """
    kind, _, place = target.partition(":")
    if kind not in TRACKERS or not place:
        raise ValueError(f"{target!r} is no tracker: {', '.join(f'{name}:{TRACKERS[name][2]}' for name in TRACKERS)}")
    make, package, _ = TRACKERS[kind]
    if package and find_spec(package) is None:
        raise MissingExtra(f"Tracking with {kind}", kind)
    return partial(make, place)


class CsvTracker:
    """One file for a run, a row for each epoch."""

    def __init__(self, place: str, run: str) -> None:
        folder = Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{run}.csv"
        self._names: list[str] = []
        self.last = 0
        if self._path.exists():
            self._read()
        self._file = self._path.open("a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def _read(self) -> None:
        """Read the header and the last epoch, and cut off a line that was not completed."""
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
        lines = list(csv.reader(whole.decode("utf-8").splitlines()))
        if lines:
            self._names = lines[0][2:]
            self.last = int(lines[-1][0]) if len(lines) > 1 else 0

    def write(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        if not self._names:
            self._names = list(metrics)
            self._writer.writerow(["epoch", "step", *self._names])
        self._writer.writerow([epoch, step, *(repr(metrics[name]) if name in metrics else "" for name in self._names)])
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorBoardTracker:
    """One folder of event files for a run; scalars by epoch. Events of an epoch that was written twice are hidden."""

    def __init__(self, place: str, run: str) -> None:
        from tensorboardX import SummaryWriter

        folder = Path(place) / run
        self._position = _Position(folder)
        self.last = self._position.epoch
        purge = self.last + 1 if self.last else None
        suffix = f".{self.last}"  # the name has only the second and the machine
        self._writer: Any = SummaryWriter(str(folder), purge_step=purge, filename_suffix=suffix)

    def write(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            split, _, metric = name.partition("_")
            self._writer.add_scalar(f"{metric}/{split}", value, epoch)
        self._writer.flush()
        self._position.write(epoch)

    def close(self) -> None:
        self._writer.close()


class MlflowTracker:
    """One run of MLflow, which is runs again by its tag; metrics by epoch."""

    TAG = "raydient.run"

    def __init__(self, place: str, run: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it reports its use to its makers otherwise
        from mlflow.tracking import MlflowClient

        self._client: Any = MlflowClient(tracking_uri=place)
        experiment = self._client.get_experiment_by_name("raydient")
        number = experiment.experiment_id if experiment else self._client.create_experiment("raydient")
        runs = self._client.search_runs([number], f"tags.`{self.TAG}` = '{run}'", max_results=1)
        known = runs[0] if runs else self._client.create_run(number, tags={self.TAG: run}, run_name=run)
        self._run = known.info.run_id
        histories = [self._client.get_metric_history(self._run, name) for name in known.data.metrics]
        self.last = min((max(one.step for one in history) for history in histories if history), default=0)

    def write(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._run, [Metric(name, value, now, epoch) for name, value in metrics.items()])

    def close(self) -> None:
        self._client.set_terminated(self._run)


class WandbTracker:
    """A run of Weights & Biases in a folder, which `wandb sync` uploads; nothing is sent."""

    def __init__(self, place: str, run: str) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it reports its errors to its makers otherwise
        import wandb

        Path(place).mkdir(parents=True, exist_ok=True)
        self._position = _Position(Path(place) / f"{run}.position")
        self.last = self._position.epoch
        settings = wandb.Settings(console="off", silent=True)
        self._run: Any = wandb.init(
            project="raydient", name=run, id=run, dir=place, mode="offline", resume="allow", settings=settings
        )

    def write(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log({name.replace("_", "/", 1): value for name, value in metrics.items()}, step=epoch)
        self._position.write(epoch)

    def close(self) -> None:
        self._run.finish()


class _Position:
    """The last epoch that was written into a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / POSITION
        try:
            self.epoch = int(json.loads(self._path.read_bytes())["epoch"])
        except (OSError, ValueError, KeyError, TypeError):
            self.epoch = 0

    def write(self, epoch: int) -> None:
        from raydient.files import replacing

        with replacing(self._path) as file:
            file.write(json.dumps({"epoch": epoch}).encode())


TRACKERS: dict[str, tuple[Callable[[str, str], Tracker], str, str]] = {
    "csv": (CsvTracker, "", "DIR"),
    "tensorboard": (TensorBoardTracker, "tensorboardX", "DIR"),
    "mlflow": (MlflowTracker, "mlflow", "URI"),
    "wandb": (WandbTracker, "wandb", "DIR"),
}
"""By the first part of a target: the class, its package, and its place."""
