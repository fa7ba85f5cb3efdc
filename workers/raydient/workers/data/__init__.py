"""The data room: readers, labels, split and standardization, and the order in which samples are visited."""

from .checks import check_indices, check_labels, check_weights
from .dataset import Dataset, InvalidData
from .formats import FORMATS, Format, find_format
from .loading import load, look
from .order import epoch_order

__all__ = [
    "FORMATS",
    "Dataset",
    "Format",
    "InvalidData",
    "check_indices",
    "check_labels",
    "check_weights",
    "epoch_order",
    "find_format",
    "load",
    "look",
]
