"""The JSON Schema for editors accepts the same jobs as the models, and equals the committed one."""

from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from raydient.spec.errors import InvalidSpec
from raydient.spec.reading import read_job_file
from raydient.spec.schema import job_schema, job_schema_text
from raydient.spec.validation import validate_job

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SCHEMA = jsonschema.Draft202012Validator(job_schema())


def job(**parts: object) -> dict[str, object]:
    network = {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}
    return {"dataset": {"uri": "a.csv"}, "network": network, **parts}


def network(layer: object, loss: object = "mean_squared_error") -> dict[str, object]:
    return job(network={"layers": [layer], "loss": loss})


def test_the_committed_schema_matches_the_models() -> None:
    committed = files("raydient.spec") / "job.schema.json"
    assert committed.read_text(encoding="utf-8") == job_schema_text()


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(job_schema())


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid(path: Path) -> None:
    assert read_job_file(path).network.layers
    SCHEMA.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        (job(), True),
        (job(labels={"team": "a"}), True),
        (job(labels={"team": 1}), False),
        (job(extra=1), False),
        (job(dataset={"uri": ["a.csv", "b.csv"]}), True),
        (job(dataset={"uri": ["a.csv"], "validation": {"uri": ["b.csv"]}}), True),
        (job(dataset={"uri": []}), False),
        (job(dataset={"uri": ["a.csv", 3]}), False),
        (job(resources=None), False),
        (job(resources={}), True),
        (job(training={"microbatches": None}), True),
        (job(training={"epochs": 0}), False),
        (job(training={"epochs": "1"}), False),
        (job(training={"optimizer": "adam"}), True),
        (job(training={"optimizer": {"adam": None}}), True),
        (job(training={"optimizer": {"adam": {}, "sgd": {}}}), False),
        (job(training={"optimizer": {}}), False),
        (network({"dense": {"units": 3, "activation": "relu"}}), True),
        (network({"dense": {"units": 3, "activation": {"relu": None}}}), True),
        (network({"dense": {"units": 3, "activation": {"relu": {"x": 1}}}}), False),
        (network({"dense": {"units": 3, "activation": "rely"}}), False),
        (network({"dense": None}), False),
        (network("dense"), False),
        (network("flatten"), True),
        (network({"activation": {"function": "tanh"}}), True),
        (network({"activation": {}}), False),
        (network("flatten", "mse"), False),
        (network("flatten", {"sum_squared_error": {}}), True),
        (job(network={"layers": [], "loss": "sum_squared_error"}), False),
        ({}, False),
        ([], False),
    ],
)
def test_schema_and_models_agree(data: object, valid: bool) -> None:
    assert SCHEMA.is_valid(data) == valid
    if valid:
        validate_job(data)
    else:
        with pytest.raises(InvalidSpec):
            validate_job(data)
