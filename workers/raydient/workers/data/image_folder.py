"""Reads a folder of images as a table of their paths and labels: each sub-folder has the images of one label."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.decoding import FOLDER_COLUMNS, SUFFIXES, image_files
from raydient.spec.errors import FieldError, InvalidSpec

from .arrow_file import read_source
from .limits import Budget
from .raw import RawData
from .table import Table
from .tables import Diagnosis, read_tables


def read(files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str], budget: Budget) -> RawData:
    """Read the images of a folder; see `read_tables`."""
    return read_tables(files, spec, as_written, read_table, budget)


def read_table(path: Path, spec: DatasetSpec, budget: Budget) -> Table | Diagnosis:
    """Read one folder; see `read_source`."""
    if not any(input_.image for input_ in spec.inputs.values()):
        image, _ = FOLDER_COLUMNS
        example = f"`inputs: {{pixels: {{columns: {image}, image: {{height: 64, width: 64}}}}}}`"
        message = f"the images of a folder need an input with a size, such as {example}"
        raise InvalidSpec([FieldError("dataset.inputs", message)])
    rows = list(image_files(path))
    if not rows:
        text = f"the folder has no images: its sub-folders, named as labels, hold files {', '.join(SUFFIXES)}"
        raise InvalidSpec([FieldError("dataset.uri", text)])
    budget.spend(0, texts=2 * len(rows))
    return read_source(_Folder(path, rows), spec, budget)


class _Folder:
    """A `Source` of a folder."""

    def __init__(self, folder: Path, rows: Sequence[tuple[str, str]]) -> None:
        self.folder = folder
        columns = [pa.array(column, pa.large_string()) for column in zip(*rows, strict=True)]
        self._table = pa.RecordBatch.from_arrays(columns, list(FOLDER_COLUMNS))
        self.schema: pa.Schema = self._table.schema
        self.rows = len(rows)

    def batches(self, names: list[str], budget: Budget, most: int) -> Iterator[pa.RecordBatch]:
        """See `Source`."""
        for start in range(0, self.rows, most):
            yield self._table.slice(start, most)
