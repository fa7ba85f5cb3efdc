"""Writes the dashboards to files that Grafana provisions."""

import json
from collections.abc import Callable
from pathlib import Path
from string import ascii_uppercase

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.folder import require

from .gradients import gradient_health
from .job import job
from .service import service

PROGRAMS: dict[str, Callable[[], Dashboard]] = {
    "service": service,
    "job": job,
    "gradient-health": gradient_health,
}
"""Functions that build the dashboards, by the name of the file."""


def dashboards() -> dict[str, str]:
    """Return the JSON text of every dashboard by the name of its file, without `.json`."""
    return {name: _text(program()) for name, program in PROGRAMS.items()}


def write(folder: Path) -> None:
    """Write every dashboard into a folder that exists. Raises FolderError."""
    require(folder)
    for name, text in dashboards().items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def _text(builder: Dashboard) -> str:
    model = builder.build()
    for number, panel in enumerate(model.panels or [], start=1):
        panel.id_val = number
        for letter, target in zip(ascii_uppercase, getattr(panel, "targets", None) or [], strict=False):
            target.ref_id = letter
    document = json.loads(json.dumps(model, cls=JSONEncoder))
    for link in document["links"]:
        del link["placement"]  # the SDK would hide links in a menu
    document["id"] = None  # the SDK leaves it out; Grafana gives a number of its own to a dashboard that has null
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
