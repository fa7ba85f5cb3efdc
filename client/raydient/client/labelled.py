"""Reads labelled samples of any form for the evaluation of a network in this process."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydient.spec.csv_text import Dialect
from raydient.spec.values import BOOLEANS

from .columns import InvalidSamples, named_columns, numbers, own_type, row_number
from .remote_samples import local_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raydient.workers.network import Model, Output

    from .columns import Where
    from .predictor import Predictor

    Arrays = dict[str, NDArray[Any]]
    Notice = Callable[[list[str]], None]

SHOWN_CLASSES = 5


def read_labelled(
    predictor: "Predictor", network: "Model", data: Any, notice: "Notice | None", dialect: Dialect
) -> "tuple[Arrays, Arrays]":
    """Return the inputs and the labels, encoded for the losses, by name of input and of output; see `evaluate`."""
    if isinstance(data, str | os.PathLike):
        with local_samples(data) as path:
            return _of_file(predictor, network, path, notice, dialect)
    if isinstance(data, tuple) and len(data) == 2:
        if len(network.inputs) != 1 or len(network.targets) != 1:
            raise InvalidSamples("the network has several inputs or outputs: give their data by name")
        (input_,), (label,) = network.inputs, [output.label or "y" for output in predictor.model.outputs]
        table = {input_: data[0], label: data[1]}
    elif (named := named_columns(data)) is None:
        raise InvalidSamples("samples and labels by name are needed, or a pair of both")
    else:
        table = named
        if unknown := predictor.unknown(table):
            if notice is None:
                predictor.check_names(table)
            else:
                notice(unknown)
    inputs = predictor.arrays(table)
    return inputs, _labels(network, table, row_number, inputs)


def _of_file(
    predictor: "Predictor", network: "Model", path: Path, notice: "Notice | None", dialect: Dialect
) -> "tuple[Arrays, Arrays]":
    import numpy as np

    inputs: list[Arrays] = []
    labels: list[Arrays] = []
    for samples in predictor.read(path, dialect, {target.label or "y" for target in network.targets.values()}):
        try:
            if repeated := [one.label for one in network.targets.values() if one.label in samples.repeated]:
                raise InvalidSamples(f"there is more than one column named {repeated[0]!r}")
            inputs.append(predictor.of_file(samples, notice))
            labels.append(_labels(network, samples.arrays, samples.where, inputs[-1]))
        except InvalidSamples as error:
            raise InvalidSamples(f"{path}: {error}") from error
    joined = [{name: np.concatenate([part[name] for part in parts]) for name in parts[0]} for parts in (inputs, labels)]
    return joined[0], joined[1]


def _labels(network: "Model", table: Mapping[str, Any], where: "Where", inputs: "Arrays") -> "Arrays":
    """The labels of each output for these inputs."""
    rows = len(next(iter(inputs.values())))
    if not rows:
        raise InvalidSamples("there are no samples")
    labels = {output.name: _encoded(network, output, table, where) for output in network.network.outputs}
    for encoded in labels.values():
        if len(encoded) != rows:
            raise InvalidSamples(f"the number of samples is {rows}, that of their labels {len(encoded)}")
    return labels


def _encoded(network: "Model", output: "Output", table: Mapping[str, Any], where: "Where") -> "NDArray[Any]":
    """The labels of an output, (n, *label shape), in the type that its loss takes; float64 if it standardizes them."""
    import numpy as np

    from raydient.workers.network.losses import LabelError, measured

    target = network.targets[output.name]
    name = target.label or "y"
    if name not in table:
        hint = "; a label of several columns is not evaluated" if " to " in name else ""
        raise InvalidSamples(f"the label {name!r} is missing{hint}")
    values = own_type(name, table[name], where)
    if target.classes:
        encoded = _indices(name, values, target.classes, where)
    else:
        try:
            read = numbers(name, values, where)
            encoded = measured(read) if output.scaling else output.loss.encode(read, None, output.settings)[0]
        except LabelError as error:
            raise InvalidSamples(f"{name}: {error}") from error
    if encoded.size != len(values) * int(np.prod(output.label_shape)):
        raise InvalidSamples(f"{name}: a label has shape {values.shape[1:]}, the network takes {output.label_shape}")
    encoded = encoded.reshape(len(values), *output.label_shape)
    are_classes = output.label_dtype.kind == "i"  # labels of a loss of two classes are numbers
    if are_classes and len(bad := np.argwhere(encoded >= output.shape[-1])):
        class_ = encoded[tuple(bad[0])]
        raise InvalidSamples(f"{name}, {where(int(bad[0][0]))}: {class_} is none of the {output.shape[-1]} classes")
    return encoded.astype(np.float64 if output.scaling else output.label_dtype)


def _indices(name: str, values: "NDArray[Any]", classes: tuple[str, ...], where: "Where") -> "NDArray[Any]":
    """The number of each label's class, of the shape of `values`; classes are compared as categories are."""
    import numpy as np

    from raydient.workers.network import category_places, category_texts

    places = category_places(classes)
    if {text.lower() for text in classes} <= BOOLEANS.keys():
        for boolean, number in BOOLEANS.items():  # a column of another file may have 0 and 1
            if boolean in places:
                places |= dict.fromkeys((f"{number:.0f}", str(number)), places[boolean])
    texts = category_texts(values)
    encoded = np.array([places.get(text, -1) for text in texts], np.int32)
    if len(bad := np.flatnonzero(encoded < 0)):
        shown = ", ".join(map(repr, classes[:SHOWN_CLASSES])) + (", ..." if len(classes) > SHOWN_CLASSES else "")
        row = int(bad[0]) * len(values) // values.size
        raise InvalidSamples(f"{name}, {where(row)}: {texts[bad[0]]!r:.100} is none of the classes {shown}")
    return encoded
