"""Reads files of Arrow's own format, which is also the second version of Feather."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from raydient.spec.dataset import Dataset as DatasetSpec

from .arrow_file import read_source
from .arrow_values import is_text
from .limits import Budget
from .raw import RawData, refusing_damage
from .table import Table
from .tables import Diagnosis, read_tables


def read(files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str], budget: Budget) -> RawData:
    """Read the samples of Arrow files; see `read_tables`."""
    return read_tables(files, spec, as_written, read_table, budget)


def read_table(path: Path, spec: DatasetSpec, budget: Budget) -> Table | Diagnosis:
    """Read one file; see `read_source`."""
    with path.open("rb"), refusing_damage("an Arrow file that can be read"), pa.OSFile(str(path)) as file:
        return read_source(_Arrow(file, path.parent), spec, budget)


class _Arrow:
    """A `Source` of an Arrow file."""

    rows = 0

    def __init__(self, file: pa.NativeFile, folder: Path) -> None:
        self._file, self.folder = file, folder
        self.schema: pa.Schema = pa.ipc.open_file(file).schema

    def batches(self, names: list[str], budget: Budget, most: int) -> Iterator[pa.RecordBatch]:
        """See `Source`. Other columns are not unpacked."""
        places = [self.schema.get_field_index(name) for name in names]
        texts = sum(is_text(self.schema.field(place).type) for place in places)
        options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=sorted(places))
        reader = pa.ipc.open_file(self._file, options=options)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            rows = batch.num_rows
            budget.foresee(8 * rows * (len(names) - texts))
            budget.spend(8 * rows * texts)
            for start in range(0, rows, most):
                yield batch.slice(start, most)
