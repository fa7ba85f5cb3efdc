"""Weights to start from: another model's file, checked against the network by name and shape before any is read."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from .graph import Network


def weights_problem(network: Network, path: Path) -> str | None:
    """Why a safetensors file cannot give all weights of `network`, or None. Reads no more than the file's head."""
    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
            found = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except (OSError, SafetensorError) as error:
        return f"is no safetensors file that can be read: {error}"
    wanted = {p.name: p.shape for p in network.layout.parameters}
    if missing := [name for name in wanted if name not in found]:
        return f"has no {missing[0]}{_more(missing)}, which the network needs"
    if unknown := sorted(found.keys() - wanted.keys()):
        return f"has {unknown[0]}{_more(unknown)}, which the network has not"
    for name, shape in wanted.items():
        has, kind = found[name]
        if has != shape or kind != "F32":
            return f"has {name} as {kind} {list(has)}, the network as F32 {list(shape)}"
    return None


def read_weights(network: Network, path: Path, vector: NDArray[np.float32]) -> None:
    """Fill `vector` (layout.size,) from a file that `weights_problem` finds nothing wrong with."""
    with safe_open(path, framework="np") as file:
        for name, view in network.layout.views(vector).items():
            view[...] = file.get_tensor(name)


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
