"""One job of the service."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf.json_format import MessageToDict

from raydient.spec.csv_text import PLAIN, Dialect
from raydient.spec.dataset import columns_beside
from raydient.spec.job import JobSpec
from raydient.spec.validation import validate_job
from raydient.v1 import model_service_pb2 as model_api
from raydient.v1 import training_service_pb2 as api
from raydient.v1.training_job_pb2 import TrainingJob

from .connection import Connection
from .download import Downloaded, download_model
from .errors import JobNotSucceeded, NotAllowed, RaydientError, RequestRefused, TimedOut, of_specification
from .events import Event, event_of
from .history import History, Point
from .local_model import LocalModel, load_model
from .notebook import properties
from .predicting import call_predict
from .prediction import Prediction
from .predictor import Predictor
from .replaying import Replay
from .report import Report, report_of_job
from .states import FINAL, state_name
from .updating import update_request
from .watching import watch


class Job:
    """A handle to one job. Its state is that of the last call to the server.

    Attributes:
        resource: the server's latest description (message `raydient.v1.TrainingJob`). In a job from `Client.list` its
            `spec` has only the display name and the labels.
    """

    def __init__(self, connection: Connection, resource: TrainingJob) -> None:
        self._connection = connection
        self.resource = resource
        self._predictors: dict[str, Predictor] = {}

    def __repr__(self) -> str:
        """One line: name, state, epochs, and the losses of the last epoch."""
        resource, parts = self.resource, [f"{self.name} {self.state}"]
        if resource.HasField("progress"):
            parts.append(f"epoch {resource.progress.epoch} of {resource.progress.epochs}")
        parts += [f"{m.split} loss {m.value:.4g}" for m in resource.last_epoch.metrics if m.name == "loss"]
        return f"<Job {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        resource, progress = self.resource, self.resource.progress
        epochs = f"{progress.epoch} of {progress.epochs}" if resource.HasField("progress") else ""
        why = ": ".join(filter(None, (resource.state_reason, resource.state_message)))
        pairs = [("display name", resource.spec.display_name), ("state", self.state), ("why", why), ("epoch", epochs)]
        for part in ("train", "test"):
            values = [f"{m.name} {m.value:.4g}" for m in resource.last_epoch.metrics if m.split == part]
            pairs.append((part, ", ".join(values)))
        return properties([*pairs, ("digest", self.digest)], self.name)

    @property
    def name(self) -> str:
        """`jobs/{id}`."""
        return self.resource.name

    @property
    def state(self) -> str:
        """QUEUED, STARTING, RUNNING, PAUSED, CANCELLING, SUCCEEDED, FAILED or CANCELLED."""
        return state_name(self.resource.state)

    @property
    def spec(self) -> JobSpec:
        """The job's specification with every default. Fetched from the server unless it is already known.

        Raises:
            NotAllowed: the server cannot read it.
        """
        if not self.resource.spec.HasField("network"):
            self.refresh()
        if self.resource.state_reason == "UNREADABLE":
            raise NotAllowed(self.resource.state_message, reason="JOB_UNREADABLE")
        return validate_job(MessageToDict(self.resource.spec, preserving_proto_field_name=True))

    @property
    def digest(self) -> str:
        """SHA-256 of the final weights; empty unless the job succeeded."""
        return self.resource.digest

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the last complete epoch, as `test_accuracy` and `train_loss`; empty before the first."""
        return {f"{metric.split}_{metric.name}": metric.value for metric in self.resource.last_epoch.metrics}

    def refresh(self) -> "Job":
        """Fetch the job's state from the server."""
        return self._update(self._connection.training.GetTrainingJob, api.GetTrainingJobRequest(name=self.name))

    def watch(self, after_sequence: int = 0, *, timeout: float | None = None) -> Iterator[Event]:
        """Yield the events after a sequence number, past and future ones, up to that of the final state.

        Blocks between events. A broken connection is reopened, and no event is lost or repeated.

        Args:
            after_sequence: number of the last event that is not wanted.
            timeout: seconds after which watching ends; None: no limit.

        Raises:
            TimedOut: the job has not ended in time.
            Unreachable: the server does not answer for about a minute.
        """
        return (event_of(message) for message in watch(self._connection, self.name, after_sequence, timeout))

    def wait(self, *, progress: bool = False, timeout: float | None = None) -> "Job":
        """Block until the job has succeeded.

        Args:
            progress: show epochs and notices on standard error, on a terminal with a bar.
            timeout: seconds to wait; None: no limit.

        Raises:
            JobNotSucceeded: it failed or was cancelled.
            TimedOut: it has not ended in time; it goes on.
        """
        try:
            self._follow(timeout, progress=progress)
        except TimedOut:
            if self.refresh().resource.state not in FINAL:
                raise
        self.refresh()
        if self.state != "SUCCEEDED":
            message = self.resource.state_message or f"{self.name} is {self.state}"
            raise JobNotSucceeded(message, state=self.state, reason=self.resource.state_reason)
        return self

    def _follow(self, timeout: float | None, *, progress: bool) -> None:
        events = self.watch(timeout=timeout)
        if not progress:
            for _ in events:
                pass
            return
        from .cli.display import open_display, show

        with open_display() as display:
            show(events, display, self.resource.spec.training.epochs)

    def history(self) -> History:
        """The curves of training and evaluation so far, by epoch."""
        request = api.ListMetricsRequest(parent=self.name, page_size=1000)
        metrics = self._connection.pages(self._connection.training.ListMetrics, request, "metrics")
        return History(Point(m.name, m.split, m.epoch, m.step, m.value) for m in metrics)

    def cancel(self) -> "Job":
        """Cancel the job. Returns before the job has ended."""
        return self._update(self._connection.training.CancelTrainingJob, api.CancelTrainingJobRequest(name=self.name))

    def pause(self) -> "Job":
        """Pause the job, with a checkpoint. Returns before the job has left the cluster."""
        return self._update(self._connection.training.PauseTrainingJob, api.PauseTrainingJobRequest(name=self.name))

    def resume(self) -> "Job":
        """Queue a job that is paused, or that failed for a reason outside itself, to go on from its last checkpoint."""
        return self._update(self._connection.training.ResumeTrainingJob, api.ResumeTrainingJobRequest(name=self.name))

    def scale(self, workers: int) -> "Job":
        """Change the number of worker processes; the resulting weights stay the same."""
        request = api.ScaleTrainingJobRequest(name=self.name, workers=workers)
        return self._update(self._connection.training.ScaleTrainingJob, request)

    def update(self, settings: Mapping[str, Any]) -> "Job":
        """Change settings of a job that has not ended; a running one takes them between two steps.

        Args:
            settings: new values by the path in the job file, such as `{"training.max_steps": 500}`; None removes a
                setting. Fields that may change: `training.optimizer.*.learning_rate` of the job's own optimizer,
                `training.clipping` and its limits, `training.consistency` and the limit of its staleness,
                `training.epochs`, `training.max_steps`, `training.max_minutes` and `training.early_stopping.patience`.

        Raises:
            InvalidSpec: a field may not change, or its value breaks a rule.
            NotAllowed: the job has ended.
        """
        request = update_request(self.name, settings)
        try:
            return self._update(self._connection.training.UpdateTrainingJob, request)
        except RequestRefused as error:
            raise of_specification(error) from error

    def replay(self, progress: Callable[[int, int], None] = lambda step, steps: None) -> Replay:
        """Train the job again on the service's machine, up to its newest checkpoint, in the recorded order of arrival.

        Args:
            progress: receives the steps made and their number.

        Raises:
            NotAllowed: the job has no checkpoint.
            RaydientError: its record is cut.
        """
        request = api.ReplayTrainingJobRequest(name=self.name)
        for response in self._connection.stream(self._connection.training.ReplayTrainingJob, request):
            progress(response.step, response.steps)
            if response.digest:
                return Replay(response.steps, response.digest, response.recorded_digest)
        raise RaydientError(f"the replay of {self.name} has ended without a result")

    def delete(self) -> None:
        """Remove a job that has ended, with its model, checkpoints and history."""
        self._connection.call(self._connection.training.DeleteTrainingJob, api.DeleteTrainingJobRequest(name=self.name))

    def report(
        self,
        data: Any = None,
        *,
        notice: Callable[[list[str]], None] | None = None,
        dialect: Dialect = PLAIN,
    ) -> Report:
        """A report about the job, which `Report.save` writes as a page, a model card or JSON.

        `data` are labelled samples as `LocalModel.evaluate` takes them; of the file that the job was trained on, the
        rows that were held out are evaluated. The model is fetched for it if the job has succeeded. For `notice` and
        `dialect` see `LocalModel.evaluate`.

        Raises:
            InvalidSamples: samples or labels are missing or do not fit the network.
            NotAllowed: there are data, and the job has no model.
        """
        model: LocalModel | None = None
        with TemporaryDirectory(prefix="raydient-") as folder:
            if data is not None or self.state == "SUCCEEDED":
                model = load_model(self.download(Path(folder) / "model.safetensors").path)
            return report_of_job(self, model, data, notice=notice, dialect=dialect)

    def checkpoints(self) -> list[model_api.Checkpoint]:
        """The stored checkpoints, newest first."""
        request = model_api.ListCheckpointsRequest(parent=self.name, page_size=1000)
        return list(self._connection.pages(self._connection.models.ListCheckpoints, request, "checkpoints"))

    def download(self, path: str | os.PathLike[str], *, checkpoint: int | str | None = None) -> Downloaded:
        """Write the model, or the weights of a checkpoint, to a file whose suffix selects the format.

        `checkpoint` is a step, `last` for the newest checkpoint, or `best` for the best epoch so far.
        The file is complete and its checksum verified, or it does not appear.
        """
        return download_model(self._connection, self._weights(checkpoint), Path(path))

    def predict(
        self,
        inputs: Any,
        columns: Sequence[str] = (),
        *,
        checkpoint: int | str | None = None,
        dialect: Dialect = PLAIN,
    ) -> Prediction:
        """Apply the trained network to samples, one per row, in the units of the training data.

        Args:
            inputs: a DataFrame, a mapping of columns, a list of mappings, a structured array, a pyarrow table or the
                path of a data file, whose columns are selected by name, or an array with the features in the
                order of training. Values keep their types. A Series is a column if its name is a feature, otherwise
                one sample.
            columns: names of an array's columns, which are then selected by name; columns that are not features are
                ignored.
            checkpoint: the checkpoint to use instead of the model: a step, `last`, or `best` for the best epoch so far.
            dialect: how a CSV file is written.

        Raises:
            ValueError: columns are missing or unknown (the label's column is allowed), or a value is not a
                number or a category that the network accepts.
        """
        return self.predictor(checkpoint).predict(inputs, columns, dialect=dialect)

    def predict_all(
        self, arrays: Any, *, checkpoint: int | str | None = None, dialect: Dialect = PLAIN
    ) -> dict[str, Prediction]:
        """Apply a network with named inputs or outputs; returns the prediction of each output by its name.

        `arrays` maps names of inputs, or of columns or arrays of the training data, to values, one sample per row:
        numbers, or for categories numbers or texts. It may be any table that `predict` takes. Other columns, such as
        the labels, are ignored. `dialect` is that of a CSV file.
        """
        return self.predictor(checkpoint).predict_all(arrays, dialect=dialect)

    def predictor(self, checkpoint: int | str | None = None) -> Predictor:
        """A predictor for the final weights or a checkpoint, for repeated use; it fetches the network's inputs once."""
        name = self._weights(checkpoint)
        if name not in self._predictors:
            connection = self._connection
            model = connection.call(connection.models.GetModel, model_api.GetModelRequest(name=name))
            compute = partial(call_predict, connection, model)
            self._predictors[name] = Predictor(model, compute, columns_beside(self.resource.spec.dataset))
        return self._predictors[name]

    def _weights(self, checkpoint: int | str | None) -> str:
        return self.name if checkpoint is None else f"{self.name}/checkpoints/{checkpoint}"

    def _update(self, method: Any, request: Any) -> "Job":
        self.resource = self._connection.call(method, request)
        return self
