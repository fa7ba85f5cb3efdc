"""JSON Schemas of the custom resources that deploy/kubernetes uses, cut out of their projects' definitions (CRDs):

    python tests/deploy/schemas/generate.py 'PROJECT VERSION, LICENCE' CRD.yaml...

Of the version that is stored: `spec` without descriptions. Unknown fields are errors, as they are to `kubectl apply`. A
pod template is only an object here: its schema is Kubernetes' own, of which a definition has a copy of 60 kB, and the
tests check templates against that one.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
UNUSED = ("description", "format", "default", "x-kubernetes-")


def schema_of(definition: dict[str, Any], source: str) -> dict[str, Any]:
    """The schema of a custom resource's documents. `source` says where the definition is from."""
    (version,) = [v for v in definition["spec"]["versions"] if v["storage"]]
    names, group = definition["spec"]["names"], definition["spec"]["group"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"{definition['metadata']['name']} of {source}; see generate.py",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": f"{group}/{version['name']}"},
            "kind": {"const": names["kind"]},
            "metadata": {"type": "object", "required": ["name"]},
            "spec": cut(spec),
        },
    }


def cut(node: Any) -> Any:
    """A part of a schema without what says nothing about validity, and closed against unknown fields."""
    if isinstance(node, list):
        return [cut(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: cut(value) for key, value in node.items() if not key.startswith(UNUSED) and key != "properties"}
    if "(?" in str(kept.get("pattern")):
        del kept["pattern"]  # flags within an expression are Go's, not JSON Schema's
    if "properties" in node:
        kept["properties"] = {name: cut(value) for name, value in node["properties"].items()}
        if "containers" in kept["properties"].get("spec", {}).get("properties", {}):
            return {"type": "object"}
        kept["additionalProperties"] = node.get("x-kubernetes-preserve-unknown-fields", False)
    return kept


def main(source: str, *definitions: str) -> None:
    """Write a schema for each definition, named by its kind."""
    for path in definitions:
        definition = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        name = definition["spec"]["names"]["singular"]
        text = json.dumps(schema_of(definition, source), indent=1, sort_keys=True) + "\n"
        (HERE / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
