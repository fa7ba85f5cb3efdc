"""Applies a trained network to samples."""

import os
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydient.spec.csv_text import PLAIN, Dialect
from raydient.v1.model_service_pb2 import Model, ModelInput

from .columns import (
    InvalidSamples,
    as_array,
    check_lengths,
    dates,
    is_series,
    name_problem,
    named_columns,
    numbers,
    own_type,
    row_number,
    series_columns,
    side_by_side,
)
from .images import as_pixels
from .prediction import Prediction, joined
from .remote_samples import local_samples
from .samples import IMAGE_ROWS, Samples, read_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .columns import Where

    Compute = Callable[[Mapping[str, NDArray[Any]], Where], dict[str, Prediction]]
    """Returns the predictions of each output for the inputs, (n, *shape) by name, n > 0. Errors name a sample by the
    text of `Where`."""


class Predictor:
    """Applies a trained network to samples.

    Attributes:
        model: description of the network's inputs and outputs (message `raydient.v1.Model`).
    """

    def __init__(self, model: Model, compute: "Compute", beside: Collection[str] | None) -> None:
        """Prepare to select the inputs of a network among samples of any form.

        Args:
            model: description of the network's inputs and outputs.
            compute: the network, in the service or in this process.
            beside: columns of the training data that are not features, such as labels; None if any column may occur.
        """
        self.model = model
        self._compute = compute
        self._beside = beside

    @property
    def features(self) -> list[str]:
        """Names of the columns or arrays of the training data that form the inputs."""
        return [column for input_ in self.model.inputs for column in input_.columns]

    @property
    def needed(self) -> set[str]:
        """Names of the columns or arrays of a file from which inputs are selected."""
        return {"x", *self.features, *(input_.name for input_ in self.model.inputs)}

    @property
    def has_images(self) -> bool:
        """True if an input is images."""
        return any(input_.is_image for input_ in self.model.inputs)

    def read(self, path: Path, dialect: Dialect, beside: Collection[str] = ()) -> Iterator[Samples]:
        """Yield the samples of a file, and the columns that are needed beside them; see `read_samples`.

        If the file does not name its column, it is the network's only one.
        """
        most = IMAGE_ROWS if self.has_images else None
        needed = {*self.needed, *beside}
        for samples in read_samples(path, needed, dialect, most=most, has_images=self.has_images):
            yield samples.named(self.features[0]) if len(self.features) == 1 else samples

    def predict(self, inputs: Any, columns: Sequence[str] = (), *, dialect: Dialect = PLAIN) -> Prediction:
        """Predict the only output for samples of any form; see `Job.predict`. `dialect` is that of a CSV file."""
        if len(self.model.outputs) != 1:
            names = ", ".join(output.name for output in self.model.outputs)
            raise InvalidSamples(f"this network has several outputs, {names}: use predict_all")
        if isinstance(inputs, str | os.PathLike):
            if columns:
                raise InvalidSamples("the columns of a file have names of their own: leave `columns` out")
            return next(iter(self.predict_all(inputs, dialect=dialect).values()))
        table = series_columns(inputs, self.features) if is_series(inputs) else named_columns(inputs)
        if table is not None and columns:
            raise InvalidSamples("the samples have names of their own: leave `columns` out")
        if table is not None:
            self.check_names(table)
            arrays = self.arrays(table)
        elif columns:
            arrays = self.arrays(_with_names(inputs, columns))
        else:
            input_ = self._only()
            arrays = {input_.name: _of_array(input_, inputs, "inputs", row_number)}
        (prediction,) = self.apply(arrays).values()
        return prediction

    def predict_all(self, arrays: Any, *, dialect: Dialect = PLAIN) -> dict[str, Prediction]:
        """Predict every output for samples by name; see `Job.predict_all`. `dialect` is that of a CSV file."""
        if isinstance(arrays, str | os.PathLike):
            return joined(list(self.predict_file(arrays, dialect=dialect)))
        table = named_columns(arrays)
        if table is None:
            raise InvalidSamples(
                f"samples by name are needed: {', '.join(input_.name for input_ in self.model.inputs)}"
            )
        return self.apply(self.arrays(table))

    def predict_file(
        self,
        data: str | os.PathLike[str],
        notice: Callable[[list[str]], None] | None = None,
        dialect: Dialect = PLAIN,
    ) -> Iterator[dict[str, Prediction]]:
        """Yield the predictions of each output for the samples of a file, part by part in constant memory.

        Args:
            data: the path or URL of a CSV file with a header, of a Parquet or Arrow file, of a text file, each line of
                which is a sample, of a folder of images or texts, or of an NPZ file, where `x` alone has the features
                in the order of training.
            notice: receives the names of columns that the network was not trained on, once; without it they are an
                error.
            dialect: of a CSV file.

        Raises:
            InvalidSamples: the file cannot be read, or its columns or values do not fit the network. The message begins
                with the path or the URL.
            RequestRefused: the service refuses a value.
        """
        with local_samples(data) as path:
            for samples in self.read(path, dialect):
                try:
                    predictions = self.apply(self.of_file(samples, notice), samples.where)
                except InvalidSamples as error:
                    raise InvalidSamples(f"{path}: {error}") from error
                yield predictions

    def unknown(self, table: Mapping[str, Any]) -> list[str]:
        """Columns that are neither features nor other columns of the training data."""
        return [] if self._beside is None else self._others(table)

    def _others(self, table: Mapping[str, Any]) -> list[str]:
        """Columns that are not known to have been among the training data."""
        known = {*self.features, *(self._beside or ()), *(part.name for part in self.model.inputs)}
        known |= {output.label for output in self.model.outputs}
        return [name for name in table if name not in known]

    def arrays(self, table: Mapping[str, Any], where: "Where" = row_number) -> "dict[str, NDArray[Any]]":
        """Select the network's inputs, (n, *shape) by name, from columns or arrays by name; others are ignored.

        Raises:
            InvalidSamples: a column is missing or holds a value that the network cannot take.
        """
        if all(name in table for name in self.features):
            return {input_.name: _of_columns(input_, table, where) for input_ in self.model.inputs}
        complete = [input_ for input_ in self.model.inputs if input_.name in table]
        absent = [
            name
            for input_ in self.model.inputs
            if input_ not in complete
            for name in input_.columns
            if name not in table
        ]
        if absent:
            raise InvalidSamples(self._missing(absent, self._others(table)))
        return {
            input_.name: _of_array(input_, table[input_.name], input_.name, where)
            if input_ in complete
            else _of_columns(input_, table, where)
            for input_ in self.model.inputs
        }

    def apply(self, arrays: "Mapping[str, NDArray[Any]]", where: "Where" = row_number) -> dict[str, Prediction]:
        """Send the samples in as few calls as fit, and join the answers. The argument is the result of `arrays`.

        Raises:
            InvalidSamples: there are no samples, the inputs differ in their number, or a sample exceeds a message.
        """
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise InvalidSamples(f"samples differ in number: {', '.join(f'{n} has {c}' for n, c in counts.items())}")
        if not all(array.size for array in arrays.values()):
            raise InvalidSamples("there are no samples")
        return self._compute(arrays, where)

    def of_file(self, samples: Samples, notice: "Callable[[list[str]], None] | None") -> "dict[str, NDArray[Any]]":
        """Select the network's inputs in a file; see `predict_file`."""
        if repeated := [name for name in self.features if name in samples.repeated]:
            raise InvalidSamples(f"there is more than one column named {repeated[0]!r}")
        table = self._with_images(samples)
        if "x" in table and len(self.model.inputs) == 1 and not {*self.features} & {*table}:
            return self.arrays({self.model.inputs[0].name: table["x"]}, samples.where)
        if notice is None:
            self.check_names(table)
        arrays = self.arrays(table, samples.where)
        if notice is not None and not samples.first and (unknown := self.unknown(table)):
            notice(unknown)
        return arrays

    def _with_images(self, samples: Samples) -> Mapping[str, Any]:
        """Return the columns of a file, with the images that it names by paths relative to it."""
        images = {}
        for input_ in self.model.inputs:
            if input_.is_image and (name := input_.columns[0]) in samples.arrays:
                values, shape = samples.arrays[name], _image_shape(input_)
                images[name] = as_pixels(name, values, shape, samples.where, samples.folder)
        return ChainMap(images, samples.arrays) if images else samples.arrays  # type: ignore[arg-type]  # only read

    def _only(self) -> ModelInput:
        """The only input. Raises InvalidSamples if there are several."""
        if len(self.model.inputs) != 1:
            names = ", ".join(input_.name for input_ in self.model.inputs)
            raise InvalidSamples(f"this network has several inputs; give its inputs by name: {names}")
        return self.model.inputs[0]

    def check_names(self, table: Mapping[str, Any]) -> None:
        """Raise InvalidSamples if there are unknown columns."""
        unknown = self.unknown(table)
        missing = [name for name in self.features if name not in table]
        if unknown and not (missing and all(input_.name in table for input_ in self.model.inputs)):
            raise InvalidSamples(self._missing(missing, unknown))

    def _missing(self, missing: Sequence[str], unknown: Sequence[str]) -> str:
        problem = f"the columns do not fit those of the training data; {name_problem(missing, unknown)}"
        if not missing:
            return f"{problem}; leave out what the network was not trained on"
        if not any(input_.is_table for input_ in self.model.inputs):
            return f"{problem}; the training data was an array without names of columns: pass an array"
        if unknown and all(name.isdecimal() for name in unknown):
            names = ", ".join(self.features[:8]) + (", ..." if len(self.features) > 8 else "")
            return f"{problem}; give the columns their names, or pass an array with the columns in this order: {names}"
        return problem


