"""The folder that holds dashboards as JSON."""

import json
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).with_name("dashboards")
"""The folder of the committed dashboards."""


class FolderError(Exception):
    """A folder does not exist or holds no dashboard."""


def require(folder: Path, what: str = "dashboards") -> Path:
    """Return the folder. Raises FolderError if it does not exist."""
    if not folder.is_dir():
        raise FolderError(f"{what} folder {folder} is missing")
    return folder


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the dashboards of a folder, sorted by file name, without `.json`. Raises FolderError."""
    dashboards = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(require(folder).glob("*.json"))
    }
    if not dashboards:
        raise FolderError(f"dashboards folder {folder} has no dashboard in it")
    return dashboards
