"""Export of a model as an ONNX file: the network from raw samples to predictions, for any ONNX runtime."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .ends import input_place
from .graph import Network
from .model import Model, ModelTooLargeError
from .onnx_graph import OPERATOR_SETS, Attribute, OnnxGraph, OnnxNode
from .preprocessing import UNKNOWN, Kind, Preprocessing, bucketed_places, category_places

FORMAT = "raydient-onnx/2"
"""In version 1, standardized inputs were float32 instead of float64, and integer categories were texts."""
INTEGER = re.compile(r"-?[0-9]{1,19}")
OUTPUT, ROWS = "output", "samples"
"""Name of the output if the specification does not name it, and of the first axis, which has any length."""
IR_VERSION = 9
"""The first version of the file format with `OPERATOR_SETS`; runtimes since 2023 read it."""
NO_PLACE = -(2.0**31)
"""Place of a text that is not a category, outside of the table of every embedding."""
MAXIMUM_BYTES = (1 << 31) - (1 << 24)
"""Maximum bytes of parameters: a protobuf message must be smaller than 2 GiB, and the graph needs a part of it."""


def write_onnx(model: Model, file: BinaryIO) -> None:
    """Write `model` as ONNX, with the inputs and outputs of `Model.predict`. The same model gives the same bytes.

    Inputs and outputs have their names in the network; a single unnamed output is `output`. The type of an input loses
    no information: float64, with NaN for missing values and seconds since 1970 for dates, if the samples are prepared;
    int64 for the numbers of hashed categories and of tokens, (samples, length), which ONNX cannot compute;
    for other categories int64 if the
    training data has integers, else strings; float32 for all others, which the network reads unchanged. The runtime
    fails for a category that is not in the training data.

    The graph begins with the preparation of the samples. It ends with the activation that the loss assumes, if any, and
    for a standardized label with the way back to its unit.
    Columns, classes and labels are metadata of the file. Parameters are initializers under their own names.

    Raises:
        ModelTooLargeError: the parameters take 2 GiB or more.
    """
    size = model.weights.nbytes
    if size > MAXIMUM_BYTES:
        raise ModelTooLargeError(f"{size:,} bytes of parameters are more than the 2 GiB that an ONNX file may have")
    graph, network = _graph(model), model.network
    names = _output_names(network)
    domains = sorted({"", *(node.domain for node in graph.nodes)})
    message = helper.make_model(
        helper.make_graph(
            [_node(node) for node in graph.nodes],
            "network",
            [_value(name, _shape(input_), _type(input_)) for name, input_ in model.inputs.items()],
            [_value(name, o.shape, TensorProto.FLOAT) for name, o in zip(names, network.outputs, strict=True)],
            [numpy_helper.from_array(array, name) for name, array in graph.initializers.items()],
        ),
        producer_name="raydient",
        producer_version=version("raydient"),
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid(domain, OPERATOR_SETS[domain]) for domain in domains],
    )
    helper.set_model_props(message, _metadata(model))
    file.write(message.SerializeToString(deterministic=True))


def _graph(model: Model) -> OnnxGraph:
    """The operators from the inputs to the outputs."""
    graph, network = OnnxGraph(), model.network
    inputs = [graph.input(name) for name in network.input_shapes]
    values = {input_place(k): _prepared(graph, model.inputs[name], name) for k, name in enumerate(inputs)}
    for place, (node, views) in enumerate(zip(network.nodes, network.bind(model.weights), strict=True)):
        with graph.layer(node.layer.name, node.parameters_of, views):
            values[place] = node.layer.to_onnx(graph, [values[source] for source in node.sources])
    for name, output in zip(_output_names(network), network.outputs, strict=True):
        prediction = output.loss.to_onnx(graph, values[output.place])
        graph.output(output.scaling.undo_to_onnx(graph, prediction) if output.scaling else prediction, name)
    return graph


def _shape(preprocessing: Preprocessing) -> Sequence[int]:
    """The shape of a sample of an input."""
    return (preprocessing.tokens.length,) if preprocessing.tokens else preprocessing.shape


def _type(preprocessing: Preprocessing) -> int:
    """The element type of an input."""
    if preprocessing.hashing or preprocessing.tokens:
        return TensorProto.INT64
    if preprocessing.vocabulary:
        return TensorProto.INT64 if _are_integers(preprocessing) else TensorProto.STRING
    if preprocessing.is_image:
        return TensorProto.UINT8
    return TensorProto.DOUBLE if preprocessing.transforms else TensorProto.FLOAT


def _are_integers(preprocessing: Preprocessing) -> bool:
    """True if the categories are integers that int64 can hold."""
    limits = np.iinfo(np.int64)
    return preprocessing.kind is Kind.INTEGER and all(
        INTEGER.fullmatch(text) and limits.min <= int(text) <= limits.max for text in preprocessing.vocabulary
    )


def _prepared(graph: OnnxGraph, preprocessing: Preprocessing, samples: str) -> str:
    """Add the operators of `Preprocessing.apply`; return the name of the result."""
    if not preprocessing.has_categories:
        return _transformed(graph, preprocessing, samples) if preprocessing.transforms else samples
    numbers = _numbers(graph, preprocessing, samples)
    if not preprocessing.one_hot:
        return numbers
    depth, values = graph.constant([preprocessing.numbers]), graph.constant([0.0, 1.0])
    vectors = graph.node("OneHot", [graph.node("Cast", [numbers], to=TensorProto.INT64), depth, values], axis=-1)
    return graph.node("Reshape", [vectors, graph.constant([-1, *preprocessing.prepared_shape])])


def _numbers(graph: OnnxGraph, preprocessing: Preprocessing, samples: str) -> str:
    """Add the numbers of categories, as float32."""
    if preprocessing.vocabulary:
        vocabulary, has_buckets = preprocessing.vocabulary, preprocessing.has_buckets
        places = bucketed_places(vocabulary) if has_buckets else category_places(vocabulary)
        keys: dict[str, Attribute] = {"keys_strings": list(places)}
        if _are_integers(preprocessing):
            places = {text: places[text] for text in vocabulary}
            keys = {"keys_int64s": [int(text) for text in vocabulary]}
        values: dict[str, Attribute] = {
            "values_floats": [float(place) for place in places.values()],
            "default_float": float(UNKNOWN) if has_buckets else NO_PLACE,
        }
        return graph.node("LabelEncoder", [samples], domain="ai.onnx.ml", output=0, **keys, **values)
    return graph.node("Cast", [samples], to=TensorProto.FLOAT)


def _transformed(graph: OnnxGraph, preprocessing: Preprocessing, samples: str) -> str:
    """Add the steps of the preparation of numbers, in float64 as in training."""
    shape = preprocessing.shape
    if preprocessing.is_image:
        samples = graph.node("Cast", [samples], to=TensorProto.DOUBLE)
    for transform in preprocessing.transforms:
        samples = transform.to_onnx(graph, samples, shape)
        shape = transform.shape(shape)
    return graph.node("Cast", [samples], to=TensorProto.FLOAT)


def _output_names(network: Network) -> list[str]:
    plain = not network.spec.outputs and OUTPUT not in network.input_shapes
    return [OUTPUT] if plain else [output.name for output in network.outputs]


def _node(node: OnnxNode) -> onnx.NodeProto:
    proto = helper.make_node(node.operator, node.inputs, node.outputs, node.name, domain=node.domain)
    proto.attribute.extend(helper.make_attribute(name, value) for name, value in sorted(node.attributes.items()))
    return proto


def _value(name: str, shape: Sequence[int], element: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, [ROWS, *shape])


def _metadata(model: Model) -> dict[str, str]:
    metadata = {"format": FORMAT, "digest": model.digest}
    dates = [name for input_ in model.inputs.values() for name in input_.date_columns]
    if dates:
        metadata["dates"] = json.dumps(dates)
    hashing = {name: asdict(x.hashing) for name, x in model.inputs.items() if x.hashing}
    if hashing:
        metadata["hashing"] = json.dumps(hashing)
    tokens = {name: asdict(x.tokens) for name, x in model.inputs.items() if x.tokens}
    if tokens:
        metadata["tokens"] = json.dumps(tokens)
    if model.is_plain:
        target = model.target
        return metadata | {
            "features": json.dumps(model.input.feature_names),
            "label": target.label,
            "classes": json.dumps(target.classes),
        }
    inputs = {name: {"columns": x.columns, "vocabulary": x.vocabulary} for name, x in model.inputs.items()}
    outputs = zip(_output_names(model.network), model.network.outputs, strict=True)
    targets = {name: model.targets[output.name] for name, output in outputs}
    outputs_data = {name: {"label": target.label, "classes": target.classes} for name, target in targets.items()}
    return metadata | {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs_data)}
