"""The PrometheusRule of overlays/monitoring, made of the files in deploy/prometheus/rules:

    python deploy/kubernetes/rules.py

The operator requires the groups inside an object, and Kustomize cannot put one file into another.
"""

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus" / "rules"
MANIFEST = HERE / "overlays" / "monitoring" / "rules.yaml"
HEADER = "# Made by deploy/kubernetes/rules.py of deploy/prometheus/rules: change those.\n"


def manifest(folder: Path) -> str:
    """The object as YAML, with the groups of every file of a folder."""
    groups: list[Any] = []
    for path in sorted(folder.glob("*.yml")):
        groups += yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "raydient", "labels": {"release": "prometheus"}},
        "spec": {"groups": groups},
    }
    return HEADER + yaml.safe_dump(document, sort_keys=False, width=110, allow_unicode=True)


if __name__ == "__main__":
    MANIFEST.write_text(manifest(RULES), encoding="utf-8")
