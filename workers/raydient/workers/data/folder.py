"""Reads a folder of images or texts as a table: each file is a sample, whose label is the name of its sub-folder."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from raydient.spec.csv_text import Dialect
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.decoding import FOLDER_COLUMNS, NO_IMAGES, image_files
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.text_files import TEXT_SUFFIXES, is_text_file, read_text, text_files
from raydient.spec.values import quoted

from .arrow_file import read_source
from .limits import Budget
from .raw import RawData
from .table import Table
from .tables import Diagnosis, read_tables
from .text_file import SCHEMA, batch_of, refusing_no_text

TEXTS_BATCH = 64
"""Files of text that are in memory at a time."""


def read(files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str], budget: Budget) -> RawData:
    """Read the images or texts of a folder; see `read_tables`."""
    return read_tables(files, spec, as_written, read_table, budget)


def read_table(path: Path, spec: DatasetSpec, budget: Budget) -> Table | Diagnosis:
    """Read one folder; see `read_source`."""
    if not spec.reads_folders:
        image, _ = FOLDER_COLUMNS
        of_images = f"`inputs: {{pixels: {{columns: {image}, image: {{height: 64, width: 64}}}}}}`"
        of_texts = "`inputs: {words: {columns: text, text: {tokens: word, length: 100}}}`"
        message = f"the files of a folder need an input: of images such as {of_images}, of texts such as {of_texts}"
        raise InvalidSpec([FieldError("dataset.inputs", message)])
    rows = list(image_files(path) if spec.images else text_files(path))
    if not rows:
        no_texts = f"the folder has no texts: its sub-folders, named as labels, hold files {', '.join(TEXT_SUFFIXES)}"
        text = NO_IMAGES if spec.images else no_texts
        if not spec.images and any(is_text_file(file) for file in path.iterdir()):
            text += f"; {quoted(f'{path.name}/*.txt')} reads each line as a sample, with the file's name as its label"
        raise InvalidSpec([FieldError("dataset.uri", text)])
    budget.spend(0, texts=2 * len(rows))
    if spec.images:
        return read_source(_Images(path, rows), spec, budget)
    return read_source(_Texts(path, rows, spec.csv.dialect), spec, budget, lambda row: rows[row][0])


class _Images:
    """A `Source` of a folder of images."""

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


class _Texts:
    """A `Source` of a folder of text files."""

    schema = SCHEMA

    def __init__(self, folder: Path, rows: Sequence[tuple[str, str]], dialect: Dialect) -> None:
        self.folder, self.rows = folder, len(rows)
        self._files, self._dialect = rows, dialect

    def batches(self, names: list[str], budget: Budget, most: int) -> Iterator[pa.RecordBatch]:
        """See `Source`."""
        for start in range(0, self.rows, min(most, TEXTS_BATCH)):
            part = self._files[start : start + min(most, TEXTS_BATCH)]
            yield batch_of([self._text(name) for name, _ in part], [label for _, label in part], budget)

    def _text(self, name: str) -> str:
        with refusing_no_text(quoted(name)):
            return read_text(self.folder / name, self._dialect)
