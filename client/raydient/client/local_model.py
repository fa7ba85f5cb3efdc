"""A trained network in this process, from its file: predictions without a service."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydient.spec.csv_text import PLAIN, Dialect

from .columns import InvalidSamples, row_number
from .errors import MissingExtra, ModelUnreadable
from .evaluation import Evaluation, confusion_of, residuals_of
from .labelled import read_labelled
from .prediction import Prediction
from .predictor import Predictor

if TYPE_CHECKING:
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


class LocalModel(Predictor):
    """A trained network in this process.

    `predict` and `predict_all` take and return what those of a `Job` do, with the same bits.

    Attributes:
        model: description of the network's inputs and outputs (message `raydient.v1.Model`).
    """

    def __init__(self, network: "Model") -> None:
        """Wrap a network."""
        from raydient.workers.description import model_message

        super().__init__(model_message("", network), self._outputs, network.beside)
        self._network = network

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
        from raydient.workers.network import evaluate

        network = self._network
        arrays, labels = read_labelled(self, network, data, notice, dialect)
        with one_thread(), _naming(row_number):
            metrics, outputs = evaluate(network, network.prepare(arrays), labels)
        predictions = self._predictions(outputs)
        confusions, residuals = {}, {}
        for output in network.network.outputs:
            name, prediction = output.name, predictions[output.name]
            if prediction.classes is None:
                residuals[name] = residuals_of(labels[name], prediction.outputs)
            elif confusion := confusion_of(labels[name], prediction, output.shape[-1]):
                confusions[name] = confusion
        return Evaluation(len(prediction.outputs), metrics, confusions, residuals)

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
            save_model(path, self._network)
            return path
        if path.suffix not in list(ExportFormat):
            raise ValueError(f"{path}: the suffix of a model is .safetensors, .onnx or .npz")
        try:
            with replacing(path) as file:
                export_model(self._network, ExportFormat(path.suffix), file)
        except ModuleNotFoundError as error:
            raise MissingExtra("An ONNX file", "local") from error
        return path

    def _outputs(self, arrays: "Mapping[str, NDArray[Any]]", where: "Where") -> dict[str, Prediction]:
        """Predictions of each output; see `Compute`."""
        with one_thread(), _naming(where):
            return self._predictions(self._network.predict_all(arrays))

    def _predictions(self, outputs: "Mapping[str, NDArray[Any]]") -> dict[str, Prediction]:
        from raydient.workers.network.losses import loss_class

        network = self._network
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
