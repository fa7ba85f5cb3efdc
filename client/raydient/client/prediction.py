"""Splits a prediction into calls whose messages stay under gRPC's limit, and joins the answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from raydient.spec.errors import FieldError
from raydient.v1.model_service_pb2 import Model, PredictRequest, Tensor
from raydient.v1.model_service_pb2 import Prediction as OutputPrediction

from .columns import InvalidSamples
from .connection import Connection
from .errors import RequestRefused
from .notebook import table

if TYPE_CHECKING:
    from numpy import float32, int32
    from numpy.typing import NDArray

    from .columns import Where

INPUT_BYTES, OUTPUT_BYTES = 1 << 20, 2 << 20
"""Bytes of samples and of outputs in one call: well under gRPC's limit of 4 MiB."""
MESSAGE_BYTES = 4_000_000
"""Largest sample in one message, in bytes; the rest of the 4 MiB is for names and shapes."""
FIELDS = {"f4": ("values", 4), "f8": ("doubles", 8), "i8": ("integers", 10), "b1": ("booleans", 1)}
"""For each element type: the field of Tensor that holds it, and the maximum bytes of one value."""
FIRST_VALUES = 5
"""Classes or outputs that the `repr` of a prediction shows."""
_SAMPLE = re.compile(r"(?:arrays\.)?(?P<name>.+)\[(?P<row>\d+)\]")


@dataclass(frozen=True, slots=True, repr=False)
class Prediction:
    """The predictions of one output, one sample per row.

    Attributes:
        outputs: float32 [samples, ...]; probabilities if the loss is a cross-entropy.
        classes: int32 [samples], the most probable classes; [samples, ...] if there is one at each position, or 0 or 1
            for each of several outputs; None if the loss has no classes.
        class_names: the label that each class stands for; empty if labels are numbers.
    """

    outputs: "NDArray[float32]"
    classes: "NDArray[int32] | None"
    class_names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line: the number of samples, the shape of an output, and the first predictions."""
        count, *shape = self.outputs.shape
        samples = "1 sample" if count == 1 else f"{count:,} samples"
        width = "1 output" if shape == [1] else f"{' x '.join(map(str, shape)) or 1} outputs"
        values = self.outputs if self.classes is None else self.classes
        first = values.ravel()[:FIRST_VALUES].tolist()
        named = self.classes is not None and self.class_names
        texts = [repr(self.class_names[value]) if named else f"{value:.6g}" for value in first]
        texts += ["..."] * (values.size > FIRST_VALUES)
        what = "outputs" if self.classes is None else "classes"
        return f"<Prediction of {samples}, {width}{' each' * (count != 1)}: {what} {', '.join(texts)}>"

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.outputs)

    def __getitem__(self, rows: slice) -> "Prediction":
        """The predictions of consecutive samples: `prediction[:5]`."""
        if not isinstance(rows, slice):
            text = f"a prediction takes slices, such as [:5], not {rows!r}"
            raise TypeError(f"{text}; its `outputs` and `classes` are arrays")
        classes = None if self.classes is None else self.classes[rows]
        return Prediction(self.outputs[rows], classes, self.class_names)

    def _repr_html_(self) -> str:
        """The first samples, one row each, with their first outputs."""
        rows = []
        for place, sample in enumerate(self.outputs[:FIRST_VALUES]):
            outputs = sample.ravel().tolist()
            shown = [f"{value:.6g}" for value in outputs[:FIRST_VALUES]]
            shown += ["..."] * (len(outputs) > FIRST_VALUES)
            rows.append([str(place), *([] if self.classes is None else [self._class(place)]), ", ".join(shown)])
        return table(["sample", *([] if self.classes is None else ["class"]), "outputs"], rows, repr(self)[1:-1])

    def _class(self, place: int) -> str:
        """The class of a sample as text; of several, the first ones."""
        assert self.classes is not None
        values = self.classes[place].ravel().tolist()
        texts = [self.class_names[value] if self.class_names else str(value) for value in values[:FIRST_VALUES]]
        return ", ".join(texts + ["..."] * (len(values) > FIRST_VALUES))


def call_predict(
    connection: Connection, model: Model, arrays: "Mapping[str, NDArray[Any]]", where: "Where"
) -> dict[str, Prediction]:
    """Send the samples in as few calls as fit, and join the answers.

    Args:
        connection: to the service.
        model: description of the network's inputs and outputs.
        arrays: inputs by name, all with the same number (at least 1) of samples, of the types that `own_type` gives.
        where: returns the text by which errors name a sample.

    Raises:
        InvalidSamples: a sample is too large for a message.
        RequestRefused: the server refuses a sample.
    """
    answers = [_answer(connection, model, arrays, rows, where) for rows in _portions(model, arrays)]
    return {
        output.name: _together([answer[output.name] for answer in answers], output.shape) for output in model.outputs
    }


def joined(parts: Sequence[Mapping[str, Prediction]]) -> dict[str, Prediction]:
    """Join the predictions of consecutive parts of samples, at least one part, by output."""
    import numpy as np

    first, *rest = parts
    if not rest:
        return dict(first)
    return {
        name: Prediction(
            np.concatenate([part[name].outputs for part in parts]),
            None if one.classes is None else np.concatenate([_classes(part[name]) for part in parts]),
            one.class_names,
        )
        for name, one in first.items()
    }


def _classes(prediction: Prediction) -> "NDArray[int32]":
    assert prediction.classes is not None, "all parts of an output have classes, or none"
    return prediction.classes


def _answer(
    connection: Connection, model: Model, arrays: "Mapping[str, NDArray[Any]]", rows: slice, where: "Where"
) -> dict[str, list[OutputPrediction]]:
    """Predictions of each output for some rows: one message, or several that each hold part of the outputs' values."""
    tensors = {name: _tensor(array[rows]) for name, array in arrays.items()}
    request = PredictRequest(name=model.name, arrays=tensors)
    parts = []
    for start, count in _windows(model):
        request.output_start, request.output_count = start, count
        try:
            parts.append(connection.call(connection.models.Predict, request).predictions)
        except RequestRefused as error:
            raise _located(error, rows.start, where) from error
    return {output.name: [part[output.name] for part in parts] for output in model.outputs}


