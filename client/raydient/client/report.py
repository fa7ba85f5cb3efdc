"""Reports about a trained network: one content, as a page, as a model card and as JSON."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from raydient.spec.csv_text import PLAIN, Dialect
from raydient.spec.printable import printable_json

from .history import History
from .remote_samples import local_samples
from .worst import worst_examples

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

    from raydient.spec.dataset import Dataset
    from raydient.workers.network import Model

    from .evaluation import Confusion, Evaluation, Residuals
    from .job import Job
    from .local_model import Evaluated, LocalModel

    Notice = Callable[[list[str]], None]

SUFFIXES = (".html", ".md", ".json")
"""The forms of a report: a page, a model card and data."""
RESULTS = ("epoch", "metrics", "gradient_health")
"""Entries of `Model.training` about the result."""
POINTS = 1000
"""Maximum number of points of a plot of predictions over labels."""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """A report about a trained network.

    Attributes:
        content: its content in JSON form; parts that are not known are absent.
            `name`, `title`, `state`, `why`, `digest`, `epoch`, `metrics` (by part and name): the result;
            `curves`: `name`, `split`, `epochs` and `values` of each metric;
            `evaluation`: on data, with confusion matrices or residuals and the worst examples;
            `gradient_health`: of each layer;
            `inputs`, `outputs`, `layers`: what the network takes, gives and consists of;
            `training`: the specification, versions, numerics and the SHA-256 of data files.
    """

    content: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<Report of {self.content['name']}>"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report to a file whose suffix selects the form: `.html`, `.md` or `.json`.

        The file appears whole or not at all.

        Raises:
            ValueError: another suffix.
            MissingExtra: for a page the extra `plot` is not installed.
        """
        from raydient.files import write_durably

        path = Path(path)
        if path.suffix not in SUFFIXES:
            raise ValueError(f"{path}: the suffix of a report is {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
        write_durably(path, self.text(path.suffix).encode())
        return path

    def text(self, suffix: str) -> str:
        """The report in the form of one of `SUFFIXES`. Raises MissingExtra."""
        if suffix == ".json":
            return printable_json(json.dumps(self.content, indent=2, ensure_ascii=False)) + "\n"
        if suffix == ".md":
            from .model_card import card

            return card(self.content)
        from .report_page import page

        return page(self.content)


def report_of_model(
    model: "LocalModel",
    name: str,
    data: Any = None,
    history: History | None = None,
    *,
    notice: "Notice | None" = None,
    dialect: Dialect = PLAIN,
) -> Report:
    """Report about a network in this process.

    Args:
        model: the network.
        name: that of its file.
        data: labelled samples, as `LocalModel.evaluate` takes them. If it is the file that the network was trained on,
            the rows that were held out are evaluated.
        history: the curves of its training.
        notice, dialect: see `LocalModel.evaluate`.

    Raises:
        InvalidSamples: samples or labels are missing or do not fit the network.
    """
    network = model.network
    content: dict[str, Any] = {"name": name, "title": _title(network.training.get("specification", {})) or name}
    content |= {"digest": model.digest, **_results(network.training), **_history(history)}
    content |= _evaluated(model, network.training, data, notice, dialect)
    return Report({**content, **_described(network)})


def report_of_job(
    job: "Job",
    model: "LocalModel | None",
    data: Any = None,
    *,
    notice: "Notice | None" = None,
    dialect: Dialect = PLAIN,
) -> Report:
    """Report about a job of the service; `model` is its network, None if it has none. See `report_of_model`."""
    from .cli.output import as_data  # the JSON form of messages

    resource = job.resource
    training = dict(model.network.training) if model else {}
    training |= {"specification": job.spec.canonical(), "dataset": resource.dataset}
    content: dict[str, Any] = {"name": job.name, "title": resource.spec.display_name or job.name, "state": job.state}
    content["why"] = ": ".join(filter(None, (resource.state_reason, resource.state_message)))
    content |= {"digest": job.digest, **_results(training), **_history(job.history())}
    if resource.last_epoch.epoch and "metrics" not in content:
        metrics: dict[str, dict[str, float]] = {}
        for metric in resource.last_epoch.metrics:
            metrics.setdefault(metric.split, {})[metric.name] = metric.value
        content |= {"epoch": resource.last_epoch.epoch, "metrics": metrics}
    if resource.progress.gradient_health.layers:
        content["gradient_health"] = as_data(resource.progress.gradient_health)
    times = {"created": "create_time", "started": "start_time", "ended": "end_time"}
    stamps = {word: getattr(resource, name).ToJsonString() for word, name in times.items() if resource.HasField(name)}
    content["training"] = {**training, **stamps, "restarts": resource.restarts}
    if model is None:
        return Report(content)
    content |= _evaluated(model, training, data, notice, dialect)
    return Report({**_described(model.network), **content})


def _title(specification: Mapping[str, Any]) -> str:
    return str(specification.get("display_name", ""))


def _results(training: Mapping[str, Any]) -> dict[str, Any]:
    return {name: training[name] for name in RESULTS if name in training}


def _history(history: History | None) -> dict[str, Any]:
    """The curves, and the metrics of the last epoch, which those of the model's own record replace."""
    if history is None or not history.points:
        return {}
    curves = []
    for name in history.metrics:
        for split in history.splits:
            epochs, values = history.curve(name, split)
            if epochs:
                curves.append({"name": name, "split": split, "epochs": epochs, "values": values})
    return {"curves": curves}


def _described(network: "Model") -> dict[str, Any]:
    """Inputs, outputs and layers of the network, and how it was trained."""
    from raydient.workers.network import describe

    inputs = [
        {
            "name": name,
            "shape": list(one.shape),
            "is_table": one.is_table,
            "kind": one.kind.value,
            "columns": list(one.columns),
            "categories": list(one.vocabulary),
            "optional": list(one.optional_columns),
            "preparation": {key: {str(place): text for place, text in of.items()} for key, of in one.settings.items()},
        }
        for name, one in network.inputs.items()
    ]
    losses = {output.layer: output.loss.kind for output in network.specification.named_outputs}
    outputs = [
        {
            "name": output.name,
            "shape": list(output.shape),
            "loss": losses[output.name],
            "label": network.targets[output.name].label,
            "classes": list(network.targets[output.name].classes),
        }
        for output in network.network.outputs
    ]
    layers = [
        {key: value for key, value in asdict(row).items() if key not in ("operations", "bytes")}
        for row in describe(network.network, 1)
    ]
    training = {key: value for key, value in network.training.items() if key not in RESULTS}
    return {"inputs": inputs, "outputs": outputs, "layers": layers, "training": training}


def _evaluated(
    model: "LocalModel", training: Mapping[str, Any], data: Any, notice: "Notice | None", dialect: Dialect
) -> dict[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, str | os.PathLike):
        return {"evaluation": _evaluation(model, model.evaluated(data, notice, dialect))}
    with local_samples(data) as path:
        rows = held_out_rows(training, path)
        evaluated = model.evaluated(path, notice, dialect, rows=rows)
    what = {"data": path.name, "held_out": rows is not None}
    return {"evaluation": {**_evaluation(model, evaluated), **what}}


def _evaluation(model: "LocalModel", evaluated: "Evaluated") -> dict[str, Any]:
    """The JSON form of an evaluation with its worst examples, on data without a name."""
    evaluation = evaluated.evaluation
    outputs: list[dict[str, Any]] = []
    for output in model.network.network.outputs:
        name = output.name
        of: dict[str, Any] = {"name": name, "label": model.network.targets[name].label}
        if name in evaluation.confusions:
            of["confusion"] = confusion_data(evaluation.confusions[name])
        if name in evaluation.residuals:
            of["residuals"] = asdict(evaluation.residuals[name])
            of["points"] = _points(evaluated, name)
        outputs.append({**of, "worst": worst_examples(model.network, evaluated, name)})
    what = {"data": "", "held_out": False, "rows": evaluation.rows}
    return {**what, "metrics": dict(evaluation.metrics), "outputs": outputs}


def confusion_data(confusion: "Confusion") -> dict[str, Any]:
    """The JSON form of a confusion matrix."""
    return {
        "classes": list(confusion.classes),
        "counts": confusion.counts.tolist(),
        "by_class": [asdict(result) for result in confusion.by_class],
    }


def evaluation_data(evaluation: "Evaluation") -> dict[str, Any]:
    """The JSON form of an evaluation."""

    def residuals(of: "Residuals") -> dict[str, Any]:
        return asdict(of)

    return {
        "rows": evaluation.rows,
        "metrics": dict(evaluation.metrics),
        "confusions": {name: confusion_data(confusion) for name, confusion in evaluation.confusions.items()},
        "residuals": {name: residuals(of) for name, of in evaluation.residuals.items()},
    }


def _points(evaluated: "Evaluated", name: str) -> dict[str, list[float]]:
    """Labels and predictions of evenly spaced values."""
    predictions = evaluated.predictions[name].outputs.reshape(-1)
    labels = evaluated.labels[name].reshape(-1)
    step = max(1, -(-len(labels) // POINTS))
    return {"labels": labels[::step].tolist(), "predictions": predictions[::step].tolist()}


def held_out_rows(training: Mapping[str, Any], path: Path) -> "NDArray[int64] | None":
    """Return the rows of a file or a folder, from 0, that were held out when a network was trained on it.

    The network may have been trained on the one file that `Client.submit` uploads in its place. None if it was trained
    on other data, or held nothing out of this one, or if the packages that read it are not installed.
    """
    from raydient.spec.errors import InvalidSpec
    from raydient.spec.patterns import are_files
    from raydient.spec.validation import validate_job

    from .extras import missing_packages

    if missing_packages("local") or not (are_files(path) or path.is_dir()):
        return None
    from raydient.workers.data import load

    try:
        spec = validate_job(training.get("specification", {}))
        # On a service the name of data has their digest; several files have no common one.
        names = [] if spec.dataset.further_uris else [training.get("dataset", ""), spec.dataset.uri]
        recorded = {training.get("data", {}).get("dataset.uri"), *(name.removeprefix("datasets/") for name in names)}
        if spec.dataset.validation or recorded.isdisjoint(_digests(path, spec.dataset)):
            return None
        rows = load(spec.dataset, path, spec.network.named_outputs, spec.training.seed).held_out
    except InvalidSpec:  # of another version, or its file is read in another way
        return None
    return rows if rows is not None and len(rows) else None


def _digests(path: Path, dataset: "Dataset") -> Iterator[str]:
    """Yield the SHA-256 of the data at a path, and of the file that is uploaded for them. Raises InvalidSpec."""
    from .cli.runs import sha256_of
    from .packing import pack

    yield sha256_of(path)
    with TemporaryDirectory(prefix="raydient-") as folder:
        packed = pack(path, dataset, "data", Path(folder))
        if packed != path:
            yield sha256_of(packed)


def read_curves(path: Path) -> History:
    """Read the file of `raydient train --history`. Raises ValueError, which names the line."""
    import csv

    from .history import Point

    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    header: Sequence[str] = lines[0] if lines else []
    curves = [name.partition("_") for name in header[1:]]
    if header[:1] != ["epoch"] or not all(split and name for split, _, name in curves):
        raise ValueError(f"{path}: it has no header of a history, such as epoch,train_loss,test_loss")
    points: list[Point] = []
    for number, line in enumerate(lines[1:], 2):
        try:
            epoch, *values = line
            cells = zip(curves, values, strict=True)
            points += [Point(c[2], c[0], int(epoch), 0, float(value)) for c, value in cells if value]
        except ValueError:
            raise ValueError(f"{path}, line {number}: an epoch has a number and {len(curves)} values") from None
    return History(points)
