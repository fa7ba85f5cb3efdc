"""Reads Parquet files. What a file declares is compared with the memory before anything is unpacked."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from raydient.spec.dataset import Dataset as DatasetSpec

from .arrow_file import read_source
from .arrow_values import is_text
from .limits import Budget
from .raw import RawData, refusing_damage
from .table import Table
from .tables import Diagnosis, read_tables

BUFFER_BYTES = 2**20


def read(files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str], budget: Budget) -> RawData:
    """Read the samples of Parquet files; see `read_tables`."""
    return read_tables(files, spec, as_written, read_table, budget)


def read_table(path: Path, spec: DatasetSpec, budget: Budget) -> Table | Diagnosis:
    """Read one file; see `read_source`."""
    with path.open("rb"), refusing_damage("a Parquet file that can be read"):
        return read_source(_Parquet(path), spec, budget)


class _Parquet:
    """A `Source` of a Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path, self.folder = path, path.parent
        with pq.ParquetFile(path) as file:
            self.schema: pa.Schema = file.schema_arrow
            self.rows = file.metadata.num_rows

    def batches(self, names: list[str], budget: Budget, most: int) -> Iterator[pa.RecordBatch]:
        """See `Source`. Each different text of a page is unpacked once."""
        texts = [name for name in names if is_text(self.schema.field(name).type)]
        with pq.ParquetFile(
            self._path,
            read_dictionary=texts,
            buffer_size=BUFFER_BYTES,
            pre_buffer=False,
            page_checksum_verification=True,
        ) as file:
            budget.foresee(8 * self.rows * (len(names) - len(texts)))
            budget.spend(8 * self.rows * len(texts))
            yield from file.iter_batches(most, columns=names, use_threads=True)
