"""Models in other formats than their own."""

from enum import StrEnum
from typing import BinaryIO, assert_never

from .model import Model
from .npz_export import write_npz


class ExportFormat(StrEnum):
    """What else a model can be written as; the values are file suffixes."""

    ONNX = ".onnx"
    NPZ = ".npz"


def export_model(model: Model, wanted: ExportFormat, file: BinaryIO) -> None:
    """Write `model` in another format. The same model and version of ours give the same bytes.

    Raises:
        ModelTooLargeError: it does not fit into the format.
    """
    match wanted:
        case ExportFormat.ONNX:
            from .onnx_export import write_onnx  # noqa: PLC0415  (0.2 s and 16 MB that training does without)

            write_onnx(model, file)
        case ExportFormat.NPZ:
            write_npz(model, file)
        case _:
            assert_never(wanted)
