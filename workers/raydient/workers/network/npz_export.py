"""A model as NumPy's own archive, for who reads arrays and nothing else."""

import json
from typing import Any, BinaryIO

import numpy as np

from .model import Model

FORMAT = "raydient-npz/1"


def write_npz(model: Model, file: BinaryIO) -> None:
    """Write `model` as NPZ, which `numpy.load(..., allow_pickle=False)` reads. Same model, same bytes.

    Parameters are float32 arrays by their names, `{layer}.{parameter}`. The rest has names without a dot: `features`,
    `classes`, `label` and `digest` as text; `network` as JSON; `input_shape`; `scaling_mean` and `scaling_scale`
    (float64) where samples are standardized.
    """
    arrays: dict[str, Any] = {
        **model.network.layout.views(model.weights),
        "format": FORMAT,
        "network": json.dumps(model.specification.canonical()),
        "input_shape": np.array(model.input_shape, np.int64),
        "features": np.array(model.feature_names, np.str_),
        "classes": np.array(model.classes, np.str_),
        "label": model.label,
        "digest": model.digest,
    }
    if model.scaling:
        arrays |= {"scaling_mean": model.scaling.mean, "scaling_scale": model.scaling.scale}
    np.savez(file, **arrays)
