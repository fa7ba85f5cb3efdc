"""Export of models to other formats: ONNX, and archives of NumPy."""

import json
from dataclasses import asdict, astuple
from enum import StrEnum
from typing import Any, BinaryIO, assert_never

import numpy as np

from .model import Model
from .preprocessing import Preprocessing

NPZ_FORMAT = "raydient-npz/1"


class ExportFormat(StrEnum):
    """Formats for export; the values are file suffixes."""

    ONNX = ".onnx"
    NPZ = ".npz"


def export_model(model: Model, format_: ExportFormat, file: BinaryIO) -> None:
    """Write `model` in another format. The same model and version of raydient give the same bytes.

    Raises:
        ModelTooLargeError: the model does not fit into the format.
    """
    match format_:
        case ExportFormat.ONNX:
            from .onnx_export import write_onnx  # noqa: PLC0415  (0.2 s and 16 MB that training does not need)

            write_onnx(model, file)
        case ExportFormat.NPZ:
            write_npz(model, file)
        case _:
            assert_never(format_)


def write_npz(model: Model, file: BinaryIO) -> None:
    """Write `model` as NPZ, which `numpy.load(..., allow_pickle=False)` reads. Same model, same bytes.

    Parameters are float32 arrays by their names, `{layer}.{parameter}`. The rest has names without a dot: `features`,
    `classes`, `label` and `digest` as text; `network` as JSON; `input_shape`; `input_kind`, the type of the training
    data (`number`, `integer`, `boolean` or `text`); the figures of the preparation in float64, `scaling_mean` and
    `scaling_scale` where samples are standardized, `imputation_places`, `imputation_values` and `imputation_indicators`
    where missing values are filled, and likewise those of `Dates`, `Bounding` and `Logarithm`; these steps come before
    scaling.
    A standardized label has `label_mean` and `label_scale`: predictions are outputs times scale plus mean.
    Where inputs or outputs have names, a slash and the name follow: `input_shape/image`, `scaling_mean/table`,
    `label/digit`; `features/NAME` are the columns, `vocabulary/NAME` the categories,
    `hashing/NAME` the buckets and the salt of their hash, `tokens/NAME` the tokens of texts as JSON.
    """
    arrays: dict[str, Any] = {
        **model.network.layout.views(model.weights),
        "format": NPZ_FORMAT,
        "network": json.dumps(model.specification.canonical()),
        "digest": model.digest,
    }
    for name, preprocessing in model.inputs.items():
        arrays |= _named(_input(preprocessing), "" if model.is_plain else name)
    for name, target in model.targets.items():
        about: dict[str, Any] = {"label": target.label, "classes": np.array(target.classes, np.str_)}
        if target.scaling:
            about |= {"label_mean": target.scaling.mean, "label_scale": target.scaling.scale}
        arrays |= _named(about, "" if model.is_plain else name)
    np.savez(file, **arrays)


def _input(preprocessing: Preprocessing) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        "input_shape": np.array(preprocessing.shape, np.int64),
        "features": np.array(preprocessing.feature_names, np.str_),
        "input_kind": preprocessing.kind.value,
    }
    for step in preprocessing.transforms:
        arrays |= {f"{step.kind}_{name}": getattr(step, name) for name in step.needed()}
    if preprocessing.vocabulary:
        arrays["vocabulary"] = np.array(preprocessing.vocabulary)
    if preprocessing.hashing:
        arrays["hashing"] = np.array(astuple(preprocessing.hashing), np.int64)
    if preprocessing.tokens:
        arrays["tokens"] = json.dumps(asdict(preprocessing.tokens))
    if preprocessing.one_hot:
        arrays["one_hot"] = np.array(True)
    if preprocessing.has_buckets:
        arrays["has_buckets"] = np.array(True)
    if preprocessing.is_image:
        arrays["is_image"] = np.array(True)
    return arrays


def _named(arrays: dict[str, Any], name: str) -> dict[str, Any]:
    return {f"{key}/{name}": value for key, value in arrays.items()} if name else arrays
