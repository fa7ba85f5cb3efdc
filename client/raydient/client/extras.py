"""Packages of the extra `server`. Imports nothing, so that commands start quickly."""

from importlib.util import find_spec

LOCAL_PACKAGES = ("onnx", "pyarrow", "sqlalchemy", "threadpoolctl")
"""Packages without which nothing trains on this machine."""


def missing_packages() -> list[str]:
    """Return the names of `LOCAL_PACKAGES` that are not installed."""
    return [name for name in LOCAL_PACKAGES if find_spec(name) is None]
