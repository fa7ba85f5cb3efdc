"""The messages of the API and the models of the specification say the same, field by field.

The JSON form is what they share: so names, kinds, presence and options have to agree, in both directions.
"""

import functools
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given, reject
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from raydient.spec.base import Line, Model, OneOf
from raydient.spec.errors import InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.losses import STANDARDIZED
from raydient.spec.validation import validate_job
from raydient.v1.training_job_spec_pb2 import TrainingJobSpec

SCALARS = {
    str: FieldDescriptor.TYPE_STRING,
    bool: FieldDescriptor.TYPE_BOOL,
    int: FieldDescriptor.TYPE_UINT32,  # never 64 bits: their JSON form is text
    float: FieldDescriptor.TYPE_DOUBLE,
}


def bare(annotation: Any) -> Any:
    """Without Annotated and `| None`."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (types.UnionType, Union):
        [present] = [a for a in get_args(annotation) if a is not type(None)]
        return bare(present)
    return annotation


def pairs(
    model: type[Model] = JobSpec, message: Descriptor = TrainingJobSpec.DESCRIPTOR
) -> Iterator[tuple[type[Model], Descriptor]]:
    """Every model with its message, once."""
    seen = set()
    waiting = [(model, message)]
    while waiting:
        pair = waiting.pop()
        if pair in seen:
            continue
        seen.add(pair)
        yield pair
        for name, field in pair[0].model_fields.items():
            inner = bare(field.annotation)
            described = pair[1].fields_by_name[field.alias or name].message_type
            if get_origin(inner) is tuple:
                inner = bare(get_args(inner)[0])
            elif get_origin(inner) is dict:
                inner, described = bare(get_args(inner)[1]), described.fields_by_name["value"].message_type
            if isinstance(inner, type) and issubclass(inner, Model):
                waiting.append((inner, described))


PAIRS = sorted(pairs(), key=lambda pair: pair[0].__name__)


def test_each_model_has_one_message_and_each_message_one_model() -> None:
    assert len({model for model, _ in PAIRS}) == len({message for _, message in PAIRS}) == len(PAIRS)


@pytest.mark.parametrize(("model", "message"), PAIRS, ids=lambda value: value.name if hasattr(value, "name") else "")
def test_the_fields_are_the_same(model: type[Model], message: Descriptor) -> None:
    assert list(model.field_names()) == [field.name for field in message.fields]
    for name, field in model.model_fields.items():
        agree_on_kind(field, message.fields_by_name[field.alias or name], is_option=issubclass(model, OneOf))


def agree_on_kind(field: FieldInfo, described: FieldDescriptor, *, is_option: bool) -> None:
    kind = bare(field.annotation)
    if get_origin(kind) is tuple:
        assert described.is_repeated
        kind = bare(get_args(kind)[0])
    elif get_origin(kind) is dict:
        key, value = map(bare, get_args(kind))
        entry = described.message_type
        assert entry.GetOptions().map_entry
        assert key is str
        assert (value is str) == (entry.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING)
        return
    else:
        assert not described.is_repeated
        assert described.has_presence, "absence and zero differ"
    if isinstance(kind, type) and issubclass(kind, Model):
        assert described.type == FieldDescriptor.TYPE_MESSAGE
    else:
        may_be_negative = kind is int and any(getattr(rule, "ge", 0) < 0 for rule in field.metadata)
        assert described.type == (FieldDescriptor.TYPE_INT32 if may_be_negative else SCALARS[kind])
    assert (described.containing_oneof is not None and described.containing_oneof.name == "kind") == is_option


@pytest.mark.parametrize(("model", "message"), PAIRS, ids=lambda value: value.name if hasattr(value, "name") else "")
def test_options_are_one_oneof_and_nothing_else_is(model: type[Model], message: Descriptor) -> None:
    true_oneofs = [oneof.name for oneof in message.oneofs if not oneof.name.startswith("_")]
    assert true_oneofs == (["kind"] if issubclass(model, OneOf) else [])


MINIMAL = {
    "dataset": {"uri": "a.csv"},
    "network": {"layers": [{"dense": {"units": 1}}], "loss": {"mean_squared_error": {}}},
}


def test_defaults_are_the_models_alone() -> None:
    """A message without a field reads as a model without it: the message adds no defaults of its own."""
    message = ParseDict(MINIMAL, TrainingJobSpec())
    assert MessageToDict(message, preserving_proto_field_name=True) == MINIMAL


def test_zero_survives_the_message() -> None:
    data = MINIMAL | {"training": {"seed": 0, "epochs": 0, "optimizer": {"sgd": {"momentum": 0.0, "nesterov": False}}}}
    message = ParseDict(data, TrainingJobSpec())
    read = MessageToDict(message, preserving_proto_field_name=True)
    assert read == data
    with pytest.raises(InvalidSpec, match=r"training\.epochs: 0 is too small"):
        validate_job(read)


def test_an_option_that_is_not_set_is_told() -> None:
    data = MINIMAL | {"training": {"optimizer": {}}}
    read = MessageToDict(ParseDict(data, TrainingJobSpec()), preserving_proto_field_name=True)
    with pytest.raises(InvalidSpec, match=r"training\.optimizer: exactly one of sgd, adagrad"):
        validate_job(read)


LINES = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=9)


def values(name: str, annotation: Any) -> st.SearchStrategy[Any]:
    """Plain data for a field, mostly within its limits."""
    kind = bare(annotation)
    if name == "fold":
        return st.integers(1, 2)
    if name == "number":
        return st.integers(2, 9)
    if name == "axis":
        return st.integers(-8, 7)
    if name in ("max_wavelength", "t_mul", "div_factor", "final_div_factor"):
        return st.floats(1, 1000)
    if name == "channels":
        return st.sampled_from([1, 3])
    if name == "shared_axes":
        return st.lists(st.integers(1, 8), max_size=8, unique=True)
    if name == "axes":
        return st.integers(1, 4).flatmap(lambda rank: st.permutations(range(rank)))
    if get_origin(kind) is tuple:
        most = 2 if name in ("kernel_size", "strides", "dilation_rate", "pool_size", "before", "after", "size") else 3
        return st.lists(values(name, get_args(kind)[0]), min_size=1, max_size=most, unique_by=repr)
    if get_origin(kind) is dict:
        key, value = get_args(kind)
        keys = LINES if key in (str, Line) else values("name", key)
        return st.dictionaries(keys, LINES if value in (str, Line) else values("value", value), max_size=3)
    if issubclass(kind, Model):
        return models(kind)
    if kind is str:
        return (
            st.from_regex(r"\A[a-z]{12,20}\Z") if name in ("name", "inputs", "layer", "label") else LINES.filter(bool)
        )
    return {int: st.integers(1, 9), float: st.floats(0.01, 0.99), bool: st.booleans()}[kind]


@functools.cache
def models(model: type[Model]) -> st.SearchStrategy[Any]:
    infos = {field.alias or name: field for name, field in model.model_fields.items()}
    fields = {name: values(name, field.annotation) for name, field in infos.items()}
    if issubclass(model, OneOf):
        return st.one_of(st.fixed_dictionaries({name: value}) for name, value in fields.items())
    required = {name: value for name, value in fields.items() if infos[name].is_required()}
    optional = {name: value for name, value in fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def linked(data: dict[str, Any]) -> dict[str, Any]:
    """The job with the rules between data and network kept, which what is drawn field by field breaks nearly always."""
    network, dataset = dict(data["network"]), dict(data["dataset"])
    if network.get("outputs"):
        network.pop("loss", None)
        network.pop("metrics", None)
        dataset.pop("label", None)
        dataset["labels"] = {output["label"]: f"column of {output['label']}" for output in network["outputs"]}
    else:
        network.setdefault("loss", {"mean_squared_error": {}})
        dataset.pop("labels", None)
    for field, other in (("label", "label_columns"), ("labels", "label_columns"), ("features", "inputs")):
        if field in dataset:  # each stands instead of the other
            dataset.pop(other, None)
    outputs = network.get("outputs") or [{"loss": network["loss"], "label": "label"}]
    if not all(output["loss"].keys() <= set(STANDARDIZED) for output in outputs):
        dataset.pop("standardize_label", None)
        dataset.pop("standardize_labels", None)
    elif "standardize_labels" in dataset and "labels" in dataset and not dataset.get("standardize_label"):
        dataset["standardize_labels"] = [outputs[0]["label"]]
    else:
        dataset.pop("standardize_labels", None)
    return data | {"network": network, "dataset": dataset}


@given(models(JobSpec).map(linked))
def test_every_job_survives_the_message_as_it_is(data: dict[str, Any]) -> None:
    try:
        spec = validate_job(data)
    except InvalidSpec:  # a rule between fields, as that a label is no feature; Hypothesis fails if few jobs are left
        reject()
    for form in (data, spec.canonical()):
        message = ParseDict(form, TrainingJobSpec())
        read = MessageToDict(TrainingJobSpec.FromString(message.SerializeToString()), preserving_proto_field_name=True)
        assert validate_job(read) == spec
