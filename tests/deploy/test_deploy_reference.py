"""docs/deploy.md agrees with deploy/."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parent.glob("schemas/*.json")}


def test_versions_are_those_that_were_checked():
    kuberay = re.search(r"KubeRay ([\d.]+),", SCHEMAS["raycluster"]["$comment"])[1]
    operator = re.search(r"Operator ([\d.]+),", SCHEMAS["servicemonitor"]["$comment"])[1]
    assert set(re.findall(r"(?:KubeRay |ref=v|--version )(\d+\.\d+\.\d+)", PAGE)) == {kuberay}
    assert f"Prometheus Operator {operator}" in PAGE


@pytest.mark.parametrize("group", ["PodDisruptionBudget", "PersistentVolumeClaim", "Service", "RayCluster"])
def test_objects_are_named_on_the_page(rendered, group):
    (document,) = [d for d in rendered("base") if d["kind"] == group]
    assert re.search(rf"^\| {group} `{document['metadata']['name']}` \|", PAGE, re.MULTILINE)


def test_secrets_that_pods_want_are_made(rendered):
    (cluster,) = [d for d in rendered("base") if d["kind"] == "RayCluster"]
    volumes = cluster["spec"]["workerGroupSpecs"][0]["template"]["spec"]["volumes"]
    wanted = {volume["secret"]["secretName"] for volume in volumes if "secret" in volume}
    assert set(re.findall(r"create secret \w+ (\S+)", PAGE)) == wanted


def test_the_patch_that_scales_finds_the_workers(rendered):
    (cluster,) = [d for d in rendered("base") if d["kind"] == "RayCluster"]
    index = int(re.search(r"/spec/workerGroupSpecs/(\d)/replicas", PAGE)[1])
    group = cluster["spec"]["workerGroupSpecs"][index]
    assert group["groupName"] == "workers"
    assert f"`maxReplicas` is {group['maxReplicas']}" in PAGE


def test_ports_are_those_of_the_pods(rendered):
    (cluster,) = [d for d in rendered("base") if d["kind"] == "RayCluster"]
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    known = {port["containerPort"] for group in groups for port in group["template"]["spec"]["containers"][0]["ports"]}
    table = re.search(r"\| port \|.*?\n\n", PAGE, re.DOTALL)[0]
    assert {int(port) for port in re.findall(r"\b\d{4,5}\b", table)} == known
