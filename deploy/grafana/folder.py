"""The folder that holds dashboards as JSON."""

import json
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).with_name("dashboards")
"""Where they are committed."""


class FolderError(Exception):
    """There is no folder of dashboards where one was named, or it holds none."""


def require(folder: Path, what: str = "dashboards") -> Path:
    """The folder itself. Raises FolderError where it is none."""
    if not folder.is_dir():
        raise FolderError(f"{what} folder {folder} is missing")
    return folder


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Every dashboard of a folder by its file's name without `.json`, sorted. Raises FolderError."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(require(folder).glob("*.json"))}
    if not found:
        raise FolderError(f"dashboards folder {folder} has no dashboard in it")
    return found
