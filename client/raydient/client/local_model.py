"""A trained network in this process, from its file: predictions without a service."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydient.spec.csv_text import PLAIN, Dialect

from .columns import InvalidSamples, row_number
from .errors import MissingExtra, ModelUnreadable
from .evaluation import Evaluation, confusion_of, residuals_of
from .history import History
from .labelled import read_labelled
from .prediction import Prediction
from .predictor import Predictor
from .report import Report, report_of_model

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

    from raydient.workers.network import Model

    from .columns import Where


def load_model(path: str | os.PathLike[str]) -> "LocalModel":
    """Load a trained network from a `.safetensors` file, which also has the specification and the preprocessing.

    Needs the base install only, and no service.

    Raises:
        ModelUnreadable: the file is no model, or it is damaged.
        OSError: the file cannot be read.
    """
    from raydient.workers.network import ModelError
    from raydient.workers.network import load_model as load

    try:
        return LocalModel(load(Path(path)))
    except ModelError as error:
        raise ModelUnreadable(f"{error}; a model is loaded from its .safetensors file") from error


@dataclass(frozen=True, eq=False, slots=True)
class Evaluated:
    """An evaluation with the samples that it is about.

    Attributes:
        inputs: raw values, (n, *shape), by name of the input.
        labels: encoded for the losses, (n, ...), by name of the output.
        predictions: by name of the output.
        rows: number of each sample in the data, (n,), from 1.
    """

    evaluation: Evaluation
    inputs: "Mapping[str, NDArray[Any]]"
    labels: "Mapping[str, NDArray[Any]]"
    predictions: Mapping[str, Prediction]
    rows: "NDArray[int64]"


class LocalModel(Predictor):
    """A trained network in this process.

    `predict` and `predict_all` take and return what those of a `Job` do, with the same bits.

    Attributes:
        model: description of the network's inputs and outputs (message `raydient.v1.Model`).
        network: the network itself.
    """

    def __init__(self, network: "Model") -> None:
        """Wrap a network."""
        from raydient.workers.description import model_message

        super().__init__(model_message("", network), self._outputs, network.beside)
        self.network = network

    def __repr__(self) -> str:
        labels = ", ".join(output.label or output.name for output in self.model.outputs)
        return f"<LocalModel of {labels} from {_counted(self.features)}, digest {self.digest[:12]}>"

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return self.model.digest

    def evaluate(
        self, data: Any, notice: "Callable[[list[str]], None] | None" = None, dialect: Dialect = PLAIN
    ) -> Evaluation:
        """Compare the predictions for labelled samples with their labels.

        The loss has the class weights of the job; weights of samples are not read, each sample has the weight 1.

        Args:
            data: a table with features and labels or the path of a data file, as `predict` takes them, or a pair of
                samples and labels.
            notice: receives the names of columns that the network was not trained on; without it they are an error.
            dialect: of a CSV file.

        Raises:
            InvalidSamples: samples or labels are missing or do not fit the network.
        """
        return self.evaluated(data, notice, dialect).evaluation

    def evaluated(
        self,
        data: Any,
        notice: "Callable[[list[str]], None] | None" = None,
        dialect: Dialect = PLAIN,
        *,
        rows: "NDArray[int64] | None" = None,
    ) -> Evaluated:
        """Evaluate as `evaluate` does, and return the samples too; `rows` selects among those of `data`, from 0."""
        import numpy as np

        from raydient.workers.network import evaluate

        network = self.network
        arrays, labels = read_labelled(self, network, data, notice, dialect)
        if rows is None:
            rows = np.arange(len(next(iter(labels.values()))))
        else:
            arrays = {name: array[rows] for name, array in arrays.items()}
            labels = {name: array[rows] for name, array in labels.items()}
        with one_thread(), _naming(row_number):
            metrics, outputs = evaluate(network, network.prepare(arrays), labels)
        predictions = self._predictions(outputs)
        confusions, residuals = {}, {}
        for output in network.network.outputs:
            name, prediction = output.name, predictions[output.name]
            if prediction.classes is None:
                of_values = residuals_of(labels[name], prediction.outputs)
                residuals[name] = replace(of_values, row=int(rows[of_values.row - 1]) + 1)
            elif confusion := confusion_of(labels[name], prediction, output.shape[-1]):
                confusions[name] = confusion
        evaluation = Evaluation(len(rows), metrics, confusions, residuals)
        return Evaluated(evaluation, arrays, labels, predictions, rows + 1)

    def report(
        self,
        data: Any = None,
        history: History | None = None,
        *,
        name: str = "model",
        notice: "Callable[[list[str]], None] | None" = None,
        dialect: Dialect = PLAIN,
    ) -> Report:
        """A report about the network, which `Report.save` writes as a page, a model card or JSON.

        Args:
            data: labelled samples, as `evaluate` takes them. Of the file that the network was trained on, the rows that
                were held out are evaluated.
            history: the curves of its training.
            name: of the network.
            notice, dialect: see `evaluate`.

        Raises:
            InvalidSamples: samples or labels are missing or do not fit the network.
        """
        return report_of_model(self, name, data, history, notice=notice, dialect=dialect)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model to a file whose suffix selects the format: `.safetensors`, `.onnx` or `.npz`.

        The file appears whole or not at all.

        Raises:
            ValueError: another suffix, or the model is too large for the format.
            MissingExtra: for ONNX the extra `local` is not installed.
        """
        from raydient.files import replacing
        from raydient.workers.network import ExportFormat, export_model, save_model

        path = Path(path)
        if path.suffix == ".safetensors":
            save_model(path, self.network)
            return path
        if path.suffix not in list(ExportFormat):
            raise ValueError(f"{path}: the suffix of a model is .safetensors, .onnx or .npz")
        try:
            with replacing(path) as file:
                export_model(self.network, ExportFormat(path.suffix), file)
        except ModuleNotFoundError as error:
            raise MissingExtra("An ONNX file", "local") from error
        return path

    def _outputs(self, arrays: "Mapping[str, NDArray[Any]]", where: "Where") -> dict[str, Prediction]:
        """Predictions of each output; see `Compute`."""
        with one_thread(), _naming(where):
            return self._predictions(self.network.predict_all(arrays))

    def _predictions(self, outputs: "Mapping[str, NDArray[Any]]") -> dict[str, Prediction]:
        from raydient.workers.network.losses import loss_class

        network = self.network
        losses = {output.layer: loss_class(output.loss) for output in network.specification.named_outputs}
        return {
            name: Prediction(y, losses[name].classify(y), network.targets[name].classes) for name, y in outputs.items()
        }


@contextmanager
def _naming(where: "Where") -> Iterator[None]:
    """Raise errors of samples as InvalidSamples, which names the sample."""
    from raydient.workers.network import SampleError

    try:
        yield
    except SampleError as error:
        sample = "" if error.row is None else f"{where(error.row)}: "
        raise InvalidSamples(f"{error.input or 'samples'}: {sample}{error.args[0]}") from error


def one_thread() -> AbstractContextManager[object]:
    """Limit BLAS to one thread, as in the service, because more could change the last bits of a product.

    Has no effect without the package threadpoolctl of the extra `local`.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[object] = threadpool_limits(1, "blas")
    return limits


def _counted(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} features"
