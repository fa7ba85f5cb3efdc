"""Linters and schemas accept deploy/."""

import json
from pathlib import Path

import kubernetes_validate
import pytest
from jsonschema import Draft202012Validator, ValidationError

ROOT = Path(__file__).parents[2]
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parent.glob("schemas/*.json")}


def validate(document):
    """Raise ValidationError unless a document is what its kind may be, unknown fields included."""
    schema = SCHEMAS.get(document["kind"].lower())
    if schema is None:
        kubernetes_validate.validate(document, "1.37", strict=True)
    else:
        Draft202012Validator(schema).validate(document)


def test_yaml(run_tool):
    run_tool("yamllint", "--strict", ".")


def test_dockerfile(run_tool):
    run_tool("hadolint", "deploy/Dockerfile")


def test_compose_schema(run_tool):
    run_tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


def test_every_document_is_valid(documents):
    for document in documents:
        validate(document)


def test_pod_templates_are_valid(nodes):
    for group, template in nodes.items():
        validate({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": group}, "template": template})


def test_a_misspelt_field_of_a_cluster_is_found(rendered):
    (cluster,) = [d for d in rendered("base") if d["kind"] == "RayCluster"]
    group = cluster["spec"]["workerGroupSpecs"][0]
    wrong = {**cluster, "spec": {**cluster["spec"], "workerGroupSpecs": [{**group, "maxReplica": 1}]}}
    with pytest.raises(ValidationError, match="maxReplica"):
        validate(wrong)


@pytest.mark.parametrize("wrong", [{"readOnlyRootFileSystem": True}, {"runAsUser": "10001"}])
def test_a_wrong_field_of_a_pod_is_found(wrong):
    container = {"name": "x", "image": "x", "securityContext": wrong}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [container]}})


def test_the_rules_of_the_operator_are_those_of_prometheus():
    import runpy

    program = runpy.run_path(str(ROOT / "deploy" / "kubernetes" / "rules.py"))
    assert program["MANIFEST"].read_text(encoding="utf-8") == program["manifest"](program["RULES"]), "make manifests"
