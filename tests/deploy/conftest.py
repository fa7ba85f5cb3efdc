"""The files of deploy/ as tests see them: parsed, and rendered by Kustomize."""

import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
OVERLAYS = ("base", "overlays/dev", "overlays/monitoring")


@pytest.fixture(scope="session")
def run_tool():
    """Runs a tool of the `test` extra in the repository's root; what it printed, or the test fails."""

    def run(name, *arguments):
        command = [SCRIPTS / name, *arguments]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.fail(f"{name} {' '.join(arguments)}\n{done.stdout}{done.stderr}", pytrace=False)
        return done.stdout

    return run


@pytest.fixture(scope="session")
def rendered(run_tool):
    """The documents of an overlay."""
    known = {}

    def render(overlay):
        if overlay not in known:
            text = run_tool("kubectl", "kustomize", f"deploy/kubernetes/{overlay}")
            known[overlay] = list(yaml.safe_load_all(text))
        return known[overlay]

    return render


@pytest.fixture(params=OVERLAYS)
def documents(request, rendered):
    """The documents of each overlay in turn."""
    return rendered(request.param)


@pytest.fixture
def nodes(documents):
    """The pods that KubeRay makes of an overlay's RayCluster: template by group, with the labels that it adds."""
    (cluster,) = [d for d in documents if d["kind"] == "RayCluster"]
    return node_templates(cluster)


def node_templates(cluster):
    """Pod templates of a RayCluster by group, labelled as KubeRay labels them."""
    head, workers = cluster["spec"]["headGroupSpec"], cluster["spec"]["workerGroupSpecs"]
    groups = {"headgroup": head["template"], **{group["groupName"]: group["template"] for group in workers}}
    return {
        name: {
            **template,
            "metadata": {
                "labels": {
                    **template.get("metadata", {}).get("labels", {}),
                    "ray.io/cluster": cluster["metadata"]["name"],
                    "ray.io/group": name,
                    "ray.io/node-type": "head" if name == "headgroup" else "worker",
                }
            },
        }
        for name, template in groups.items()
    }


@pytest.fixture(scope="session")
def compose():
    """The Compose file."""
    return yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
