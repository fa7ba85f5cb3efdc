"""A model as an ONNX file: the network from raw samples to predictions, as any runtime for ONNX computes it."""

import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .ends import input_place
from .graph import Network
from .model import Model, ModelTooLargeError
from .onnx_graph import OPERATOR_SETS, Attribute, OnnxGraph, OnnxNode
from .preprocessing import Kind, Preprocessing, category_places
from .standardization import Scaling

FORMAT = "raydient-onnx/2"
"""Version 1 took float32 where 2 takes float64, and texts for categories that are integers."""
INTEGER = re.compile(r"-?[0-9]{1,19}")
OUTPUT, ROWS = "output", "samples"
"""Names of the output, where the specification names none, and of the first axis, which takes any number of samples."""
IR_VERSION = 9
"""The first version of the file format that knows `OPERATOR_SETS`: runtimes of 2023 read it."""
NO_PLACE = -(2.0**31)
"""Place of a text that is not a category; outside of every embedding's table."""
MAXIMUM_BYTES = (1 << 31) - (1 << 24)
"""Maximum bytes of parameters: a protobuf message must stay below 2 GiB, and the graph needs some of it."""


def write_onnx(model: Model, file: BinaryIO) -> None:
    """Write `model` as ONNX, with the inputs and outputs of `Model.predict`. The same model gives the same bytes.

    Inputs and outputs have the names that they have in the network; an only output is `output`. An input has the type
    that loses nothing: float64 if it is standardized; for categories int64 if the training data had integers, else
    strings; float32 for all others, which the network takes unchanged. The runtime fails for a category that training
    did not see.

    Standardization is in front and, where the loss assumes one, the activation behind; columns, classes and labels are
    the file's metadata. Parameters are initializers under their own names.

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
            [_value(name, given.shape, _type(given)) for name, given in model.inputs.items()],
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
    fed = [graph.feed(name) for name in network.input_shapes]
    made = {input_place(k): _prepared(graph, model.inputs[name], name) for k, name in enumerate(fed)}
    for place, (node, views) in enumerate(zip(network.nodes, network.bind(model.weights), strict=True)):
        with graph.layer(node.layer.name, node.parameters_of, views):
            made[place] = node.layer.to_onnx(graph, [made[source] for source in node.sources])
    for name, output in zip(_output_names(network), network.outputs, strict=True):
        graph.give(output.loss.to_onnx(graph, made[output.place]), name)
    return graph


def _type(given: Preprocessing) -> int:
    """The element type of an input."""
    if given.vocabulary:
        return TensorProto.INT64 if _are_integers(given) else TensorProto.STRING
    return TensorProto.DOUBLE if given.scaling else TensorProto.FLOAT


def _are_integers(given: Preprocessing) -> bool:
    """True if the categories are integers that int64 can hold."""
    limits = np.iinfo(np.int64)
    return given.kind is Kind.INTEGER and all(
        INTEGER.fullmatch(text) and limits.min <= int(text) <= limits.max for text in given.vocabulary
    )


def _prepared(graph: OnnxGraph, given: Preprocessing, samples: str) -> str:
    """Add the operators of `Preprocessing.apply`."""
    if given.vocabulary:
        keys: dict[str, Attribute]
        if _are_integers(given):
            places: Sequence[int] = range(len(given.vocabulary))
            keys = {"keys_int64s": [int(text) for text in given.vocabulary]}
        else:
            places = list(category_places(given.vocabulary).values())
            keys = {"keys_strings": list(category_places(given.vocabulary))}
        values: dict[str, Attribute] = {"values_floats": [float(place) for place in places], "default_float": NO_PLACE}
        return graph.node("LabelEncoder", [samples], domain="ai.onnx.ml", output=0, **keys, **values)
    return _standardized(graph, given.scaling, samples) if given.scaling else samples


def _standardized(graph: OnnxGraph, scaling: Scaling, samples: str) -> str:
    """In float64, as training did: a mean that is large against the deviation would cost digits."""
    shifted = graph.node("Sub", [samples, graph.constant(scaling.mean, exact=True)])
    scaled = graph.node("Div", [shifted, graph.constant(scaling.scale, exact=True)])
    return graph.node("Cast", [scaled], to=TensorProto.FLOAT)


def _output_names(network: Network) -> list[str]:
    plain = not network.spec.outputs and OUTPUT not in network.input_shapes
    return [OUTPUT] if plain else [output.name for output in network.outputs]


def _node(node: OnnxNode) -> onnx.NodeProto:
    made = helper.make_node(node.operator, node.inputs, node.outputs, node.name, domain=node.domain)
    made.attribute.extend(helper.make_attribute(name, value) for name, value in sorted(node.attributes.items()))
    return made


def _value(name: str, shape: Sequence[int], element: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, [ROWS, *shape])


def _metadata(model: Model) -> dict[str, str]:
    told = {"format": FORMAT, "digest": model.digest}
    if model.is_plain:
        target = model.target
        return told | {
            "features": json.dumps(model.input.feature_names),
            "label": target.label,
            "classes": json.dumps(target.classes),
        }
    inputs = {name: {"columns": g.columns, "vocabulary": g.vocabulary} for name, g in model.inputs.items()}
    named = zip(_output_names(model.network), model.network.outputs, strict=True)
    found = {name: model.targets[output.name] for name, output in named}
    targets = {name: {"label": target.label, "classes": target.classes} for name, target in found.items()}
    return told | {"inputs": json.dumps(inputs), "outputs": json.dumps(targets)}
