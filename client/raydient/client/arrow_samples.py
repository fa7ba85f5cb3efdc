"""Reads the samples of Parquet and Arrow files in parts, for predictions."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .columns import InvalidSamples
from .errors import MissingExtra

SUFFIXES = (".parquet", ".arrow", ".feather")


def read_tables(path: Path, rows: int, needed: Collection[str] | None) -> "Iterator[Table]":
    """Yield parts of at most `rows` rows, at least one.

    Args:
        path: of the file.
        rows: the most rows of a part.
        needed: columns to read, if the file has them; None reads all.

    Raises:
        InvalidSamples: the file cannot be read. The message begins with its path.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtra(f"Reading {path.name}", "local") from None
    read = _parquet if path.suffix.lower() == ".parquet" else _arrow
    with path.open("rb"):  # an error of the operating system, such as one of permissions, stays what it is
        pass
    try:
        yield from read(path, rows, needed)
    except InvalidSamples:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        kind = "a Parquet file" if read is _parquet else "an Arrow file"
        text = "".join(c if c.isprintable() else " " for c in str(error))[:200]
        raise InvalidSamples(f"{path}: not {kind} that can be read: {text}") from error


def _parquet(path: Path, rows: int, needed: Collection[str] | None) -> "Iterator[Table]":
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
        names = file.schema_arrow.names
        columns = [name for name in dict.fromkeys(names) if needed is None or name in needed]
        batches = file.iter_batches(rows, columns=columns, use_threads=False)
        first = next(batches, None)
        if first is None:
            first = file.schema_arrow.empty_table().select(columns)
        yield Table(names, first)
        for batch in batches:
            yield Table(names, batch)


def _arrow(path: Path, rows: int, needed: Collection[str] | None) -> "Iterator[Table]":
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        schema = pa.ipc.open_file(file).schema
    places = [place for place, name in enumerate(schema.names) if needed is None or name in needed]
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=places)
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file, options=options)
        if not reader.num_record_batches:
            yield Table(schema.names, reader.schema.empty_table())
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            batch.validate(full=True)
            for start in range(0, batch.num_rows, rows) or (0,):
                yield Table(schema.names, batch.slice(start, rows))


class Table(Mapping[str, Any]):
    """Some rows of a table: its columns as arrays by name. Those without a name are left out.

    Attributes:
        repeated: names of several columns; reading one raises InvalidSamples.

    Args:
        names: of all columns of the file.
        rows: a record batch or table with the columns that were read.
    """

    def __init__(self, names: Sequence[str], rows: Any) -> None:
        self.repeated = frozenset(name for name, count in Counter(names).items() if count > 1)
        self._names, self._rows = dict.fromkeys(name for name in names if name), rows

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self._rows.num_rows)

    def __getitem__(self, name: str) -> Any:
        """The values of a column (n,): numbers in their own type, or Python objects, None where one is missing."""
        import numpy as np
        import pyarrow as pa

        if name not in self._names:
            raise KeyError(name)
        if name in self.repeated:
            raise InvalidSamples(f"there is more than one column named {name!r}")
        column = self._rows.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if column.null_count and not pa.types.is_floating(column.type):
            values = np.empty(len(column), object)
            values[:] = column.to_pylist()
            return values
        if isinstance(column, pa.ChunkedArray):
            return column.to_numpy()
        return column.to_numpy(zero_copy_only=False)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
