"""The data room: readers of files, split and standardization, and sources of samples for training."""

from .augmenting import Augmenter
from .checks import check_indices, check_labels, check_weights
from .dataset import Dataset
from .formats import FORMATS, SUFFIXES, Format, array_mend, find_format, find_suffix
from .limits import Budget
from .loading import load, look
from .order import EpochOrder, epoch_order
from .prepared import PreparedSets
from .profile import InvalidData, Profile
from .read_ahead import FileSource
from .source import PARTS, MemorySource, PartName, Samples, Schema, Source

__all__ = [
    "FORMATS",
    "PARTS",
    "SUFFIXES",
    "Augmenter",
    "Budget",
    "Dataset",
    "EpochOrder",
    "FileSource",
    "Format",
    "InvalidData",
    "MemorySource",
    "PartName",
    "PreparedSets",
    "Profile",
    "Samples",
    "Schema",
    "Source",
    "array_mend",
    "check_indices",
    "check_labels",
    "check_weights",
    "epoch_order",
    "find_format",
    "find_suffix",
    "load",
    "look",
]
