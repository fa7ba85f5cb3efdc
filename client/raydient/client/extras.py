"""Packages of the extras that commands and functions need. Imports nothing, so that commands start quickly."""

from importlib.util import find_spec

PACKAGES = {
    "local": ("onnx", "pyarrow", "threadpoolctl"),
    "server": ("onnx", "pyarrow", "sqlalchemy", "threadpoolctl"),
}
"""Packages without which nothing of an extra works, by its name."""


def missing_packages(extra: str, *further: str) -> list[str]:
    """Return the names among `PACKAGES` of an extra, and among further ones of it, that are not installed."""
    return [name for name in (*PACKAGES[extra], *further) if find_spec(name) is None]
