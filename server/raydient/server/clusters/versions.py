"""What every node of a cluster has to have the same version of."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

DISTRIBUTIONS = ("raydient", "ray", "numpy")
"""Beside Python. Ray refuses another Ray or Python by itself; another NumPy would give other bits, another raydient
would speak another protocol."""
_ABSENT = "none"


def installed() -> dict[str, str]:
    """Versions of what is installed for this process, by name."""
    return {"Python": platform.python_version(), **{name: _version(name) for name in DISTRIBUTIONS}}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return _ABSENT


def disagreement(node: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """What of a node's versions is not as it is here, in one line; empty where all is."""
    other = [name for name in ours if theirs.get(name, _ABSENT) != ours[name]]
    if not other:
        return ""
    has = " and ".join(f"{name} {theirs.get(name, _ABSENT)}" for name in other)
    have = " and ".join(f"{name} {ours[name]}" for name in other)
    return f"{node} has {has}, this service has {have}"