def _windows(model: Model) -> Iterator[tuple[int, int]]:
    """Start and count of the outputs' values that fit into a call; (0, 0) stands for all of them."""
    sizes = [prod(output.shape) for output in model.outputs]
    if 4 * sum(sizes) <= OUTPUT_BYTES:
        yield 0, 0
        return
    count = OUTPUT_BYTES // 4 // len(sizes)
    yield from ((start, count) for start in range(0, max(sizes), count))


def _portions(model: Model, arrays: "Mapping[str, NDArray[Any]]") -> Iterator[slice]:
    """Consecutive rows whose inputs and outputs fit into a call."""
    import numpy as np

    sizes = sum(_row_bytes(array) for array in arrays.values())
    ends = np.cumsum(sizes)
    if (largest := int(np.max(sizes))) > MESSAGE_BYTES:
        text = f"a sample of {largest:,} bytes is too large for a message, which holds {MESSAGE_BYTES:,}"
        raise InvalidSamples(f"{text}: download the model and apply it here, for instance with ONNX Runtime")
    most = max(1, OUTPUT_BYTES // sum(4 * prod(output.shape) + 5 * prod(output.shape[:-1]) for output in model.outputs))
    start = 0
    while start < len(ends):
        sent = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends, sent + INPUT_BYTES, side="right"))
        stop = min(max(fitting, start + 1), start + most)
        yield slice(start, stop)
        start = stop


def _row_bytes(array: "NDArray[Any]") -> "NDArray[Any]":
    """Maximum bytes of each sample in a message, int64 (n,)."""
    import numpy as np

    if array.dtype.kind != "O":
        return np.full(len(array), FIELDS[array.dtype.str[1:]][1] * array[0].size, np.int64)
    sizes = np.array([len(text.encode()) + 4 for text in array.ravel().tolist()], np.int64)
    return np.asarray(sizes.reshape(len(array), -1).sum(axis=1))


def _tensor(array: "NDArray[Any]") -> Tensor:
    """Convert an array that `own_type` made to a message."""
    if array.dtype.kind == "O":
        return Tensor(shape=array.shape, texts=array.ravel().tolist())
    return Tensor(shape=array.shape, **{FIELDS[array.dtype.str[1:]][0]: array.ravel().tolist()})


def _located(error: RequestRefused, start: int, where: "Where") -> RequestRefused:
    """Replace the sample's number within the call, if the error has one, by its number among all samples."""
    violations = []
    for violation in error.violations:
        place = _SAMPLE.fullmatch(violation.path)
        text = f"{where(start + int(place['row']))}: {violation.message}" if place else violation.message
        violations.append(FieldError(place["name"] if place else violation.path, text))
    message = "\n".join(str(violation) for violation in violations) or str(error)
    return RequestRefused(message, reason=error.reason, violations=violations)


def _together(answers: Sequence[Sequence[OutputPrediction]], shape: Sequence[int]) -> Prediction:
    """Join the answers of one output: calls along the rows, parts of a call along the values."""
    import numpy as np

    def outputs(part: OutputPrediction) -> "NDArray[float32]":
        return np.array(part.outputs.values, np.float32).reshape(part.outputs.shape[0], -1)

    whole = [np.concatenate([outputs(part) for part in parts], axis=1) for parts in answers]
    classes = np.concatenate([np.array(first.classes, np.int32) for first, *_ in answers])
    values = np.concatenate(whole)
    names = tuple(answers[0][0].class_names)
    if classes.size > len(values):
        positions = shape[:-1] if classes.size == len(values) * prod(shape[:-1]) else shape
        classes = classes.reshape(len(values), *positions)
    return Prediction(values.reshape(len(values), *shape), classes if classes.size else None, names)
