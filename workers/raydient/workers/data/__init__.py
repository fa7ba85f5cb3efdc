"""The data room: readers, labels, split and standardization, and the order in which samples are visited."""

from .dataset import Dataset, check_indices, check_labels, load
from .order import epoch_order

__all__ = ["Dataset", "check_indices", "check_labels", "epoch_order", "load"]
