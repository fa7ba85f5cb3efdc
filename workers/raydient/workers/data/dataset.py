"""The samples of a data file, ready for training."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raydient.steps.manifest import Manifest
from raydient.workers.network import Preprocessing, Target, only

from .source import MemorySource, Rows


@dataclass(frozen=True, slots=True)
class Kept:
    """The file that has a prepared data set.

    Attributes:
        path: of the file.
        manifest: its content; arrays have the names of `MemorySource.arrays`.
    """

    path: Path
    manifest: Manifest


@dataclass(frozen=True, eq=False)
class Dataset(MemorySource):
    """A data file in memory: a source, and the meaning of its values.

    Attributes:
        inputs: preprocessing of each input, by name; fitted on the training part, vocabularies on its file.
        targets: meaning of each output's labels, by name.
        held_out: rows of the file that are held out, from 0 and ascending; None if the held-out data are their own.
        folder: for files of data that do not fit the memory, see `Budget`; None if the samples are in memory.
        kept: the file, if it is kept for other processes, see `prepared`.
    """

    inputs: Mapping[str, Preprocessing]
    targets: Mapping[str, Target]
    held_out: Rows | None = None
    folder: Path | None = None
    kept: Kept | None = None

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one prepared sample of each input, by name."""
        return {name: preprocessing.prepared_shape for name, preprocessing in self.inputs.items()}

    @property
    def input(self) -> Preprocessing:
        """Preprocessing of the only input."""
        return only(self.inputs)

    @property
    def target(self) -> Target:
        """Meaning of the labels of the only output."""
        return only(self.targets)
