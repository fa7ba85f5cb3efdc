"""Random changes of training samples: a pure function of (seed, epoch, sample), whichever worker computes it.

A sample has 96 random bits of its own for flip and shift, the words of one counter of Philox, and a stream of its own
for noise.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from raydient.spec.augmentation import Augmentation
from raydient.steps.arrays import Floats
from raydient.workers.functions import standard_normal
from raydient.workers.streams import Purpose, philox_words, stream

from .source import Rows


class Augmenter:
    """Changes training samples in place. For one thread.

    Args:
        settings: of inputs, by name; the others stay as they are.
        seed: of the job.
    """

    def __init__(self, settings: Mapping[str, Augmentation], seed: int) -> None:
        self._settings, self._seed = settings, seed

    def apply(self, xs: Mapping[str, Floats], rows: Rows, epoch: int) -> None:
        """Change samples.

        Args:
            xs: of each input, by name: (n, *input shape), float32; overwritten.
            rows: (n,), the rows of the training part that they are.
            epoch: from 0.
        """
        for name, settings in self._settings.items():
            x = xs[name]
            if settings.moves:
                words = philox_words(rows, Purpose.AUGMENT, self._seed, epoch, name)
                x[:] = moved(x, settings, words)
            if settings.noise:
                noise = np.empty(x.shape[1:], np.float32)
                for place, row in enumerate(rows.tolist()):
                    standard_normal(stream(Purpose.AUGMENT, self._seed, epoch, name, row), noise)
                    x[place] += noise * np.float32(settings.noise)


def moved(x: Floats, settings: Augmentation, words: NDArray[np.uint32]) -> Floats:
    """Return images (n, height, width, ...), mirrored and shifted.

    Args:
        x: the images.
        settings: what may happen to them.
        words: (n, 4), random: the lowest bits of the first mirror, the others shift down and right.
    """
    vertical = settings.vertical_flip & (words[:, 0] >> 1 & 1).astype(np.bool_)
    horizontal = settings.horizontal_flip & (words[:, 0] & 1).astype(np.bool_)
    from_row, row_exists = _sources(x.shape[1], vertical, settings.shift, words[:, 1])
    from_column, column_exists = _sources(x.shape[2], horizontal, settings.shift, words[:, 2])
    number = np.arange(len(x))[:, np.newaxis, np.newaxis]
    result = x[number, from_row[:, :, np.newaxis], from_column[:, np.newaxis, :]]
    result[~(row_exists[:, :, np.newaxis] & column_exists[:, np.newaxis, :])] = 0
    return result


def _sources(
    size: int, mirrored: NDArray[np.bool_], most: int, words: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return from which place of an axis each place of an image comes, (n, size), and whether that exists.

    The shift is floor(word (2 most + 1) / 2^32) - most, each value with the same probability up to 2^-19.
    """
    shift = (words.astype(np.uint64) * np.uint64(2 * most + 1) >> np.uint64(32)).astype(np.int64) - most
    places = np.arange(size) - shift[:, np.newaxis]
    exists = (places >= 0) & (places < size)
    places = np.where(mirrored[:, np.newaxis], size - 1 - places, places)
    return places.clip(0, size - 1), exists
