"""Compares the augmentation of a job with the samples that it changes."""

from collections.abc import Iterator

from raydient.spec.dataset import Dataset
from raydient.spec.errors import FieldError
from raydient.workers.network import Network, index_limits


def augmentation_problems(dataset: Dataset, network: Network) -> Iterator[FieldError]:
    """Yield an error for each input that cannot be changed as its augmentation says."""
    lookups = index_limits(network)
    for name, settings in dataset.augment.items():
        path, shape = f"dataset.augment.{name}", network.input_shapes[name]
        if name in lookups:
            yield FieldError(path, "an embedding looks the values of this input up: only other numbers are augmented")
        elif settings.moves and len(shape) not in (2, 3):
            text = f"flip and shift need images, (height, width) or (height, width, channels), not samples of {shape}"
            yield FieldError(path, f"{text}; `noise` takes any shape")
        elif settings.moves and settings.shift >= min(shape[:2]):
            text = f"{settings.shift} moves an image of {shape[0]} × {shape[1]} pixels out of sight"
            yield FieldError(f"{path}.shift", f"{text}: less than {min(shape[:2])} is needed")