def _with_names(inputs: Any, columns: Sequence[str]) -> dict[str, Any]:
    """The columns of an array (n, columns) by name."""
    columns = (columns,) if isinstance(columns, str) else columns
    array = as_array("inputs", inputs)
    if array.ndim != 2 or array.shape[1] != len(columns):
        raise InvalidSamples(f"{len(columns)} names of columns for inputs of shape {array.shape}")
    if len(set(columns)) < len(columns):
        twice = next(name for place, name in enumerate(columns) if name in columns[:place])
        raise InvalidSamples(f"there is more than one column named {twice!r}")
    return {name: array[:, place] for place, name in enumerate(columns)}


def _of_columns(input_: ModelInput, table: Mapping[str, Any], where: "Where") -> "NDArray[Any]":
    """Build an input from the columns or the array of the training data that it consists of."""
    if not input_.is_table:
        return _of_array(input_, table[input_.columns[0]], input_.columns[0], where)
    columns = [_column(input_, name, table[name], where) for name in input_.columns]
    check_lengths({name: len(column) for name, column in zip(input_.columns, columns, strict=True)})
    return side_by_side(columns, as_texts=input_.has_categories)


def _column(input_: ModelInput, name: str, values: Any, where: "Where") -> "NDArray[Any]":
    read = dates if name in input_.date_columns else partial(_values, input_)
    array = read(name, values, where, is_optional=name in input_.optional_columns)
    if array.ndim > 2 or array.shape[1:] not in ((), (1,)):
        raise InvalidSamples(f"{name}: a column has one value a row, this one has shape {array.shape}")
    return array.reshape(-1)


def _of_array(input_: ModelInput, values: Any, name: str, where: "Where") -> "NDArray[Any]":
    """Build an input from one array, samples first. If a sample is one value, the second axis may be omitted.

    A table with names in place of the array has its columns selected by name.
    """
    if input_.is_table and (table := named_columns(values)) is not None:
        missing, unknown = [c for c in input_.columns if c not in table], [c for c in table if c not in input_.columns]
        if missing or unknown:
            raise InvalidSamples(f"{name}: the columns do not fit this input; {name_problem(missing, unknown)}")
        return _of_columns(input_, table, where)
    if input_.is_image:
        values = as_pixels(name, values, _image_shape(input_), where)
    array, shape = as_array(name, values), tuple(input_.shape)
    if input_.is_table and array.shape[1:] == shape and (input_.date_columns or _may_lack_values(array)):
        # by column, because each has its own rule for missing values, and errors name it
        return _of_columns(input_, {column: array[:, place] for place, column in enumerate(input_.columns)}, where)
    array = _values(input_, name, array, where, is_optional=bool(input_.optional_columns))
    if array.ndim == 1 and shape == (1,):
        array = array.reshape(-1, 1)
    if array.ndim == 0 or array.shape[1:] != shape:
        raise InvalidSamples(f"{name}: at least one sample of shape {shape} is needed, one a row, not {array.shape}")
    return array


def _image_shape(input_: ModelInput) -> tuple[int, int, int]:
    height, width, channels = input_.shape
    return height, width, channels


def _may_lack_values(array: "NDArray[Any]") -> bool:
    import numpy as np

    return array.dtype.kind == "O" or (array.dtype.kind == "f" and not np.isfinite(array).all())


def _values(input_: ModelInput, name: str, values: Any, where: "Where", *, is_optional: bool) -> "NDArray[Any]":
    array = own_type(name, values, where, is_optional=is_optional)
    return array if input_.has_categories else numbers(name, array, where, is_optional=is_optional)
